"""Rows of JSON Lines and CSV: every line is a row or says why it is none."""

from __future__ import annotations

import io
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from xiezhi.errors import ConfigurationError
from xiezhi.files.rows import LINE_BYTES_MAX, Row, Unreadable, read_csv, read_jsonl


def jsonl(data: bytes) -> list[Row | Unreadable]:
    return list(read_jsonl(io.BytesIO(data)))


def csv(data: bytes, **options: Any) -> list[Row | Unreadable]:
    return list(read_csv(io.BytesIO(data), **options)[1])


def test_json_lines_are_objects_with_their_line_numbers() -> None:
    assert jsonl(b'\xef\xbb\xbf{"a": 1}\r\n\n{"a": null, "b": ["x"], "c": 0.1}') == [
        Row(1, {"a": 1}),
        Row(3, {"a": None, "b": ["x"], "c": Decimal("0.1")}),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "not JSON: Expecting property name"),
        (b"[1]", "not a JSON object"),
        (b"1", "not a JSON object"),
        (b'{"a": NaN}', "NaN is not a number"),
        (b'{"a": -Infinity}', "-Infinity is not a number"),
        (b'{"a": 1, "a": 2}', "a key stands twice"),
        (b'{"b": {"a": 1, "a": 2}}', "a key stands twice"),
        (b'{"a": "\xff"}', "not UTF-8"),
        (b'{"a":' * 100_000, "not JSON"),
        (b'{"a": ' + b"1" * 5000 + b"}", "not JSON"),
        (b'{"a": "' + b"x" * LINE_BYTES_MAX + b'"}', "longer than"),
    ],
)
def test_a_line_that_is_no_json_object_says_why_and_the_next_one_is_read(line: bytes, reason: str) -> None:
    bad, good = jsonl(line + b'\n{"a": 1}\n')
    assert isinstance(bad, Unreadable)
    assert bad.line == 1
    assert reason in bad.reason
    assert good == Row(2, {"a": 1})


TABLE = "编号,名称\nA1,县财政局\nA2,「审计」局\n"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_the_encoding_of_a_table_is_found(encoding: str) -> None:
    assert csv(TABLE.encode(encoding)) == [
        Row(2, {"编号": "A1", "名称": "县财政局"}),
        Row(3, {"编号": "A2", "名称": "「审计」局"}),
    ]


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_one_broken_line_does_not_change_the_encoding_of_the_rest(encoding: str) -> None:
    lines = TABLE.encode(encoding).splitlines(keepends=True)
    rows = csv(lines[0] + lines[1] * 3 + b"A9,\xff\xff\n" + lines[2])
    assert rows[3] == Unreadable(5, f"not {encoding}")
    assert rows[4] == Row(6, {"编号": "A2", "名称": "「审计」局"})


def test_an_encoding_that_is_said_is_not_guessed() -> None:
    assert csv("a\n县".encode("gb18030"), encoding="gb18030") == [Row(2, {"a": "县"})]
    assert csv("a\n县".encode("gb18030"), encoding="utf-8") == [Unreadable(2, "not utf-8")]


def test_quotes_hold_delimiters_line_breaks_and_quotes_and_lines_are_counted_through_them() -> None:
    assert csv(b'a;b\n"1;\n""x""";2\n3;4\n', delimiter=";") == [
        Row(2, {"a": '1;\n"x"', "b": "2"}),
        Row(4, {"a": "3", "b": "4"}),
    ]


def test_rows_of_another_width_and_broken_quotes_are_told_and_empty_lines_skipped() -> None:
    first, second, third, fourth = csv(b'a,b\n1\n\n"x"y,2\n1,2\n1,2,3\n')
    assert first == Unreadable(2, "expected 2 cells, found 1")
    assert isinstance(second, Unreadable)
    assert second.line == 4
    assert third == Row(5, {"a": "1", "b": "2"})
    assert fourth == Unreadable(6, "expected 2 cells, found 3")


def test_a_quote_that_is_never_closed_says_how_far_it_reached() -> None:
    rows = csv(b'a,b\n1,"2\n3,4\n5,6\n')
    assert rows == [Unreadable(2, "not CSV from here to line 4: unexpected end of data")]


def test_a_quote_left_open_in_a_long_table_costs_a_stretch_and_not_the_rest() -> None:
    rows = csv(b'a,b\n1,"2\n' + b"3,4\n" * 100_000)
    assert isinstance(rows[0], Unreadable)
    assert len(rows) > 60_000
    assert all(isinstance(row, Row) for row in rows[2:])


def test_a_line_that_is_too_long_is_skipped() -> None:
    rows = csv(b"a\n" + b"x" * (2 * LINE_BYTES_MAX) + b"\ny\n")
    assert rows == [Unreadable(2, f"longer than {LINE_BYTES_MAX} bytes"), Row(3, {"a": "y"})]


@pytest.mark.parametrize(
    "data",
    [b"", b"\n1,2\n", b",,\n1,2,3\n", b"a,a\n1,2\n", b'"a\n', "a,b\n".encode("utf-16"), b"a,\xff\xff\n"],
)
def test_a_file_without_a_header_is_no_table(data: bytes) -> None:
    with pytest.raises(ConfigurationError):
        csv(data)


def test_columns_without_a_name_are_left_out() -> None:
    assert csv(b"a,,b\n1,2,3\n") == [Row(2, {"a": "1", "b": "3"})]


class Endless(io.RawIOBase):
    """A file of many equal lines, made as it is read."""

    def __init__(self, line: bytes, times: int) -> None:
        self._line, self._left = line, times

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        count = min(self._left, len(buffer) // len(self._line))
        self._left -= count
        buffer[: count * len(self._line)] = self._line * count
        return count * len(self._line)


@pytest.mark.parametrize(
    ("line", "times", "read"),
    [
        (b'{"a": "' + b"x" * 1000 + b'"}\n', 10_000, read_jsonl),
        (b"x" * 1000 + b"\n", 10_000, lambda stream: read_csv(stream)[1]),
        (b"x" * 1024, 20_000, read_jsonl),
    ],
    ids=["json", "csv", "one line"],
)
def test_memory_does_not_grow_with_the_file(line: bytes, times: int, read: Callable[[Any], Any]) -> None:
    stream = io.BufferedReader(Endless(line, times), 1 << 16)
    tracemalloc.start()
    try:
        assert sum(1 for _ in read(stream)) in (times, times - 1, 1)
        assert tracemalloc.get_traced_memory()[1] < 4 * LINE_BYTES_MAX
    finally:
        tracemalloc.stop()


def test_a_number_whose_exponent_is_beyond_reason_costs_its_line_alone() -> None:
    rows = list(read_jsonl(io.BytesIO(b'{"a": 1E+99999999999999999999}\n{"a": 1}\n')))
    assert isinstance(rows[0], Unreadable)
    assert rows[1] == Row(2, {"a": 1})
