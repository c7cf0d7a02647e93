"""Rows of JSON Lines and CSV files, with their line numbers.

A row that cannot be read is yielded as such and the next one is tried; only a file that is no table at all raises.
CSV follows RFC 4180 with a header row; its encoding is UTF-8, with or without byte order mark, or GB 18030.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from itertools import chain
from typing import Any, BinaryIO, Literal

from xiezhi.errors import ConfigurationError

Encoding = Literal["auto", "utf-8", "gb18030"]

#: Longest line. A record on the bus has at most about 1 MB; longer lines are not read into memory.
LINE_BYTES_MAX = 2 * 1024 * 1024
#: How much of a file its encoding is guessed from.
_SAMPLE_BYTES = 256 * 1024
_UTF8_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as the file has it: JSON values by key, or text by column name."""

    line: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line of which no row can be made."""

    line: int
    reason: str


def read_jsonl(stream: BinaryIO) -> Iterator[Row | Unreadable]:
    """One JSON object per line, UTF-8. Empty lines are skipped; NaN and repeated keys are not JSON here."""
    for line, raw in _lines(stream):
        if raw is None:
            yield Unreadable(line, f"longer than {LINE_BYTES_MAX} bytes")
        elif raw.strip():
            yield _json_row(line, raw)


def read_csv(
    stream: BinaryIO, *, delimiter: str = ",", encoding: Encoding = "auto"
) -> tuple[tuple[str, ...], Iterator[Row | Unreadable]]:
    """Column names and rows. Raises ConfigurationError when there is no usable header."""
    lines = _lines(stream)
    if encoding == "auto":
        encoding, lines = _detect(lines)
    text = _Text(lines, encoding)
    reader = csv.reader(text, delimiter=delimiter, strict=True)
    try:
        header = tuple(name.strip() for name in next(reader, ()))
    except csv.Error as error:
        raise ConfigurationError(f"the first line is not a CSV header: {error}") from error
    named = [name for name in header if name]
    if text.problem or not named or len(set(named)) != len(named):
        raise ConfigurationError(f"the first line must name every column once {text.problem}".strip())
    return header, _csv_rows(header, reader, text)


def _json_row(line: int, raw: bytes) -> Row | Unreadable:
    try:
        found = json.loads(
            raw, object_pairs_hook=_unique, parse_float=_decimal, parse_constant=_refuse_constant
        )
    except UnicodeDecodeError:
        return Unreadable(line, "not UTF-8")
    except json.JSONDecodeError as error:
        return Unreadable(line, f"not JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return Unreadable(line, f"not JSON: {error}")
    return Row(line, found) if isinstance(found, dict) else Unreadable(line, "not a JSON object")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError("a number with an exponent beyond reason") from None


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _csv_rows(header: tuple[str, ...], reader: Any, text: _Text) -> Iterator[Row | Unreadable]:
    while True:
        line, text.problem = text.line + 1, ""
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Unreadable(line, f"not CSV from here to line {text.line}: {error}")
            continue
        if text.problem:
            yield Unreadable(line, text.problem)
        elif cells and len(cells) != len(header):
            yield Unreadable(line, f"expected {len(header)} cells, found {len(cells)}")
        elif cells:
            yield Row(line, {name: cell for name, cell in zip(header, cells, strict=True) if name})


class _Text:
    """Lines as text for the CSV parser, which cannot be told of a bad one: `problem` remembers it instead."""

    def __init__(self, lines: Iterator[tuple[int, bytes | None]], encoding: Encoding) -> None:
        self._lines, self._encoding = lines, encoding
        self.line, self.problem = 0, ""

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        self.line, raw = next(self._lines)
        if raw is None:
            self.problem = f"longer than {LINE_BYTES_MAX} bytes"
            return "\n"
        try:
            return raw.decode(self._encoding)
        except UnicodeDecodeError:
            self.problem = f"not {self._encoding}"
            return "\n"


def _lines(stream: BinaryIO) -> Iterator[tuple[int, bytes | None]]:
    """Numbered lines; None for one that is too long. The byte order mark is taken off the first."""
    line = 0
    while raw := stream.readline(LINE_BYTES_MAX + 1):
        line += 1
        if line == 1:
            if raw.startswith(_UTF16_BOMS):
                raise ConfigurationError("the file is UTF-16; save it as UTF-8 or GB 18030")
            raw = raw.removeprefix(_UTF8_BOM)
        too_long = len(raw) > LINE_BYTES_MAX
        while len(raw) > LINE_BYTES_MAX and not raw.endswith(b"\n"):
            raw = stream.readline(LINE_BYTES_MAX + 1)
        yield line, None if too_long else raw


def _detect(
    lines: Iterator[tuple[int, bytes | None]],
) -> tuple[Encoding, Iterator[tuple[int, bytes | None]]]:
    """The encoding in which more lines of the file's beginning make sense; UTF-8 when they tell nothing."""
    head: list[tuple[int, bytes | None]] = []
    size = utf8 = gb18030 = 0
    for line, raw in lines:
        head.append((line, raw))
        size += len(raw or b"")
        if raw and not raw.isascii():
            utf8 += _decodes(raw, "utf-8")
            gb18030 += _decodes(raw, "gb18030")
        if size >= _SAMPLE_BYTES:
            break
    return ("gb18030" if gb18030 > utf8 else "utf-8"), chain(head, lines)


def _decodes(raw: bytes, encoding: str) -> bool:
    try:
        raw.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True
