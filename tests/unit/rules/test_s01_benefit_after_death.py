"""S01: a benefit for a period after the death."""

from __future__ import annotations

import pytest

from streams.kernel import Outcome, Statement
from tests.builders import day, findings, instant, outcome, person
from tests.records import died, granted

KEY = person("x")
HIT = (Outcome.HIT, "paid_after_death")
CLEAR = (Outcome.CLEAR, "none_after_death")


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        # 31 days of grace after 1 March end on 1 April
        ([died("d", "x", "2026-03-01"), granted("a", "x", "2026-04-01", "2026-04-30")], CLEAR),
        ([died("d", "x", "2026-03-01"), granted("a", "x", "2026-04-02", "2026-04-30")], HIT),
        ([died("d", "x", "2026-03-01"), granted("a", "x", "2026-03-01", "2026-12-31")], CLEAR),
        # paid late for a time in which the person lived
        (
            [
                died("d", "x", "2026-03-01"),
                granted("a", "x", "2026-02-01", "2026-02-28", paid_at=1_790_000_000_000),
            ],
            CLEAR,
        ),
        (
            [died("d", "x", "2026-03-01"), granted("a", "x", "2026-05-01", "2026-05-31", kind="funeral")],
            CLEAR,
        ),
        (
            [died("d", "x", "2026-03-01"), granted("a", "x", "2026-05-01", "2026-05-31", kind="survivor")],
            CLEAR,
        ),
        ([died("d", "x", "2026-03-01"), granted("a", "x", "2026-05-01", "2026-05-31", kind="pension")], HIT),
        # registers that disagree: the later day
        (
            [
                died("d", "x", "2026-03-01"),
                died("e", "x", "2026-04-15"),
                granted("a", "x", "2026-05-01", "2026-05-31"),
            ],
            CLEAR,
        ),
        (
            [
                died("d", "x", "2026-03-01"),
                granted("a", "x", "2026-05-01", "2026-05-31"),
                granted("b", "x", "2026-06-01", "2026-06-30", currency="HKD"),
            ],
            (Outcome.HIT, "paid_after_death_in_several_currencies"),
        ),
        ([granted("a", "x", "2026-05-01", "2026-05-31")], (Outcome.NOT_APPLICABLE, "no_death_registered")),
        ([died("d", "x", "2026-03-01")], (Outcome.INSUFFICIENT_DATA, "allowances_missing")),
    ],
)
def test_periods_after_death_and_grace(records: list[Statement], expected: tuple[Outcome, str]) -> None:
    assert outcome(findings("S01", KEY, records)) == expected


def test_each_scheme_is_a_finding_of_its_own() -> None:
    records = [
        died("d", "x", "2026-03-01"),
        granted("before", "x", "2026-02-01", "2026-02-28"),
        granted("a", "x", "2026-05-01", "2026-05-31"),
        granted("b", "x", "2026-06-01", "2026-06-30"),
        granted("c", "x", "2026-06-01", "2026-06-30", scheme="pension", kind="pension"),
    ]
    found = findings("S01", KEY, records)
    assert [dict(one.subject) for one in found] == [
        {"person": KEY, "scheme": "low-income"},
        {"person": KEY, "scheme": "pension"},
    ]
    assert found[0].numbers["payments"] == 2
    assert found[0].numbers["total_minor"] == 100_000
    assert found[0].numbers["first_from_on"] == day("2026-05-01")
    assert found[0].numbers["occurred_ms"] == instant("2026-06-30")
    assert [one.record_id for one in found[0].evidence] == ["a", "b", "d"]
