"""Columns of blocks come back as they were, whatever is in them, and ordinary ones take little room."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.folds.columns import pack, unpack
from streams.kernel import exact

DETERMINISTIC = settings(derandomize=True, deadline=None, database=None)

numbers = st.one_of(
    st.integers(0, 1), st.integers(-(2**33), 2**33), st.integers(), st.fractions(max_denominator=9).map(exact)
)
texts = st.text(st.characters(codec=None) | st.sampled_from("\x1e\x1f"), max_size=9)


def columns_of(kind: Any) -> st.SearchStrategy[list[list[Any]]]:
    """One column of that kind and two of numbers, all of one length."""
    return st.integers(0, 6).flatmap(
        lambda size: st.tuples(
            st.lists(kind, min_size=size, max_size=size),
            st.lists(numbers, min_size=size, max_size=size),
            st.lists(st.integers(0, 1), min_size=size, max_size=size),
        ).map(list)
    )


@settings(DETERMINISTIC, max_examples=300)
@given(st.sampled_from([numbers, texts, st.tuples(numbers, texts)]).flatmap(columns_of))
def test_columns_come_back_as_they_were(columns: list[list[Any]]) -> None:
    first, *others = columns
    read = unpack(pack(first, *others, None, [], first))
    assert read == [first, *others, None, [], first]
    assert [type(one) for one in read[1] or []] == [type(one) for one in others[0]]


def test_a_column_that_repeats_the_first_is_another_list() -> None:
    first, other = unpack(pack([7, 9], [7, 9]))
    assert first is not other


@pytest.mark.parametrize(
    ("first", "others", "most"),
    [
        (list(range(10**6, 10**6 + 64)), [[1] * 64, list(range(10**6, 10**6 + 64)), None, []], 270),
        (list(range(10**12, 10**12 + 64)), [[1] * 64, [0] * 64, None, []], 530),
        ([f"finance.payment.v1\x1fPY-{n:012X}" for n in range(64)], [[1] * 64, [0] * 64, None, []], 300),
    ],
)
def test_what_blocks_nearly_always_hold_takes_little_room(first: Any, others: Any, most: int) -> None:
    assert len(pack(first, *others)) <= most
