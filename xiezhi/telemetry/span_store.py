"""The local store of spans: segments of OTLP/JSON lines below `data_dir/traces`, bounded, written by several processes.

Each process writes segments of its own; nobody locks. Whoever begins a segment deletes the oldest ones until there is
room. Spans are never worth a stage: what cannot be written is dropped, counted and logged now and then. A line that a
crash tore is passed over by readers.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from xiezhi.settings import Settings
from xiezhi.telemetry.otlp_json import from_line, to_line
from xiezhi.telemetry.span import StageSpan

logger = logging.getLogger(__name__)

#: Bytes of a segment: small, so that making room loses little at a time.
SEGMENT_BYTES_MAX: Final = 1 << 20
#: Bytes of all segments, some 40,000 alerts stored, delivered and acknowledged; a segment of each process that is
#: writing may come on top. Without it, traces would fill the disk of the bus.
FOLDER_BYTES_MAX: Final = 64 << 20
#: Segments: every command that follows alerts leaves one, and looking through a folder takes time for each.
SEGMENTS_MAX: Final = 512
#: Seconds between two lines in the log about spans that were dropped.
_COMPLAIN_EVERY_S = 60.0


def folder_of(settings: Settings) -> Path:
    return settings.data_dir / "traces"


class SpanStore(SpanExporter):
    """Writes the spans of one process. Called by one thread at a time; blocks no longer than the disk does."""

    def __init__(
        self,
        folder: Path,
        service: str,
        *,
        segment_bytes_max: int = SEGMENT_BYTES_MAX,
        folder_bytes_max: int = FOLDER_BYTES_MAX,
        segments_max: int = SEGMENTS_MAX,
        write: Callable[[int, bytes], int] = os.write,
    ) -> None:
        self._folder, self._service, self._write = folder, service, write
        self._segment_bytes_max, self._folder_bytes_max = segment_bytes_max, folder_bytes_max
        self._segments_max = segments_max
        self._file: int | None = None
        self._complained_at = -_COMPLAIN_EVERY_S
        self.dropped = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Never raises: spans that cannot be written are counted in `dropped`."""
        for number, span in enumerate(spans):
            try:
                self._append(to_line(span))
            except OSError as error:
                self._close()  # a line may be torn: what comes next begins a segment
                self._drop(len(spans) - number, error)
                return SpanExportResult.FAILURE
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        self._close()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return True  # nothing is held back here

    def _append(self, line: bytes) -> None:
        file = self._segment(len(line))
        while taken := self._write(
            file, line
        ):  # a full disk takes what fits first, and says why the next time
            line = line[taken:]
            if not line:
                return
        raise OSError("the disk took half a line")

    def _segment(self, room: int) -> int:
        """The segment to write to. One that another process deleted to make room would swallow what is written."""
        if self._file is not None:
            state = os.fstat(self._file)
            if state.st_nlink and state.st_size + room <= self._segment_bytes_max:
                return self._file
            self._close()
        self._folder.mkdir(parents=True, exist_ok=True)
        self._make_room()
        name = f"{time.time_ns():020d}-{self._service}-{os.getpid()}.jsonl"
        self._file = os.open(self._folder / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return self._file

    def _make_room(self) -> None:
        sizes = {path: size for path in segments(self._folder) if (size := _size(path)) is not None}
        total, left = sum(sizes.values()), len(sizes)
        for path, size in sizes.items():  # oldest first
            if total + self._segment_bytes_max <= self._folder_bytes_max and left < self._segments_max:
                return
            path.unlink(missing_ok=True)
            total, left = total - size, left - 1

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _drop(self, spans: int, error: OSError) -> None:
        self.dropped += spans
        if time.monotonic() - self._complained_at >= _COMPLAIN_EVERY_S:
            self._complained_at = time.monotonic()
            logger.warning(
                "%d spans dropped so far: %s: %s; free some space there; nothing but traces is missing",
                self.dropped,
                self._folder,
                error.strerror or error,
            )


def segments(folder: Path) -> list[Path]:
    """All segments, oldest first."""
    return sorted(folder.glob("*.jsonl"))


def read_spans(folder: Path, trace_id: str) -> Iterator[StageSpan]:
    """The spans of one trace that the store still holds, in no particular order."""
    wanted = trace_id.encode()
    for path in segments(folder):
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue  # somebody made room
        if wanted not in content:
            continue
        for line in content.splitlines():
            if wanted in line:
                try:
                    span = from_line(line)
                except ValueError:
                    continue  # torn
                if span.context.trace_id == trace_id:
                    yield span


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return None
