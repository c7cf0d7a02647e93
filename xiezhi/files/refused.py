"""The file of refused records: JSON Lines with line, record id, field, reason and the harmless part of the row."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import TracebackType

from xiezhi.errors import ConfigurationError
from xiezhi.files.records import Refusal


class RefusedRecords:
    """Writes refusals as they come. What an earlier run left there is replaced; without refusals no file stays."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationError when the file cannot be written, before anything is published."""
        self.path, self.count = path, 0
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as error:
            raise ConfigurationError(f"cannot write refused records to {path}: {error.strerror}") from error
        # Half a surrogate pair is in JSON, but not in UTF-8: it is written as the escape that it came as.
        self._file = os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace")

    def __enter__(self) -> RefusedRecords:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        self._file.close()
        if not self.count:
            self.path.unlink(missing_ok=True)

    def write(self, refusal: Refusal) -> None:
        self.count += 1
        entry = {
            "line": refusal.line,
            "record_id": refusal.record_id,
            "field": refusal.field,
            "reason": refusal.reason,
            "row": refusal.row,
        }
        self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
