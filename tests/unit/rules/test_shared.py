"""What rules share: civil days, intervals, working days, evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.kernel import Evidence
from streams.rules.days import Interval, after_working_days, day_of, start_of
from streams.rules.findings import evidence_of, merged
from tests.builders import company, day, instant, judge, person
from tests.records import holds, paid


def test_civil_days_begin_at_midnight_in_china() -> None:
    assert day_of(instant("2026-03-01 00:00")) == day("2026-03-01")
    assert day_of(instant("2026-02-28 23:59")) == day("2026-02-28")
    assert start_of(day("2026-03-01")) == instant("2026-03-01 00:00")


@pytest.mark.parametrize(
    ("start", "days", "holidays", "end"),
    [
        ("2026-03-02 09:00", 5, [], "2026-03-10 00:00"),  # a Monday
        ("2026-03-06 23:00", 1, [], "2026-03-10 00:00"),  # a Friday
        ("2026-03-07 12:00", 1, [], "2026-03-10 00:00"),  # a Saturday
        ("2026-03-06 23:00", 1, ["2026-03-09"], "2026-03-11 00:00"),
        ("2026-03-06 23:00", 0, [], "2026-03-07 00:00"),
    ],
)
def test_working_days_leave_out_weekends_and_holidays(
    start: str, days: int, holidays: list[str], end: str
) -> None:
    assert after_working_days(instant(start), days, list(map(day, holidays))) == instant(end)


bounds = st.none() | st.integers(0, 6)


@given(bounds, bounds, bounds, bounds, st.integers(-1, 7))
def test_what_intervals_have_in_common(
    a: int | None, b: int | None, c: int | None, d: int | None, moment: int
) -> None:
    one, other = Interval(a, b), Interval(c, d)
    common = one.meet(other)
    both = one.holds(moment) and other.holds(moment)
    assert both == (common is not None and common.holds(moment))
    assert common == other.meet(one)


def test_evidence_names_a_record_once_with_all_its_fields() -> None:
    payment = paid("p", "2026-02-01", 1)
    other = Evidence.of(paid("q", "2026-02-01", 1), "payee_id")
    found = merged([Evidence.of(payment, "paid_at"), other], [Evidence.of(payment, "amount_minor")])
    assert found == (replace(Evidence.of(payment), fields=("amount_minor", "paid_at")), other)


def test_evidence_of_a_relation_is_what_departments_said() -> None:
    records = [holds("1", person("x"), "a"), holds("2", company("a"), "b")]
    chain = max(judge(records).relations.values(), key=lambda one: one.content["depth"])
    assert [(one.record_id, one.source) for one in chain.evidence] == [
        (record.record_id, record.source) for record in records
    ]
    assert evidence_of(records[0], "holder_id") == (Evidence.of(records[0], "holder_id"),)
