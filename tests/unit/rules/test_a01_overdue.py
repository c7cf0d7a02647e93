"""A01: the deadline of a rectification has passed, and nobody accepted one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from streams.evaluation import ActiveRule
from streams.kernel import Finding, Outcome, Statement
from tests.builders import alerts, calendar_of, findings, instant, judge, only, outcome, with_parameters
from tests.records import BUYER, audited, rectified

KEY = f"{BUYER}#C04"
FOUND = audited("f-1", "C04", "2026-01-15")
#: Sixty days after 2026-01-15 are over with 2026-03-16, five working days later with 2026-03-23.
SPEAKS = "2026-03-24 00:00"
NOT_DUE = (Outcome.NOT_APPLICABLE, "not_due")
NOTHING = (Outcome.HIT, "nothing_reported")


def report(record_id: str = "r-1", status: str = "reported", **fields: Any) -> Statement:
    return rectified(record_id, "f-1", "C04", None, **{"status": status, **fields})


def said(*statements: Statement, now: str | int = "2026-06-01") -> tuple[Outcome, str]:
    return outcome(findings("A01", KEY, statements, pack="cn", now=now))


@pytest.mark.parametrize(
    ("records", "now", "expected"),
    [
        ([FOUND], 0, NOT_DUE),
        ([FOUND], "2026-03-16 23:59", NOT_DUE),
        ([FOUND], "2026-03-17 00:00", (Outcome.INSUFFICIENT_DATA, "awaiting_record")),
        ([FOUND], "2026-03-23 23:59", (Outcome.INSUFFICIENT_DATA, "awaiting_record")),
        ([FOUND], SPEAKS, NOTHING),
        ([FOUND, report()], SPEAKS, (Outcome.HIT, "not_accepted")),
        ([FOUND, report(status="returned")], SPEAKS, (Outcome.HIT, "not_accepted")),
        # an acceptance of another finding of the same unit and rule closes nothing
        (
            [FOUND, rectified("r-2", "f-2", "C04", "2026-02-01"), audited("f-2", "C04", "2026-01-20")],
            SPEAKS,
            None,
        ),
        ([FOUND, rectified("r-1", "f-1", "C04", "2026-02-20")], SPEAKS, (Outcome.CLEAR, "closed_in_time")),
        (
            [FOUND, rectified("r-1", "f-1", "C04", "2026-03-16 23:59")],
            SPEAKS,
            (Outcome.CLEAR, "closed_in_time"),
        ),
        (
            [FOUND, rectified("r-1", "f-1", "C04", "2026-03-17 00:00")],
            SPEAKS,
            (Outcome.CLEAR, "closed_late"),
        ),
        (
            [rectified("r-1", "f-1", "C04", "2026-02-20")],
            SPEAKS,
            (Outcome.INSUFFICIENT_DATA, "finding_missing"),
        ),
        ([report()], SPEAKS, (Outcome.NOT_APPLICABLE, "never_found")),
    ],
)
def test_the_deadline_the_wait_and_what_ends_them(
    records: Sequence[Statement], now: str | int, expected: tuple[Outcome, str] | None
) -> None:
    found = findings("A01", KEY, records, pack="cn", now=now)
    if expected is None:
        assert {(one.outcome, one.reason) for one in found} == {NOTHING, (Outcome.CLEAR, "closed_in_time")}
    else:
        assert outcome(found) == expected


def test_it_asks_to_be_woken_when_the_deadline_and_when_the_wait_ends() -> None:
    def wakes(now: str | int) -> int | None:
        return only(findings("A01", KEY, [FOUND], pack="cn", now=now)).wake_at_ms

    assert wakes(0) == instant("2026-03-17 00:00")
    assert wakes("2026-03-17 00:00") == instant(SPEAKS)
    assert wakes(SPEAKS) is None


def test_the_wait_leaves_out_the_spring_festival_and_counts_swapped_days() -> None:
    """60 days after 2025-12-16 end on Saturday 2026-02-14, which was worked; the festival ended on 02-23."""
    found = audited("f-1", "C04", "2025-12-16")
    assert said(found, now="2026-02-28 23:59") == (Outcome.INSUFFICIENT_DATA, "awaiting_record")
    # 24, 25, 26, 27 and Saturday 28 February, which was worked
    assert said(found, now="2026-03-01 00:00") == NOTHING


def test_an_alert_names_the_deadline_and_cites_finding_and_reports() -> None:
    [alert] = alerts([FOUND, report(), report("r-2", "returned")], "A01", pack="cn")
    assert alert.content["subject"] == {"finding_id": "f-1"}
    assert (alert.content["office"], alert.content["severity"]) == (BUYER, "orange")
    assert "60（自然日），已于 2026-03-16 届满，整改报告 2 份" in alert.content["explanation"]["zh"]
    assert "within 60 natural days, by 2026-03-16" in alert.content["explanation"]["en"]
    assert {one.record_id for one in alert.evidence} == {"f-1", "r-1", "r-2"}


def test_a_late_record_takes_the_alert_back_and_its_own_withdrawal_brings_it_again() -> None:
    late = rectified("r-1", "f-1", "C04", "2026-05-20")
    returned = rectified("r-1", "f-1", "C04", None, status="returned", version=1)
    [before] = alerts([FOUND], "A01", pack="cn")
    assert alerts([FOUND, late], "A01", pack="cn") == []
    [after] = alerts([FOUND, returned], "A01", pack="cn")
    assert after.id == before.id


def test_a_finding_that_arrives_long_after_its_deadline_settles_first() -> None:
    """Its rectification may be the next record to come."""
    late = audited("f-1", "C04", "2024-01-15", ingested="2026-06-01 10:00:00")
    assert alerts([late], "A01", pack="cn", now="2026-06-01 10:00:19") == []
    assert len(alerts([late], "A01", pack="cn", now="2026-06-01 10:00:20")) == 1


def test_a_report_that_is_not_accepted_does_not_start_the_settle_time_again() -> None:
    news = report(ingested="2026-06-01 10:00:00")
    assert len(alerts([FOUND, news], "A01", pack="cn", now="2026-06-01 10:00:01")) == 1


def test_two_findings_of_one_unit_and_rule_are_judged_each() -> None:
    second = audited("f-2", "C04", "2026-01-20")
    closed = rectified("r-2", "f-2", "C04", "2026-02-20")
    assert len(alerts([FOUND, second], "A01", pack="cn")) == 2
    assert [one.content["subject"] for one in alerts([FOUND, second, closed], "A01", pack="cn")] == [
        {"finding_id": "f-1"}
    ]


def told(**values: Any) -> Mapping[str, ActiveRule]:
    """Ten days, three days to wait, a calendar that knows 2026."""
    given = {
        "deadline_days": 10,
        "day_count": "working",
        "wait_working_days": 3,
        "working_days": calendar_of(2026),
    }
    return with_parameters("A01", **{**given, **values})


def judged(rules: Mapping[str, ActiveRule], *statements: Statement, now: str) -> set[tuple[Outcome, str]]:
    answer = judge(statements, now=now, active=rules)
    return {(outcome, reason) for rule, outcome, reason in answer.outcomes if rule == "A01"}


def test_the_deadline_may_count_working_days() -> None:
    """Ten working days after Thursday 2026-01-15 are over with Thursday 2026-01-29, three more with 02-03."""
    waiting = {(Outcome.INSUFFICIENT_DATA, "awaiting_record")}
    assert judged(told(), FOUND, now="2026-01-29 23:59") == {NOT_DUE}
    assert judged(told(), FOUND, now="2026-01-30 00:00") == waiting
    assert judged(told(), FOUND, now="2026-02-03 23:59") == waiting
    assert judged(told(), FOUND, now="2026-02-04 00:00") == {NOTHING}
    assert judged(told(day_count="natural"), FOUND, now="2026-01-29 00:00") == {NOTHING}


@pytest.mark.parametrize("day_count", ["working", "natural"])
def test_a_year_that_the_calendar_does_not_know_is_no_reason_to_accuse(day_count: str) -> None:
    rules, found = told(day_count=day_count), audited("f-1", "C04", "2026-12-14")
    assert judged(rules, found, now="2035-01-01") == {(Outcome.INSUFFICIENT_DATA, "calendar_missing")}
    closed = {
        "working": (Outcome.CLEAR, "closed"),
        "natural": (Outcome.CLEAR, "closed_in_time"),
    }
    acceptance = rectified("r-1", "f-1", "C04", "2026-12-20")
    assert judged(rules, found, acceptance, now="2035-01-01") == {closed[day_count]}
    known = told(day_count=day_count, working_days=calendar_of(2026, 2027))
    assert judged(known, found, now="2035-01-01") == {NOTHING}


def test_numbers_do_not_depend_on_the_clock() -> None:
    """Otherwise every tick would change the alert."""

    def content(now: str) -> Finding:
        return only(findings("A01", KEY, [FOUND], pack="cn", now=now))

    assert content(SPEAKS) == content("2030-01-01")
