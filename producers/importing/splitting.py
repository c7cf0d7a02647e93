"""Cuts a stream of JSON into lines or values without parsing it, so that one element at a time is in memory.

Where a value ends follows from brackets and quotes alone; whether it is JSON is the parser's business. The C parsers
that stream events were no alternative: on hostile numbers they end the process.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import BinaryIO

#: Longest line, and longest element of an array: without it one line without end fills the memory.
ELEMENT_BYTES_MAX = 16 * 1024 * 1024
_CHUNK = 64 * 1024
_NO_SPACE = re.compile(rb"[^ \t\r\n]")
_NO_VALUE = (b"", b",", b":", b"]", b"}")
_STRUCTURE = re.compile(rb'["{}\[\]]')
_IN_TEXT = re.compile(rb'["\\]')
_AFTER_SCALAR = re.compile(rb"[ \t\r\n,:\[\]{}\"]")


class Input:
    """A byte stream, read by lines or by chunks, which takes one line back."""

    def __init__(self, stream: BinaryIO, progress: Callable[[int], None]) -> None:
        self._stream, self._progress = stream, progress
        self._returned = b""

    def line(self) -> bytes:
        """The next line with its end, b"" after the last; cut where it is longer than ELEMENT_BYTES_MAX."""
        return self._told(self._stream.readline(ELEMENT_BYTES_MAX + 1))

    def skip_line(self, start: bytes) -> None:
        """Read on to the end of the line that `start` begins."""
        while start and not start.endswith(b"\n"):
            start = self.line()

    def give_back(self, line: bytes) -> None:
        self._returned = line

    def chunk(self) -> bytes:
        """The next bytes, b"" after the last."""
        returned, self._returned = self._returned, b""
        return returned or self._told(self._stream.read(_CHUNK))

    def _told(self, data: bytes) -> bytes:
        self._progress(len(data))
        return data


class Splitter:
    """Hands out the raw values of a document. Every method raises ValueError where the structure breaks."""

    def __init__(self, source: Input) -> None:
        self._source = source
        self._buffer = bytearray()
        self._at = 0  # where the next token begins

    def peek(self) -> bytes:
        """The next byte that is no white space; b"" at the end."""
        while not (found := _NO_SPACE.search(self._buffer, self._at)):
            self._buffer.clear()
            self._at = 0
            if not self._more():
                return b""
        self._at = found.start()
        return found[0]

    def take(self, expected: bytes) -> None:
        if (found := self.peek()) != expected:
            raise ValueError(
                f"expected {expected.decode()}, found {'the end' if not found else 'something else'}"
            )
        self._at += 1

    def inside(self, opening: bytes, closing: bytes) -> Iterator[None]:
        """One step per entry between two brackets; the caller takes the entry."""
        self.take(opening)
        if self.peek() == closing:
            self._at += 1
            return
        while True:
            yield
            if self.peek() == closing:
                self._at += 1
                return
            self.take(b",")

    def value(self, expected: bytes = b"") -> bytes:
        """The bytes of the next value, which must begin with `expected`."""
        first = self.peek()
        if first in _NO_VALUE or (expected and first != expected):
            raise ValueError(f"expected {expected.decode() or 'a value'}")
        del self._buffer[: self._at]
        self._at = 0
        self._at = self._end_of_text(1) if first == b'"' else self._end_of_structure(first)
        return bytes(self._buffer[: self._at])

    def _end_of_structure(self, first: bytes) -> int:
        if first not in (b"{", b"["):
            return self._end_of_scalar()
        depth, position = 0, 0
        while True:
            position = self._find(_STRUCTURE, position)
            match self._buffer[position]:
                case 0x22:  # "
                    position = self._end_of_text(position + 1)
                    continue
                case 0x7B | 0x5B:  # { [
                    depth += 1
                case _:
                    depth -= 1
            position += 1
            if depth == 0:
                return position

    def _end_of_text(self, position: int) -> int:
        """The position after the closing quote; `position` is after the opening one."""
        while self._buffer[position := self._find(_IN_TEXT, position)] != 0x22:
            position += 2  # a backslash and what it escapes
        return position + 1

    def _end_of_scalar(self) -> int:
        while not (found := _AFTER_SCALAR.search(self._buffer, 1)):
            if not self._more():
                return len(self._buffer)
        return found.start()

    def _find(self, pattern: re.Pattern[bytes], position: int) -> int:
        while not (found := pattern.search(self._buffer, position)):
            position = max(position, len(self._buffer))
            if not self._more():
                raise ValueError("the input ends within a value")
        return found.start()

    def _more(self) -> bool:
        """Append the next chunk; False at the end of the input."""
        if len(self._buffer) - self._at > ELEMENT_BYTES_MAX:
            raise ValueError(f"an element is longer than {ELEMENT_BYTES_MAX} bytes")
        chunk = self._source.chunk()
        self._buffer += chunk
        return bool(chunk)
