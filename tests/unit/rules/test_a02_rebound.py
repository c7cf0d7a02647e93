"""A02: closed as rectified, and seen again in live records."""

from __future__ import annotations

import pytest

from streams.kernel import Outcome, Statement
from streams.rules.a02_rebound import _months_later
from tests.builders import alerts, instant, judge, relations
from tests.records import BUYER, accepted, announced, audited, bid, paid, rectified, signed

FOUND = audited("f-1", "C04", "2026-01-15")
CLOSED = rectified("r-1", "f-1", "C04", "2026-03-20")


def early(on: str, contract_id: str = "K-9", **fields: object) -> list[Statement]:
    """A contract of the same unit that was paid before acceptance."""
    return [
        signed(f"c-{contract_id}", contract_id=contract_id, **fields),
        paid(f"p-{contract_id}", on, 50_000, contract_id=contract_id),
        accepted(f"v-{contract_id}", "2030-01-01", contract_id=contract_id),
    ]


def said(records: list[Statement]) -> set[tuple[Outcome, str]]:
    return {(outcome, reason) for rule, outcome, reason in judge(records).outcomes if rule == "A02"}


HIT = (Outcome.HIT, "seen_again")
QUIET = (Outcome.CLEAR, "not_seen_again")


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([FOUND, CLOSED, *early("2026-06-10")], HIT),
        ([FOUND, CLOSED, *early("2026-06-10", advance_permille=500)], QUIET),  # permitted by the contract
        ([FOUND, CLOSED, *early("2026-03-19")], QUIET),  # before the closure
        ([FOUND, CLOSED, *early("2028-03-20")], HIT),
        ([FOUND, CLOSED, *early("2028-03-21")], QUIET),  # more than 24 months later
        (
            [FOUND, rectified("r-1", "f-1", "C04", None), *early("2026-06-10")],
            (Outcome.NOT_APPLICABLE, "not_closed"),
        ),
        ([FOUND, *early("2026-06-10")], (Outcome.NOT_APPLICABLE, "not_closed")),
        (
            [
                FOUND,
                rectified("r-1", "f-1", "C04", "2026-03-20", status="returned"),
                *early("2026-06-10"),
            ],
            (Outcome.NOT_APPLICABLE, "not_closed"),
        ),
        # closed again later: the last closure counts
        ([FOUND, CLOSED, rectified("r-2", "f-1", "C04", "2026-07-01"), *early("2026-06-10")], QUIET),
        ([FOUND, CLOSED], QUIET),
        ([CLOSED, *early("2026-06-10")], (Outcome.INSUFFICIENT_DATA, "finding_missing")),
        (early("2026-06-10"), (Outcome.NOT_APPLICABLE, "never_found")),
    ],
)
def test_a_violation_after_the_closure_within_the_window(
    records: list[Statement], expected: tuple[Outcome, str]
) -> None:
    assert said(records) == {expected}


def test_another_rule_or_unit_is_no_rebound() -> None:
    other_rule = [audited("f-1", "C03", "2026-01-15"), rectified("r-1", "f-1", "C03", "2026-03-20")]
    assert alerts([*other_rule, *early("2026-06-10")], "A02") == []
    assert alerts([FOUND, CLOSED, *early("2026-06-10", buyer_id="ZZ-TEST-other")], "A02") == []


def test_an_alert_tells_the_first_time_and_cites_the_live_records() -> None:
    records = [FOUND, CLOSED, *early("2026-06-10"), *early("2026-05-10", "K-8")]
    alert = alerts(records, "A02")[0]
    assert alert.content["subject"] == {"finding_id": "f-1"}
    assert alert.content["office"] == BUYER
    assert alert.content["explanation"]["zh"].count("2026-05-10") == 1
    assert {one.record_id for one in alert.evidence} == {
        "f-1",
        "r-1",
        *(f"{kind}-{contract}" for kind in "cpv" for contract in ("K-8", "K-9")),
    }


def test_two_findings_of_one_unit_and_rule_are_two_alerts() -> None:
    second = [audited("f-2", "C04", "2026-02-15"), rectified("r-2", "f-2", "C04", "2026-04-20")]
    assert len(alerts([FOUND, CLOSED, *second, *early("2026-06-10")], "A02")) == 2


def test_a_violation_of_a_procedure_counts_too() -> None:
    records = [
        audited("f-1", "P01", "2026-01-15"),
        rectified("r-1", "f-1", "P01", "2026-02-20"),
        announced(bid_deadline=instant("2026-03-05")),
        bid("1", "a"),
    ]
    told = {one["attributes"]["violation"]: one["attributes"] for one in relations(records, "violation")}
    assert told["P01"] == {
        "unit_id": BUYER,
        "violation": "P01",
        "occurred_ms": str(instant("2026-03-01")),
        "established_ms": str(instant("2026-03-01 10:00")),
        "procedure_id": "P-1",
    }
    assert len(alerts(records, "A02")) == 1


@pytest.mark.parametrize(
    ("start", "months", "end"),
    [
        ("2024-01-31", 1, "2024-02-29"),
        ("2023-01-31", 1, "2023-02-28"),
        ("2024-02-29", 24, "2026-02-28"),
        ("2025-11-05", 14, "2027-01-05"),
    ],
)
def test_months_end_on_the_same_day_or_the_last(start: str, months: int, end: str) -> None:
    assert _months_later(instant(start), months) == instant(end)


def test_a_violation_at_the_moment_of_the_closure_is_what_was_closed() -> None:
    assert said([FOUND, CLOSED, *early("2026-03-20")]) == {QUIET}
    assert said([FOUND, CLOSED, *early("2026-03-20 09:01")]) == {HIT}
