"""The columns of a block as bytes: packed where they are what they nearly always are, as JSON where not. Pure.

A column is a list of whole numbers, of texts, of (number, text) pairs, or of fractions and numbers that no machine
word holds. It begins with a byte that says which; all but the JSON of odd ones is of fixed width or length, so that
the next column begins where it ends. Byte order is fixed (little-endian): a store may move to another machine.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from fractions import Fraction
from functools import cache
from struct import Struct, error
from typing import Any

_NONE, _EMPTY, _ONES, _ZEROS, _SAME = b"\x00", b"\x01", b"\x02", b"\x03", b"\x04"
_NARROW, _WIDE, _TEXTS, _PAIRS, _JSON = b"\x05", b"\x06", b"\x07", b"\x08", b"\x09"

_LENGTH = Struct("<I")
_BETWEEN = "\x1e"  # of texts; one that has it is odd
_ANY_TEXT = "surrogatepass"  # Python's texts may hold what UTF-8 has no room for


def as_json(number: Any) -> dict[str, int]:
    """A fraction as JSON carries it."""
    if not isinstance(number, Fraction):
        raise TypeError(f"{type(number).__name__} is not kept in blocks")
    return {"n": number.numerator, "d": number.denominator}


def from_json(written: dict[str, int]) -> Fraction:
    """The fraction in what `as_json` wrote."""
    return Fraction(written["n"], written["d"])


# Made once: `json.dumps` and `loads` with options build theirs anew at every call.
_ENCODER = json.JSONEncoder(separators=(",", ":"), default=as_json)
_DECODER = json.JSONDecoder(object_hook=from_json)


def dumps(content: Any) -> bytes:
    """JSON of numbers, fractions, texts and lists of them."""
    return _ENCODER.encode(content).encode()


def loads(raw: bytes) -> Any:
    """What `dumps` wrote."""
    return _DECODER.decode(raw.decode())


def pack(first: list[Any], *others: list[Any] | None) -> bytes:
    """Columns of one length each, or empty, or None. Those after the first are short where they repeat it."""
    parts = [len(first).to_bytes(2, "little"), _packed(first)]
    for column in others:
        if column is None:
            parts.append(_NONE)
        elif not column:
            parts.append(_EMPTY)
        elif column == first:
            parts.append(_SAME)
        else:
            parts.append(_packed(column))
    return b"".join(parts)


def unpack(raw: bytes) -> list[list[Any] | None]:
    """What `pack` wrote."""
    count, at = int.from_bytes(raw[:2], "little"), 2
    columns: list[list[Any] | None] = []
    while at < len(raw):
        column, at = _unpacked(raw, at, count, columns)
        columns.append(column)
    return columns


def _packed(column: list[Any]) -> bytes:
    if not column:
        return _EMPTY
    if type(column[0]) is int:
        return _numbers(column)
    if type(column[0]) is str:
        return _texts(column)
    if type(column[0]) is tuple:
        return _pairs(column)
    return _odd(column)


def _numbers(column: Sequence[Any]) -> bytes:
    count, first = len(column), column[0]
    if first in (0, 1) and column.count(first) == count:
        return _ONES if first else _ZEROS
    for tag, letter in ((_NARROW, "i"), (_WIDE, "q")):
        try:
            return tag + _struct(count, letter).pack(*column)
        except error:
            continue  # too large for a word, or a fraction
    return _odd(column)


def _texts(column: Sequence[str]) -> bytes:
    """What all begin with is written once."""
    least, greatest = min(column), max(column)
    shared = 0
    for one, other in zip(least, greatest, strict=False):
        if one != other:
            break
        shared += 1
    joined = _BETWEEN.join([least[:shared], *[text[shared:] for text in column]])
    if joined.count(_BETWEEN) != len(column):
        return _odd(column)
    written = joined.encode(errors=_ANY_TEXT)
    return _TEXTS + _LENGTH.pack(len(written)) + written


def _pairs(column: Sequence[tuple[Any, str]]) -> bytes:
    numbers, texts = zip(*column, strict=True)
    return _PAIRS + _numbers(numbers) + _texts(texts)


def _odd(column: Sequence[Any]) -> bytes:
    written = dumps(list(column))
    return _JSON + _LENGTH.pack(len(written)) + written


def _unpacked(
    raw: bytes, at: int, count: int, before: Sequence[list[Any] | None]
) -> tuple[list[Any] | None, int]:
    """One column and where the next begins."""
    tag, at = raw[at : at + 1], at + 1
    if tag in (_NARROW, _WIDE):
        words = _struct(count, "i" if tag == _NARROW else "q")
        return list(words.unpack_from(raw, at)), at + words.size
    if tag in (_TEXTS, _JSON):
        (length,) = _LENGTH.unpack_from(raw, at)
        at += _LENGTH.size
        written = raw[at : at + length]
        return (_split(written) if tag == _TEXTS else loads(written)), at + length
    if tag == _PAIRS:
        numbers, at = _unpacked(raw, at, count, before)
        texts, at = _unpacked(raw, at, count, before)
        return list(zip(numbers or (), texts or (), strict=True)), at
    if tag == _SAME:
        return list(before[0] or ()), at
    if tag == _NONE:
        return None, at
    if tag == _EMPTY:
        return [], at
    return [int(tag == _ONES)] * count, at


def _split(written: bytes) -> list[str]:
    shared, *rests = written.decode(errors=_ANY_TEXT).split(_BETWEEN)
    return [shared + rest for rest in rests]


@cache
def _struct(count: int, letter: str) -> Struct:
    """There are as many as blocks have sizes."""
    return Struct(f"<{count}{letter}")
