"""The JSON elements in a file, one after the other, in memory that does not grow with the file.

Reads JSON Lines, JSON arrays, packages (objects that hold their elements in an array, such as OCDS release packages)
and single objects, pretty-printed or on one line. Input is untrusted: what is not UTF-8, not JSON, repeats a key,
nests too deeply or is too large becomes a refusal at its place, never an exception. A bad line or element costs
itself alone; where the structure of a document breaks, the rest of that file is lost and the refusal says so.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, NoReturn

from producers.importing.outcomes import Place, Refused
from producers.importing.splitting import ELEMENT_BYTES_MAX, Input, Splitter
from xiezhi.errors import ConfigurationError

_BOM = b"\xef\xbb\xbf"
_LINES_SUFFIXES = (".jsonl", ".ndjson")
STDIN = "-"

Element = tuple[Place, Any]  # what JSON said, or a Refused


def read_elements(
    path: str, arrays: tuple[str, ...], *, progress: Callable[[int], None]
) -> Iterator[Element]:
    """Every element of a file ("-" is standard input); `arrays` name the members of a package that hold elements.

    `progress` is told how many more bytes were read. Raises ConfigurationError if the file cannot be read.
    """
    file = "stdin" if path == STDIN else path
    try:
        with _opened(path) as stream:
            yield from _elements(Input(stream, progress), file, arrays)
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror or error}") from error


def _opened(path: str) -> AbstractContextManager[BinaryIO]:
    return nullcontext(sys.stdin.buffer) if path == STDIN else Path(path).open("rb")


def _elements(source: Input, file: str, arrays: tuple[str, ...]) -> Iterator[Element]:
    blank_lines = 0
    first = source.line().removeprefix(_BOM)
    while first and not first.strip():
        first = source.line()
        blank_lines += 1
    if file.endswith(_LINES_SUFFIXES) or _stands_alone(first):
        yield from _from_lines(source, first, Place(file, line=blank_lines), arrays)
    else:
        source.give_back(first)
        yield from _from_document(source, file, arrays)


def _stands_alone(line: bytes) -> bool:
    """Whether the first line is one of JSON Lines, rather than the beginning of a document."""
    if len(line) > ELEMENT_BYTES_MAX:
        return False
    try:
        parse(line)
    except json.JSONDecodeError as error:
        return error.pos < len(error.doc.rstrip())  # wrong in the middle: a bad line, not an unfinished one
    except ValueError:
        return True
    return True


def _from_lines(source: Input, line: bytes, place: Place, arrays: tuple[str, ...]) -> Iterator[Element]:
    while line:
        place = Place(place.file, line=place.line + 1)
        if len(line) > ELEMENT_BYTES_MAX:
            source.skip_line(line)
            yield place, Refused("", f"the line is longer than {ELEMENT_BYTES_MAX} bytes")
        elif line.strip():
            yield from _in_line(line, place, arrays)
        line = source.line()


def _in_line(line: bytes, place: Place, arrays: tuple[str, ...]) -> Iterator[Element]:
    value = _parse_or_refuse(line)
    holders = [value] if isinstance(value, list) else []
    if isinstance(value, dict):
        holders = [value[name] for name in arrays if isinstance(value.get(name), list)]
    if not holders and not isinstance(value, list):
        yield place, value
    for number, element in enumerate((element for holder in holders for element in holder), 1):
        yield Place(place.file, place.line, number), element


def _from_document(source: Input, file: str, arrays: tuple[str, ...]) -> Iterator[Element]:
    number = 0
    splitter = Splitter(source)
    try:
        while splitter.peek():
            for element in _top_level(splitter, arrays):
                number += 1
                yield Place(file, item=number), element
    except ValueError as error:
        reason = f"not JSON: {_without_input(error)}; the rest of the file was not read"
        yield Place(file, item=number + 1), Refused("", reason)


def _top_level(splitter: Splitter, arrays: tuple[str, ...]) -> Iterator[Any]:
    """The elements of one document: of an array, of a package's arrays, or the document itself."""
    match splitter.peek():
        case b"[":
            yield from _array(splitter)
        case b"{":
            yield from _object(splitter, arrays)
        case _:
            yield _parse_or_refuse(splitter.value())


def _array(splitter: Splitter) -> Iterator[Any]:
    for _ in splitter.inside(b"[", b"]"):
        yield _parse_or_refuse(splitter.value())


def _object(splitter: Splitter, arrays: tuple[str, ...]) -> Iterator[Any]:
    members: dict[str, Any] = {}
    taken = 0
    is_package = False
    for _ in splitter.inside(b"{", b"}"):
        name = parse(splitter.value(b'"'))
        splitter.take(b":")
        if name in members:
            raise ValueError("an object has the same key twice")
        if name in arrays and splitter.peek() == b"[":
            is_package, members[name] = True, None
            yield from _array(splitter)
        else:
            text = splitter.value()
            members[name] = parse(text)
            taken += len(text)
        if taken > ELEMENT_BYTES_MAX or len(members) > ELEMENT_BYTES_MAX // 64:
            raise ValueError(f"an object is longer than {ELEMENT_BYTES_MAX} bytes")
    if not is_package:
        yield members


def parse(text: bytes) -> Any:
    """Strict JSON with exact numbers. Raises ValueError."""
    try:
        return json.loads(
            text.decode("utf-8"), parse_float=_decimal, parse_constant=_no_constant, object_pairs_hook=_pairs
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _parse_or_refuse(text: bytes) -> Any:
    try:
        return parse(text)
    except ValueError as error:
        return Refused("", f"not JSON: {_without_input(error)}")


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("an object has the same key twice")
    return found


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError("a number with an exponent beyond reason") from None


def _no_constant(text: str) -> NoReturn:
    raise ValueError("NaN and Infinity are not JSON")


def _without_input(error: ValueError) -> str:
    """What is wrong, without the input that a parser quotes: it may be anything, also a person's name."""
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at character {error.pos + 1}"
        case UnicodeDecodeError():
            return f"byte {error.start + 1} is not UTF-8"
    return str(error).partition(";")[0]
