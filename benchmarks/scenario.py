"""What every scenario hands back, and what it works in."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Report:
    """A section of RESULTS.md, and everything that was measured. `files` are kept beside it, by name."""

    title: str
    lines: Sequence[str]
    raw: Mapping[str, Any]
    files: Mapping[str, str] = field(default_factory=dict)


def scratch(opened: ExitStack) -> Path:
    """A folder that goes with `opened`."""
    return Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="xiezhi-bench-")))
