"""`benchmarks/RESULTS.md`: the newest figures of every benchmark, a section each, replaced when measured anew."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent / "RESULTS.md"
#: Where raw files go unless told otherwise; not under version control.
RAW = Path(__file__).parent / "results"
_HEAD = "# Measured\n\nNewest figures of each benchmark, with machine and versions. Ratios hold within a run only.\n"


def write_section(title: str, lines: Iterable[str], file: Path = FILE) -> None:
    """Put `lines` under the heading `title`, in place of what stood there."""
    text = file.read_text("utf-8") if file.exists() else _HEAD
    section = f"## {title}\n\n" + "\n".join(lines).strip() + "\n"
    standing = re.compile(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", re.M | re.S)
    if standing.search(text):
        text = standing.sub(lambda _: section + "\n", text).rstrip() + "\n"
    else:
        text = f"{text.rstrip()}\n\n{section}"
    file.write_text(text, "utf-8")


def write_raw(name: str, content: Mapping[str, Any], folder: Path = RAW) -> Path:
    """Keep everything that was measured, in a new file named after benchmark and time."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json"
    file.write_text(json.dumps(content, indent=1), "utf-8")
    return file
