"""C01 keeps the rises that it knows; the definition looks at all that is known after each record. Both say the same."""

from __future__ import annotations

import time
from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import catalogue
from streams.kernel import Statement
from streams.rules import c01_frequent_changes as c01
from streams.rules.days import DAY_MS
from streams.rules.ledger import stated_value
from streams.rules.standing import standing_since_ms
from tests.builders import instant
from tests.ingestion import ingested
from tests.records import amended, signed

FIRST_MS = instant("2026-02-01")


def by_definition(
    contracts: Iterable[Statement], amendments: Iterable[Statement], limits: c01._Limits
) -> int | None:
    """Since when, by looking at everything after each record: O(n²)."""
    held: list[Statement] = []
    known: list[Statement] = []

    def too_many_with(entry: Statement) -> bool:
        if entry.record_type == catalogue.CONTRACT.topic:
            insort(held, entry, key=lambda contract: (contract.occurred_ms, contract.record_id))
        else:
            insort(known, entry, key=lambda a: (a["amended_at"], a.record_id))
        if not held or held[-1]["status"] == "cancelled":
            return False
        counted = sum(c01._counts(one, limits) for one in known)
        return counted >= limits.changes_min or are_close(rises(held[-1], known, limits), limits)

    return standing_since_ms((*contracts, *amendments), too_many_with)


def rises(contract: Statement, amendments: Iterable[Statement], limits: c01._Limits) -> list[Statement]:
    found, before = [], contract
    for amendment in amendments:
        if amendment["amount_minor_after"] is None:
            continue
        old, new = stated_value(before), stated_value(amendment)
        is_rise = old and new and new > old and before["currency"] == amendment["currency"]
        if is_rise and not c01._is_excused(amendment, limits.excused):
            found.append(amendment)
        before = amendment
    return found


def are_close(found: Sequence[Statement], limits: c01._Limits) -> bool:
    runs = [found[end - limits.rises_min : end] for end in range(limits.rises_min, len(found) + 1)]
    return any(run[-1]["amended_at"] - run[0]["amended_at"] <= limits.window_days * DAY_MS for run in runs)


def contract_of(number: int, drawn: tuple[int, int, int]) -> Statement:
    day, amount, minute = drawn
    status = "cancelled" if amount == 0 else "active"
    record = signed(
        f"c{number}", occurred=f"2026-01-{day + 1:02}", amount_minor=amount * 50 or None, status=status
    )
    return ingested(record, minute)


def amendment_of(number: int, drawn: tuple[int, int | None, int, int]) -> Statement:
    day, amount, kind, minute = drawn
    more: dict[str, Any] = {"amended_at": FIRST_MS + day * DAY_MS, "currency": "USD" if kind == 3 else "CNY"}
    more["ground"] = "index_clause" if kind == 1 else "none"
    return ingested(amended(f"a{number}", "2026-02-01", amount, **more), minute)


@settings(deadline=None, derandomize=True, max_examples=1_500)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 4), st.integers(0, 12)), max_size=3),
    st.lists(
        st.tuples(st.integers(0, 12), st.none() | st.integers(0, 300), st.integers(0, 3), st.integers(0, 12)),
        max_size=14,
    ),
    st.integers(1, 3),
    st.integers(0, 4),
    st.sampled_from((4, 1_000)),
)
def test_kept_rises_stand_since_when_the_definition_says(
    drawn_contracts: list[tuple[int, int, int]],
    drawn: list[tuple[int, int | None, int, int]],
    rises_min: int,
    window_days: int,
    changes_min: int,
) -> None:
    limits = c01._Limits(("index_clause",), changes_min, rises_min, window_days)
    contracts = [contract_of(number, one) for number, one in enumerate(drawn_contracts)]
    amendments = [amendment_of(number, one) for number, one in enumerate(drawn)]
    expected = by_definition(contracts, amendments, limits)
    assert c01._standing_since_ms(contracts, amendments, limits) == expected


@pytest.mark.parametrize("ground", ["index_clause", "none"])
def test_thousands_of_amendments_take_no_longer_than_reading_them(ground: str) -> None:
    """The definition takes some seconds for the excused ones: a HIT that waits would hold its partition up."""
    limits = c01._Limits(("index_clause",), 10**9, 2, 0)
    many = [
        replace(one, value={**one.value, "amended_at": FIRST_MS + number * DAY_MS})
        for number in range(4_000)
        for one in [ingested(amended(f"a{number}", "2026-02-01", 100_001 + number, ground=ground), number)]
    ]
    begun_s = time.process_time()
    assert c01._standing_since_ms([ingested(signed(), 0)], many, limits) is None
    assert time.process_time() - begun_s < 1.0
