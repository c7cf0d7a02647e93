"""The leaf: one spelling, nothing guessable without its salt, null apart from empty."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xiezhi.audit.leaf import (
    LEAF_BYTES_MAX,
    GapLeaf,
    Leaf,
    RecordLeaf,
    TopicLeaf,
    field_salt,
    header_bytes,
    parse,
    record_leaf,
)
from xiezhi.errors import AuditError
from xiezhi.log import RawRecord

SALT = bytes(range(16))
RECORD = RawRecord(
    "finance.payment.v1", 1, 12, 1_776_664_993_000, b"pay-1", b"value", [("a", b"1"), ("b", None)]
)


def test_an_expert_can_make_the_leaf_again_by_hand() -> None:
    def by_hand(name: str, content: bytes) -> str:
        salt = sha256(SALT + name.encode()).digest()
        return sha256(salt + sha256(content).digest()).hexdigest()

    assert record_leaf(RECORD, SALT).to_bytes().decode() == (
        "xiezhi-leaf/v1\n"
        "kind record\n"
        "topic finance.payment.v1\n"
        "partition 1\n"
        "offset 12\n"
        "ingested 1776664993000\n"
        f"key {by_hand('key', b'pay-1')}\n"
        f"value {by_hand('value', b'value')}\n"
        f"headers {by_hand('headers', b'1:a,1:1,1:b,-,')}\n"
    )


def test_a_null_value_is_not_an_empty_one_and_equal_bytes_have_other_commitments() -> None:
    null, empty = (record_leaf(RECORD._replace(key=b"", value=value), SALT) for value in (None, b""))
    assert null.value == "null"
    assert empty.value not in ("null", empty.key)
    assert record_leaf(RECORD._replace(key=None), SALT).key == "null"
    assert record_leaf(RECORD, bytes(16)).value != record_leaf(RECORD, SALT).value


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ([("a", b"1"), ("b", b"2")], [("b", b"2"), ("a", b"1")]),
        ([("a", b"1")], [("a", b"1"), ("a", b"1")]),
        ([("a", None)], [("a", b"")]),
        ([("a", b"-")], [("a", None)]),
        ([("ab", b"")], [("a", b"b")]),
        ([], [("", None)]),
        ([("a", b"1,1:b,1:2")], [("a", b"1"), ("b", b"2")]),
    ],
)
def test_other_headers_have_other_bytes(one: list[tuple[str, bytes]], other: list[tuple[str, bytes]]) -> None:
    assert header_bytes(one) != header_bytes(other)


@given(
    st.builds(
        RawRecord,
        st.sampled_from(["finance.payment.v1", "xiezhi.dead-letter.v1"]),
        st.integers(0, 2**31),
        st.integers(0, 2**63 - 1),
        st.integers(0, 2**53),
        st.none() | st.binary(max_size=40),
        st.none() | st.binary(max_size=40),
        st.lists(st.tuples(st.text(max_size=5), st.none() | st.binary(max_size=5)), max_size=3),
    ),
    st.binary(min_size=16, max_size=16),
)
def test_a_leaf_is_read_as_it_was_written_and_small(record: RawRecord, salt: bytes) -> None:
    leaf = record_leaf(record, salt)
    assert parse(leaf.to_bytes()) == leaf
    assert len(leaf.to_bytes()) < LEAF_BYTES_MAX


@pytest.mark.parametrize(
    "leaf",
    [
        TopicLeaf("finance.payment.v1", "3cmCAphxRRelTQl1QUjUGQ", "a+b/c==", 1),
        GapLeaf("finance.payment.v1", 1, 0, 12, "cut", 1),
        GapLeaf("finance.payment.v1", 1, 3, 4, "hole", 1),
    ],
)
def test_other_kinds_are_read_as_they_were_written(leaf: Leaf) -> None:
    assert parse(leaf.to_bytes()) == leaf


GOOD = record_leaf(RECORD, SALT).to_bytes()


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        GOOD[:-1],
        GOOD + b"\n",
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"offset 12", b"offset 012"),
        GOOD.replace(b"offset 12", b"offset +12"),
        GOOD.replace(b"offset 12", "offset ١٢".encode()),
        GOOD.replace(b"ingested 1", b"ingested -0"),
        GOOD.replace(b"/v1", b"/v2"),
        GOOD.replace(b"kind record", b"kind alert"),
        GOOD.replace(b"key ", b"key  "),
        GOOD.upper(),
        GOOD.replace(b"topic finance", b"topic " + 2_000 * b"f"),
    ],
)
def test_another_spelling_is_refused(entry: bytes) -> None:
    with pytest.raises(AuditError):
        parse(entry)


def test_one_field_is_opened_without_the_others() -> None:
    assert len({field_salt(SALT, name) for name in (b"key", b"value", b"headers")}) == 3
    leaf = record_leaf(RECORD, SALT)
    opened = sha256(field_salt(SALT, b"value") + sha256(b"value").digest()).hexdigest()
    assert isinstance(leaf, RecordLeaf)
    assert opened == leaf.value
    guessed = sha256(field_salt(SALT, b"value") + sha256(b"pay-1").digest()).hexdigest()
    assert guessed != leaf.key
