"""C01: frequent changes of a contract, and repeated price rises."""

from __future__ import annotations

import pytest

from streams.kernel import Outcome, Statement
from tests.builders import findings, instant, only, outcome
from tests.records import BUYER, CONTRACT_ID, amended, signed

CLEAR = (Outcome.CLEAR, "few_changes")
FREQUENT = (Outcome.HIT, "frequent_changes")
RISES = (Outcome.HIT, "repeated_price_rises")


def ordered(record_id: str, on: str, order: str) -> Statement:
    """A change under a force majeure order of a day."""
    return amended(record_id, on, ground="force_majeure_order", ordered_at=instant(order))


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([signed(), amended("a", "2026-02-01"), amended("b", "2026-03-01")], CLEAR),
        (
            [signed(), amended("a", "2026-02-01"), amended("b", "2026-03-01"), amended("c", "2027-03-01")],
            FREQUENT,
        ),
        # an amendment that changes nothing of substance does not count
        (
            [
                signed(),
                amended("a", "2026-02-01"),
                amended("b", "2026-03-01"),
                amended("c", "2026-04-01", changes=[]),
            ],
            CLEAR,
        ),
        # under an order given before the change; an order given afterwards excuses nothing
        (
            [
                signed(),
                ordered("a", "2026-02-01", "2026-01-20"),
                ordered("b", "2026-03-01", "2026-03-01"),
                ordered("c", "2026-04-01", "2026-03-20"),
            ],
            CLEAR,
        ),
        (
            [
                signed(),
                ordered("a", "2026-02-01", "2026-02-02"),
                amended("b", "2026-03-01"),
                amended("c", "2026-04-01", ground="other"),
            ],
            FREQUENT,
        ),
        # index clauses are lawful as such
        (
            [
                signed(),
                amended("a", "2026-02-01", 110_000, ground="index_clause"),
                amended("b", "2026-03-01", 120_000, ground="index_clause"),
                amended("c", "2026-04-01", 130_000, ground="index_clause"),
            ],
            CLEAR,
        ),
        # two rises within ninety days, one day more, a fall between
        ([signed(), amended("a", "2026-02-01", 110_000), amended("b", "2026-05-02", 120_000)], RISES),
        ([signed(), amended("a", "2026-02-01", 110_000), amended("b", "2026-05-03", 120_000)], CLEAR),
        ([signed(), amended("a", "2026-02-01", 110_000), amended("b", "2026-03-01", 105_000)], CLEAR),
        ([signed(), amended("a", "2026-02-01", 90_000), amended("b", "2026-03-01", 100_000)], CLEAR),
        # an excused rise moves the value but is not counted
        (
            [
                signed(),
                amended("a", "2026-02-01", 150_000, ground="index_clause"),
                amended("b", "2026-03-01", 120_000),
            ],
            CLEAR,
        ),
        # what a value in another currency is worth is unknown
        (
            [
                signed(),
                amended("a", "2026-02-01", 110_000),
                amended("b", "2026-03-01", 120_000, currency="EUR"),
            ],
            CLEAR,
        ),
        (
            [
                signed(amount_minor=None, currency=None),
                amended("a", "2026-02-01"),
                amended("b", "2026-03-01"),
                amended("c", "2026-04-01"),
            ],
            (Outcome.HIT, "frequent_changes_of_unstated_value"),
        ),
        ([signed()], (Outcome.NOT_APPLICABLE, "no_amendments")),
        (
            [signed(status="cancelled"), amended("a", "2026-02-01")],
            (Outcome.NOT_APPLICABLE, "contract_cancelled"),
        ),
        ([amended("a", "2026-02-01")], (Outcome.INSUFFICIENT_DATA, "contract_missing")),
    ],
)
def test_changes_are_counted_without_the_excused_ones(
    records: list[Statement], expected: tuple[Outcome, str]
) -> None:
    assert outcome(findings("C01", CONTRACT_ID, records)) == expected


def test_four_changes_and_growth_are_one_finding() -> None:
    records = [
        signed(),
        amended("a", "2026-02-01", 110_000),
        amended("b", "2026-03-01", 120_000),
        amended("c", "2026-04-01"),
        amended("d", "2026-05-01", 127_000),
    ]
    found = only(findings("C01", CONTRACT_ID, records))
    assert found.numbers == {
        "changes": 4,
        "first_ms": instant("2026-02-01"),
        "occurred_ms": instant("2026-05-01"),
        "value_before_minor": 100_000,
        "value_now_minor": 127_000,
        "growth_permille": 270,
        "currency": "CNY",
    }
    assert {one.record_id for one in found.evidence} == {"contract", "a", "b", "c", "d"}


def three(last: Statement) -> tuple[Outcome, str]:
    """What is said when two plain changes stand beside `last`."""
    return outcome(
        findings("C01", CONTRACT_ID, [signed(), amended("x", "2026-02-01"), amended("y", "2026-02-02"), last])
    )


def test_an_order_excuses_only_what_rests_on_it_and_comes_no_earlier() -> None:
    assert three(ordered("z", "2026-03-01", "2026-03-01 09:00")) == CLEAR
    assert three(ordered("z", "2026-03-01", "2026-03-01 09:01")) == FREQUENT
    assert three(amended("z", "2026-03-01", ordered_at=instant("2026-01-01"))) == FREQUENT


def test_restating_the_same_value_is_no_rise() -> None:
    records = [signed(), amended("a", "2026-02-01", 110_000), amended("b", "2026-02-02", 110_000)]
    assert outcome(findings("C01", CONTRACT_ID, records)) == CLEAR


def test_repeated_rises_are_told_by_the_last_pair_within_the_window() -> None:
    records = [
        signed(),
        ordered("a", "2026-01-10", "2026-01-09"),
        amended("b", "2026-01-20", 105_000, ground="index_clause"),
        amended("c", "2026-02-01", 110_000),
        amended("d", "2026-03-01", 120_000, jurisdiction="330108000000"),
        amended("e", "2026-12-31", 130_000, ground="index_clause"),
    ]
    found = only(findings("C01", CONTRACT_ID, records))
    assert found.numbers == {
        "rises": 2,
        "window_days": 90,
        "first_ms": instant("2026-02-01"),
        "occurred_ms": instant("2026-03-01"),
        "value_now_minor": 120_000,
        "currency": "CNY",
    }
    assert found.jurisdiction == "330108000000"
    assert {one.record_id for one in found.evidence} == {"contract", "c", "d"}


def test_of_several_contract_records_the_newest_speaks() -> None:
    older = signed(
        "older", occurred="2026-01-01", status="cancelled", amount_minor=1, buyer_id="ZZ-TEST-former"
    )
    changes = [amended("a", "2026-02-01"), amended("b", "2026-03-01"), amended("c", "2026-04-01")]
    found = only(findings("C01", CONTRACT_ID, [older, signed(), *changes]))
    assert (found.office, found.numbers["value_before_minor"]) == (BUYER, 100_000)
