"""What a file of JSON gives, element by element, and what hostile files do not do."""

from __future__ import annotations

import io
import json
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from producers.importing.documents import read_elements
from producers.importing.outcomes import Place, Refused
from producers.importing.splitting import ELEMENT_BYTES_MAX
from xiezhi.errors import ConfigurationError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
any_example = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def elements(content: bytes, name: str = "file.json") -> list[tuple[Place, Any]]:
        path = tmp_path / name
        path.write_bytes(content)
        return list(read_elements(str(path), ("releases",), progress=lambda _: None))

    return elements


def only_values(elements: list[tuple[Place, Any]]) -> list[Any]:
    return [value for _, value in elements]


@any_example
@given(values=st.lists(json_values, max_size=5), indent=st.sampled_from([None, 0, 1]))
def test_the_elements_of_an_array_are_what_json_says_however_it_is_laid_out(
    read: Any, values: list[Any], indent: int | None
) -> None:
    assert only_values(read(json.dumps(values, indent=indent, ensure_ascii=False).encode())) == values


@any_example
@given(
    releases=st.lists(json_values, max_size=4),
    rest=st.dictionaries(st.text(max_size=5), json_values, max_size=3),
    indent=st.sampled_from([None, 1]),
)
def test_a_package_gives_the_elements_of_its_array_and_nothing_else(
    read: Any, releases: list[Any], rest: dict[str, Any], indent: int | None
) -> None:
    package = json.dumps({**rest, "releases": releases, "more": rest}, indent=indent)
    assert only_values(read(package.encode())) == releases


@any_example
@given(st.binary(max_size=60), st.sampled_from([b"", b"[\n", b'{\n"releases": [', b'{"a": 1}\n']))
def test_no_bytes_raise(read: Any, tail: bytes, head: bytes) -> None:
    for _, value in read(head + tail):
        assert isinstance(value, Refused | dict | list | str | int | Decimal | None)


def test_lines_are_numbered_and_a_bad_one_costs_itself_alone(read: Any) -> None:
    elements = read(b'\xef\xbb\xbf\n{"a":1}\n{"a":\n{"releases":[{"a":2},{"a":3}]}\n')
    assert [(place.line, place.item) for place, _ in elements] == [(2, 0), (3, 0), (4, 1), (4, 2)]
    assert isinstance(elements[1][1], Refused)
    assert only_values(elements)[2:] == [{"a": 2}, {"a": 3}]


@pytest.mark.parametrize("offset", range(-6, 3))
def test_no_border_between_two_reads_is_seen(read: Any, offset: int) -> None:
    text = "x" * (64 * 1024 + offset) + '\\"\\' + "\u5203" * 3
    assert only_values(read(json.dumps([text, {text: [text]}], indent=0, ensure_ascii=False).encode())) == [
        text,
        {text: [text]},
    ]


def test_a_bad_element_of_a_document_costs_itself_alone(read: Any) -> None:
    elements = read(b'{"releases": [\n{"a": 1},\n{"a": 2, "a": 3},\n{"a": NaN},\n{"a": "\xff"},\n{"a": 4}]}')
    values = only_values(elements)
    assert [values[0], values[-1]] == [{"a": 1}, {"a": 4}]
    assert all(isinstance(value, Refused) for value in values[1:-1])
    assert len(values) == 5


def test_a_document_that_breaks_off_gives_what_came_before_and_says_so(read: Any) -> None:
    first, second = read(b'{"releases": [\n{"a": 1},\n{"a": ')
    assert first[1] == {"a": 1}
    assert "the rest of the file was not read" in second[1].reason
    assert second[0].item == 2


def test_a_pretty_printed_object_alone_is_an_element(read: Any) -> None:
    assert only_values(read(b'{\n "a": [1.50, "}"],\n "b": {}\n}')) == [
        {"a": [Decimal("1.50"), "}"], "b": {}}
    ]


def test_a_file_named_jsonl_is_read_by_lines_even_if_its_first_line_breaks_off(read: Any) -> None:
    broken, whole = read(b'{"a":\n{"a":1}\n', "lines.jsonl")
    assert isinstance(broken[1], Refused)
    assert whole[1] == {"a": 1}


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 500_000,
        b'{"a":\n' * 100_000,
        b"[\n" + b"[" * 200_000 + b"]" * 200_000 + b"]",
        b"[1" + b"0" * 10_000 + b"]",
        b"[\n1" + b"0" * 10_000 + b"]",
        b"[1e99999999999999999999]",
        b"[1,]",
        b"[\n1,\n]",
        b"[\n1 2]",
        b"[1, \n]]",
        b'{\n"a" 1}',
        b"{\n1: 2}",
        b'{\n"a": }',
        b'{\n"a": 1, "a": 2}',
        b"\xff\xfe\x00{",
        b'[\n"\\',
    ],
)
def test_hostile_input_is_refused(read: Any, content: bytes) -> None:
    assert any(isinstance(value, Refused) for value in only_values(read(content)))


def test_a_refusal_does_not_repeat_the_input(read: Any) -> None:
    ((_, refused),) = read(b'{"name": "Zhang San" oops}')
    assert "Zhang" not in refused.reason


def test_nothing_is_refused_in_an_empty_file(read: Any) -> None:
    assert read(b"") == read(b"\n\n") == []


def test_an_element_larger_than_the_bound_is_refused_without_reading_all_of_it() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            start = b'{\n"a": "' if self.taken == 0 else b""
            size = len(buffer)
            buffer[:] = start + b"x" * (size - len(start))
            self.taken += size
            return size

    from producers.importing.documents import _elements
    from producers.importing.splitting import Input

    endless = Endless()
    ((_, refused),) = _elements(Input(io.BufferedReader(endless), lambda _: None), "endless", ())
    assert "longer than" in refused.reason
    assert endless.taken < 2 * ELEMENT_BYTES_MAX


def test_a_line_larger_than_the_bound_costs_itself_alone(read: Any) -> None:
    long = b'{"a":"' + b"x" * ELEMENT_BYTES_MAX + b'"}'
    first, refused, last = read(b'{"a":1}\n' + long + b'\n{"a":2}\n')
    assert "longer than" in refused[1].reason
    assert (refused[0].line, last[0].line) == (2, 3)
    assert first[1] == {"a": 1}
    assert last[1] == {"a": 2}


def test_a_package_larger_than_the_bound_on_one_line_is_read_element_by_element(read: Any) -> None:
    release = json.dumps({"a": "x" * 1_000_000}).encode()
    elements = read(b'{"uri": "u", "releases": [' + b",".join([release] * 20) + b"]}")
    assert [place.item for place, _ in elements] == list(range(1, 21))


def test_standard_input_is_read_as_a_dash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a":1}\n')))
    ((place, value),) = read_elements("-", (), progress=lambda _: None)
    assert (place.file, value) == ("stdin", {"a": 1})


def test_a_file_that_is_not_there_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        list(read_elements(str(tmp_path / "absent.json"), (), progress=lambda _: None))
