"""What rules share: civil days, intervals, working days, evidence."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from streams.kernel import Evidence, View
from streams.rules.days import Interval, day_of, end_of_natural_days, start_of
from streams.rules.findings import evidence_of, merged
from tests.builders import company, day, instant, judge, person
from tests.records import holds, paid


def test_civil_days_begin_at_midnight_in_china() -> None:
    assert day_of(instant("2026-03-01 00:00")) == day("2026-03-01")
    assert day_of(instant("2026-02-28 23:59")) == day("2026-02-28")
    assert start_of(day("2026-03-01")) == instant("2026-03-01 00:00")


def test_natural_days_end_with_the_last_of_them() -> None:
    assert end_of_natural_days(instant("2026-03-02 23:59"), 0) == instant("2026-03-03 00:00")
    assert end_of_natural_days(instant("2026-03-02 00:00"), 60) == instant("2026-05-02 00:00")


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


def test_what_several_rules_read_of_a_view_is_made_once_for_each_view() -> None:
    payments = [paid("p", "2026-02-01", 1), paid("q", "2026-02-02", 2)]
    asked: list[View] = []

    def amounts(view: View) -> list[int]:
        asked.append(view)
        return [one["amount_minor"] for one in view.statements]

    views = [View("k", payments), View("k", payments[1:])]
    first = views[0].once(amounts)
    assert first is views[0].once(amounts)
    assert views[1].once(amounts) == first[1:]
    assert asked == views


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
