"""Text for terminals: what others wrote is made harmless, and columns line up with Chinese in them.

Records hold text from outside. A control character or a change of writing direction in it could repaint the
screen, hide evidence or type into the shell, so no such character is ever printed: each shows as U+FFFD.
Columns follow Unicode Standard Annex 11: wide and full-width characters take two cells.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Any

from xiezhi.envelope import format_instant

#: Control, format (bidirectional overrides, zero width), surrogate, private use, unassigned, line and paragraph
#: separators: everything that is not seen as itself.
_HARMFUL = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_WIDE = frozenset("WF")
_COMBINING = frozenset({"Mn", "Me"})
_REPLACEMENT = "\ufffd"
_ELLIPSIS = "…"


def clean(text: str) -> str:
    """`text` as one line without anything that a terminal could obey; line breaks and tabs become spaces."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_harmless, text))


def _harmless(char: str) -> str:
    if char in "\n\r\t":
        return " "
    return _REPLACEMENT if unicodedata.category(char) in _HARMFUL else char


def width(text: str) -> int:
    """Cells that cleaned text takes."""
    return len(text) if text.isascii() else sum(map(_cells, text))


def _cells(char: str) -> int:
    if unicodedata.category(char) in _COMBINING:
        return 0
    return 2 if unicodedata.east_asian_width(char) in _WIDE else 1


def clip(text: str, cells: int) -> str:
    """`text` in at most `cells` cells, its end replaced by … when it is longer."""
    if width(text) <= cells:
        return text
    kept, used = [], 1
    for char in text:
        used += _cells(char)
        if used > cells:
            break
        kept.append(char)
    return "".join(kept) + _ELLIPSIS


def pad(text: str, cells: int) -> str:
    """`text` followed by spaces up to `cells` cells."""
    return text + " " * (cells - width(text))


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, cells_max: int = 100) -> list[str]:
    """Lines of a table. Cells are cleaned, clipped to `cells_max` and aligned left; the last column is open."""
    lines = [[clean(cell) for cell in heads]]
    for row in rows:
        cells = [clean(cell) for cell in row]
        lines.append([*(clip(cell, cells_max) for cell in cells[:-1]), cells[-1]])
    widths = [max(map(width, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(map(pad, line, widths)).rstrip() for line in lines]


def pairs(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of names and values, values aligned. Both are cleaned."""
    names = [clean(name) for name, _ in pairs]
    cells = max(map(width, names), default=0)
    return [f"{pad(name, cells)}  {clean(value)}" for name, (_, value) in zip(names, pairs, strict=True)]


def to_json(value: Any) -> str:
    """One line of JSON, readable in any script, in which everything harmful is written as \\uXXXX."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(char) if unicodedata.category(char) in _HARMFUL else char for char in text)


def _escaped(char: str) -> str:
    # Inside a JSON document such a character can only stand in a string, where an escape means the same.
    units = char.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))


def instant(instant_ms: int) -> str:
    """`2026-03-01 09:00:00Z`, or the number where it is no instant of the years 1 to 9999."""
    try:
        return f"{format_instant(instant_ms)[:19].replace('T', ' ')}Z"
    except OverflowError:
        return str(instant_ms)
