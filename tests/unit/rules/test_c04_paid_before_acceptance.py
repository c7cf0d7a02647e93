"""C04: paid before acceptance, beyond the lawful advance."""

from __future__ import annotations

import pytest

from streams.kernel import Outcome, Statement
from tests.builders import calendar_of, findings, instant, judge, only, outcome, with_parameters
from tests.records import CONTRACT_ID, accepted, amended, paid, signed

HIT = (Outcome.HIT, "paid_before_acceptance")
CLEAR = (Outcome.CLEAR, "nothing_paid_early")


def said(*statements: Statement, now: str = "2035-01-01") -> tuple[Outcome, str]:
    return outcome(findings("C04", CONTRACT_ID, statements, now=now))


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([signed(), paid("p", "2026-03-01", 100_000), accepted("v", "2026-03-02")], HIT),
        ([signed(), paid("p", "2026-03-02", 100_000), accepted("v", "2026-03-02")], CLEAR),
        ([signed(), paid("p", "2026-03-01", 1), accepted("v", "2026-03-02")], HIT),
        # the lawful advance, its tolerance of 0.5 %, and one fen more
        ([signed(advance_permille=300), paid("p", "2026-03-01", 30_000), accepted("v", "2026-03-02")], CLEAR),
        ([signed(advance_permille=300), paid("p", "2026-03-01", 30_150), accepted("v", "2026-03-02")], CLEAR),
        ([signed(advance_permille=300), paid("p", "2026-03-01", 30_151), accepted("v", "2026-03-02")], HIT),
        # two payments that each lie within the advance, but not together
        (
            [
                signed(advance_permille=300),
                paid("p", "2026-03-01", 20_000),
                paid("q", "2026-03-02", 20_000),
                accepted("v", "2026-03-03"),
            ],
            HIT,
        ),
        # parts that were accepted add up, and come on top of the advance
        (
            [
                signed(advance_permille=100),
                accepted("v", "2026-03-01", 300, outcome="partial"),
                accepted("w", "2026-03-02", 200, outcome="partial"),
                paid("p", "2026-03-03", 60_000),
                accepted("x", "2026-03-04", 500),
            ],
            CLEAR,
        ),
        (
            [
                signed(),
                accepted("v", "2026-03-01", 300, outcome="partial"),
                paid("p", "2026-03-03", 60_000),
                accepted("x", "2026-03-04", 700),
            ],
            HIT,
        ),
        # a rejection accepts nothing
        ([signed(), accepted("v", "2026-03-01", outcome="rejected"), paid("p", "2026-03-02", 50_000)], HIT),
        # once everything is accepted this rule is silent; overpayment is another matter
        ([signed(), accepted("v", "2026-03-01"), paid("p", "2026-03-02", 900_000)], CLEAR),
        # the value in force on the day of the payment
        (
            [
                signed(advance_permille=500),
                amended("a", "2026-02-01", 200_000),
                paid("p", "2026-03-01", 100_000),
                accepted("v", "2026-03-02"),
            ],
            CLEAR,
        ),
        (
            [
                signed(advance_permille=500),
                amended("a", "2026-03-02", 200_000),
                paid("p", "2026-03-01", 100_000),
                accepted("v", "2026-03-03"),
            ],
            HIT,
        ),
        # money that came back before the next payment
        (
            [
                signed(advance_permille=300),
                paid("p", "2026-03-01", 30_000),
                paid("r", "2026-03-02", 30_000, kind="refund"),
                paid("q", "2026-03-03", 30_000),
                accepted("v", "2026-03-04"),
            ],
            CLEAR,
        ),
        (
            [signed(status="cancelled"), paid("p", "2026-03-01", 1)],
            (Outcome.NOT_APPLICABLE, "contract_cancelled"),
        ),
        ([paid("p", "2026-03-01", 1)], (Outcome.INSUFFICIENT_DATA, "contract_missing")),
        ([signed(), accepted("v", "2026-03-01")], (Outcome.INSUFFICIENT_DATA, "payments_missing")),
        (
            [signed(amount_minor=None, currency=None), paid("p", "2026-03-01", 1)],
            (Outcome.INSUFFICIENT_DATA, "value_missing"),
        ),
        (
            [signed(), paid("p", "2026-03-01", 1, currency="EUR")],
            (Outcome.INSUFFICIENT_DATA, "currency_differs"),
        ),
    ],
)
def test_payments_against_what_was_payable_then(
    records: list[Statement], expected: tuple[Outcome, str]
) -> None:
    assert said(*records) == expected


def test_without_an_acceptance_it_waits_five_working_days_and_asks_to_be_woken() -> None:
    friday = [signed(), paid("p", "2026-03-06 16:00", 50_000)]
    waiting = only(findings("C04", CONTRACT_ID, friday, now="2026-03-13 23:59"))
    assert (waiting.outcome, waiting.reason) == (Outcome.INSUFFICIENT_DATA, "awaiting_acceptance")
    assert waiting.wake_at_ms == instant("2026-03-14 00:00")
    assert said(*friday, now="2026-03-14 00:00") == HIT


def test_before_the_first_tick_it_waits() -> None:
    found = only(findings("C04", CONTRACT_ID, [signed(), paid("p", "2026-03-06", 50_000)], now=0))
    assert found.reason == "awaiting_acceptance"


def test_a_later_acceptance_proves_it_at_once() -> None:
    records = [signed(), paid("p", "2026-03-06", 50_000), accepted("v", "2026-03-07")]
    assert said(*records, now="2026-03-07") == HIT


def test_a_hit_speaks_of_the_last_early_payment() -> None:
    records = [
        signed(advance_permille=100),
        paid("p", "2026-03-01", 40_000),
        accepted("v", "2026-03-10", 300, outcome="partial"),
        paid("q", "2026-06-01", 20_000),
        accepted("w", "2026-06-20", 700),
        paid("s", "2026-07-01", 40_000),
    ]
    found = only(findings("C04", CONTRACT_ID, records))
    assert found.numbers == {
        "payments": 2,
        "paid_minor": 60_000,
        "payable_minor": 40_000,
        "value_minor": 100_000,
        "advance_permille": 100,
        "accepted_permille": 300,
        "currency": "CNY",
        "occurred_ms": instant("2026-06-01"),
    }
    assert [one.record_id for one in found.evidence] == ["p", "q", "v", "w", "contract"]


def test_it_stands_since_all_that_the_first_early_payment_rests_on_was_ingested() -> None:
    records = [
        signed(ingested="2026-06-01 10:02"),
        paid("p", "2026-03-01", 40_000, ingested="2026-06-01 10:01"),
        accepted("v", "2026-03-10", ingested="2026-06-01 10:09"),
        paid("q", "2026-03-05", 40_000, ingested="2026-06-01 10:08"),
    ]
    assert only(findings("C04", CONTRACT_ID, records)).established_ms == instant("2026-06-01 10:02")


def test_a_part_accepted_at_the_same_instant_proves_nothing_yet() -> None:
    records = [signed(), paid("p", "2026-03-06", 50_000), accepted("v", "2026-03-06", 300, outcome="partial")]
    assert said(*records, now="2026-03-09")[1] == "awaiting_acceptance"
    assert said(*records, accepted("w", "2026-03-07", 700), now="2026-03-09") == HIT


def test_the_earliest_of_several_waits_wakes_it() -> None:
    records = [signed(), paid("p", "2026-03-06", 20_000), paid("q", "2026-03-11", 20_000)]
    found = only(findings("C04", CONTRACT_ID, records, now="2026-03-12"))
    assert found.wake_at_ms == instant("2026-03-14 00:00")
    found = only(findings("C04", CONTRACT_ID, [*records, paid("r", "2026-03-13", 1)], now="2026-03-15"))
    assert (found.outcome, found.numbers["payments"]) == (Outcome.HIT, 1)
    assert found.wake_at_ms == instant("2026-03-19 00:00")


def test_holidays_prolong_the_wait() -> None:
    calendar = calendar_of(2026, free=["03-09", "03-10"])
    rules = with_parameters("C04", tolerance_permille=5, wait_working_days=1, working_days=calendar)
    records = [signed(), paid("p", "2026-03-06", 50_000)]
    early = judge(records, now="2026-03-11 23:59", active=rules)
    assert not early.alerts
    late = judge(records, now="2026-03-12 00:00", active=rules)
    assert [one.owner for one in late.alerts.values()] == ["C04"]


def test_where_the_calendar_ends_it_says_so_and_a_later_acceptance_still_proves_it() -> None:
    known = with_parameters("C04", tolerance_permille=5, wait_working_days=5, working_days=calendar_of(2026))
    records = [signed(), paid("p", "2026-12-21", 50_000)]
    answer = judge(records, now="2035-01-01", active=known)
    assert ("C04", Outcome.INSUFFICIENT_DATA, "calendar_missing") in answer.outcomes
    assert not answer.alerts
    proven = judge([*records, accepted("v", "2027-01-20")], now="2035-01-01", active=known)
    assert [one.owner for one in proven.alerts.values()] == ["C04"]


def test_changes_after_the_payment_are_no_evidence() -> None:
    records = [
        signed(advance_permille=500),
        paid("p", "2026-03-01", 90_000),
        amended("a", "2026-03-02", 200_000),
        amended("b", "2026-02-02", 110_000),
        accepted("v", "2026-03-03"),
    ]
    found = only(findings("C04", CONTRACT_ID, records))
    assert [one.record_id for one in found.evidence] == ["p", "v", "b", "contract"]
