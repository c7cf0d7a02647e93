"""`benchmarks/RESULTS.md`: the newest figures of every benchmark, a section each, replaced when measured anew."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

FILE = Path(__file__).parent / "RESULTS.md"
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
