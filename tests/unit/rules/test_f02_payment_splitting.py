"""F02: payments below the limit of approval that reach it together within a few working days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.folds.recomputed import Recomputed
from streams.joins import payment_series
from streams.kernel import Finding, Outcome, Parameters, Statement
from streams.rules import f02_payment_splitting
from streams.rules.days import day_of
from streams.rules.f02_payment_splitting import EVIDENCE_MAX, LARGE_MAX, PERIOD_DAYS, evaluate
from streams.rules.working_days import WorkingDays
from tests.builders import (
    Pack,
    active_rules,
    alerts,
    calendar_of,
    check_against_card,
    company,
    day,
    findings,
    instant,
    only,
    outcome,
    with_parameters,
)
from tests.records import BUYER, SUPPLIER, paid

LIMIT = 20_000_000
HIT = (Outcome.HIT, "split_below_limit")
CLEAR = (Outcome.CLEAR, "below_limit_together")


def spent(record_id: str, on: str, amount_minor: int, **fields: Any) -> Statement:
    """A payment, or a refund, on no contract."""
    return paid(record_id, on, amount_minor, **{"contract_id": None, "purpose": "other", **fields})


def key_of(statement: Statement) -> str:
    """Of the period in which it was paid."""
    return next(iter(payment_series.by_series(statement.value)))


def said(*statements: Statement, pack: Pack = "generic") -> list[Finding]:
    return findings("F02", key_of(statements[0]), statements, pack=pack)


# 2026-03-02 is a Monday: five working days after it end with Monday the 9th.
THREE = [
    spent("a", "2026-03-02", 8_000_000),
    spent("b", "2026-03-04", 8_000_000),
    spent("c", "2026-03-09 23:59", 4_000_000),
]


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        (THREE, HIT),
        (THREE[:2], CLEAR),
        ([*THREE[:2], spent("c", "2026-03-09", 3_999_999)], CLEAR),
        ([*THREE[:2], spent("c", "2026-03-10 00:00", 4_000_000)], CLEAR),
        ([*THREE[:2], spent("c", "2026-03-10", 12_000_000)], HIT),
        ([spent("a", "2026-03-02", LIMIT - 1), spent("b", "2026-03-02", 1)], HIT),
        ([*THREE, spent("r", "2026-03-05", 1, kind="refund")], CLEAR),
        ([*THREE, spent("r", "2026-03-12", 8_000_000, kind="refund")], HIT),
        ([*THREE, spent("r", "2026-03-05", LIMIT, kind="refund")], HIT),
        ([spent("a", "2026-03-02", LIMIT)], (Outcome.NOT_APPLICABLE, "each_reaches_limit")),
        (
            [spent("a", "2026-03-02", LIMIT), spent("b", "2026-03-02", 2 * LIMIT)],
            (Outcome.NOT_APPLICABLE, "each_reaches_limit"),
        ),
        ([*THREE[:2], spent("large", "2026-03-02", 2 * LIMIT)], CLEAR),
        ([*THREE, spent("large", "2026-03-02", 2 * LIMIT)], HIT),
        ([spent("a", "2026-03-02", 0)], (Outcome.NOT_APPLICABLE, "no_payments")),
        ([spent("r", "2026-03-02", 9, kind="refund")], (Outcome.NOT_APPLICABLE, "no_payments")),
        (
            [
                spent("a", "2026-03-02", LIMIT - 1, currency="EUR"),
                spent("b", "2026-03-02", 1, currency="EUR"),
            ],
            (Outcome.NOT_APPLICABLE, "no_limit_in_currency"),
        ),
        (
            [spent(f"{n}", "2026-03-02", LIMIT) for n in range(LARGE_MAX + 1)],
            (Outcome.INSUFFICIENT_DATA, "too_many_above_limit"),
        ),
        (
            [*THREE, *(spent(f"{n}", "2026-03-02", LIMIT) for n in range(LARGE_MAX))],
            HIT,
        ),
    ],
)
def test_payments_below_the_limit_within_five_working_days(
    records: list[Statement], expected: tuple[Outcome, str]
) -> None:
    assert outcome(said(*records)) == expected


def test_nothing_can_be_said_of_a_key_that_all_records_left() -> None:
    fold = payment_series.JOIN.fold
    assert fold is not None
    rule = active_rules()["F02"]
    found = only(list(evaluate(Recomputed(key_of(THREE[0]), fold, []), rule.parameters, 0)))
    assert (found.outcome, found.reason) == (Outcome.NOT_APPLICABLE, "no_payments")
    check_against_card(rule.card, found)


def test_days_off_do_not_count_in_the_law_pack() -> None:
    """The holidays around National Day 2025 were 10-01 to 10-08; 10-11 was worked."""
    records = [spent("a", "2025-09-29", 12_000_000), spent("b", "2025-10-11", 12_000_000)]
    assert outcome(said(*records)) == CLEAR
    assert outcome(said(*records, pack="cn")) == HIT
    later = [records[0], spent("b", "2025-10-14", 12_000_000)]
    assert outcome(said(*later, pack="cn")) == CLEAR


def test_beyond_its_calendar_the_rule_says_so_but_not_where_nothing_comes_together() -> None:
    beyond = [spent("a", "2031-03-03", 12_000_000), spent("b", "2031-03-04", 12_000_000)]
    assert outcome(said(*beyond, pack="cn")) == (Outcome.INSUFFICIENT_DATA, "calendar_missing")
    assert outcome(said(beyond[0], pack="cn")) == CLEAR


def test_a_hit_names_the_numbers_the_office_and_the_payments_of_its_window() -> None:
    found = only(
        said(
            *THREE,
            spent("r", "2026-03-03", 1_000_000, kind="refund"),
            spent("d", "2026-03-03", 3_000_000),
            spent("large", "2026-03-04", LIMIT),
            spent("later", "2026-03-11", 1_000_000),
        )
    )
    assert found.subject == {"payer_id": BUYER, "payee_id": SUPPLIER, "purpose": "other"}
    assert found.numbers == {
        "payments": 4,
        "paid_minor": 22_000_000,
        "limit_minor": LIMIT,
        "currency": "CNY",
        "first_on": day("2026-03-02"),
        "last_on": day("2026-03-09"),
    }
    assert found.office == BUYER
    assert [one.record_id for one in found.evidence] == ["a", "b", "c", "d", "r"]


def test_no_more_payments_are_cited_than_people_can_read() -> None:
    many = [spent(f"{n:03}", "2026-03-02", LIMIT // 50) for n in range(EVIDENCE_MAX + 50)]
    large = [spent(f"0{n}", "2026-03-02", LIMIT) for n in range(9)]
    found = only(said(*large, *many))
    assert found.numbers["payments"] == len(many)
    assert [one.record_id for one in found.evidence] == [f"{n:03}" for n in range(EVIDENCE_MAX)]


# -- which key judges what ---------------------------------------------------------------------------------------


def test_selector_and_contribution_mean_the_same_days_and_periods_as_the_rule() -> None:
    for at in ("2026-03-01 23:59:59", "2026-03-02 00:00", "1969-12-31 12:00"):
        payment = spent("a", at, 5)
        period = day_of(instant(at)) // PERIOD_DAYS
        series = f"{BUYER} {SUPPLIER} other CNY"
        assert payment_series.by_series(payment.value) == [f"{series} {period}", f"{series} {period - 1}"]
        assert payment_series.contribute(payment)["paid"] == (day_of(instant(at)), 5)


def test_payments_on_a_contract_are_filed_nowhere() -> None:
    assert list(payment_series.by_series(paid("p", "2026-03-02", 1).value)) == []


BORDER = day_of(instant("2026-03-02")) // PERIOD_DAYS * PERIOD_DAYS + PERIOD_DAYS  # first day of a period


def _on(offset: int, record_id: str, amount: int, **fields: Any) -> Statement:
    return spent(record_id, "2026-03-02", amount, paid_at=(BORDER + offset) * 86_400_000, **fields)


def test_a_window_over_the_border_of_two_periods_is_reported_once() -> None:
    records = [_on(-2, "a", 8_000_000), _on(0, "b", 8_000_000), _on(1, "c", 8_000_000)]
    assert len(alerts(records, "F02")) == 1
    assert outcome(findings("F02", key_of(records[1]), records[1:])) == CLEAR


@pytest.mark.parametrize(
    "other", [{"payee_id": company("other")}, {"purpose": "subsidy"}, {"currency": "EUR"}]
)
def test_only_payments_of_one_series_come_together(other: Mapping[str, Any]) -> None:
    assert len(alerts(THREE, "F02")) == 1
    assert alerts([*THREE[:2], spent("c", "2026-03-05", 12_000_000, **other)], "F02") == []


def test_a_window_longer_than_what_can_be_seen_is_a_mistake_in_the_card() -> None:
    active = with_parameters(
        "F02",
        approval_limits_minor={"CNY": LIMIT},
        window_working_days=25,
        working_days=calendar_of(2026),
    )
    fold = payment_series.JOIN.fold
    assert fold is not None
    view = Recomputed(key_of(THREE[0]), fold, THREE)
    with pytest.raises(ValueError, match="more than the 28 days"):
        list(evaluate(view, active["F02"].parameters, 0))


# -- time --------------------------------------------------------------------------------------------------------


def _ingested(record_id: str, on: str, amount: int, minute: int, **fields: Any) -> Statement:
    return spent(record_id, on, amount, ingested=f"2026-03-12 10:{minute:02}", **fields)


def test_it_stands_since_the_limit_was_reached_for_good_whatever_comes_after() -> None:
    records = [
        _ingested("a", "2026-03-02", 12_000_000, 0),
        _ingested("b", "2026-03-03", 12_000_000, 1),
        _ingested("r", "2026-03-03", 9_000_000, 2, kind="refund"),
        _ingested("c", "2026-03-04", 9_000_000, 3),
    ]
    assert only(said(*records)).established_ms == instant("2026-03-12 10:03")
    more = [
        _ingested("d", "2026-03-05", 9_000_000, 4),
        _ingested("e", "2026-03-02 08:00", 9_000_000, 5),
        _ingested("earlier", "2026-02-27", 9_000_000, 6),  # now the first window is another
    ]
    assert only(said(*records, *more)).established_ms == instant("2026-03-12 10:03")


def test_where_it_takes_more_payments_than_are_cited_it_stands_since_the_last_of_these() -> None:
    many = [_ingested(f"{n:03}", "2026-03-02", LIMIT // 150, n % 50) for n in range(160)]
    assert only(said(*many)).established_ms == instant("2026-03-12 10:49")


@pytest.mark.parametrize("pack", ["generic", "cn"])
def test_a_refund_within_a_quarter_of_an_hour_accuses_nobody(pack: Pack) -> None:
    records = [_ingested("a", "2026-03-11", 12_000_000, 0), _ingested("b", "2026-03-12", 12_000_000, 1)]
    refund = _ingested("r", "2026-03-12", 12_000_000, 12, kind="refund")
    for minute in range(30):
        now = f"2026-03-12 10:{minute:02}"
        known = [one for one in (*records, refund) if one.source.ingested_ms <= instant(now)]
        assert alerts(known, "F02", pack=pack, now=now) == []
    assert alerts(records, "F02", pack=pack, now="2026-03-12 10:15:59") == []
    assert len(alerts(records, "F02", pack=pack, now="2026-03-12 10:16")) == 1


def test_a_correction_below_the_limit_leaves_nothing_to_say() -> None:
    assert len(alerts(THREE, "F02")) == 1
    for changed in (
        {"amount_minor": 3_999_999},
        {"contract_id": "K-1", "purpose": "contract"},
        {"payee_id": company("other")},
        {"paid_at": instant("2026-04-20")},
    ):
        value = {**THREE[2].value, **changed}
        corrected = replace(THREE[2], value=value, version=1, digest="corrected")
        assert alerts([*THREE[:2], corrected], "F02") == [], changed


# -- against the plainest way to say it --------------------------------------------------------------------------

PLAIN = Parameters(
    {
        "approval_limits_minor": [{"value": {"CNY": 100}}],
        "window_working_days": [{"value": 2}],
        "working_days": [{"value": WorkingDays.from_value({"calendar": "test", "years": "all"})}],
    }
)

series = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 130), st.sampled_from(["payment", "payment", "refund"])),
    min_size=1,
    max_size=9,
)


def _plainly(payments: list[tuple[int, int, str]], first_day: int) -> bool:
    """Whether some window that begins within the first period reaches 100."""
    small = [(on, amount if kind == "payment" else -amount) for on, amount, kind in payments if amount < 100]
    calendar: WorkingDays = PLAIN.at("working_days")
    for begins in {on for on, amount in small if amount > 0 and on < PERIOD_DAYS}:
        working = 0
        ends = begins
        while working < 2:
            ends += 1
            working += bool(calendar.is_working_day(first_day + ends))
        if sum(amount for on, amount in small if begins <= on <= ends) >= 100:
            return True
    return False


@settings(deadline=None)
@given(series, st.randoms())
def test_agrees_with_a_plain_look_at_every_window(payments: list[tuple[int, int, str]], chance: Any) -> None:
    records = [
        _on(day, f"{number}", amount, kind=kind, ingested=instant("2026-03-12") + chance.randrange(9))
        for number, (day, amount, kind) in enumerate(payments)
    ]
    fold = payment_series.JOIN.fold
    assert fold is not None
    key = key_of(_on(0, "any", 1))

    def ask(some: list[Statement]) -> Finding:
        return only(list(f02_payment_splitting.evaluate(Recomputed(key, fold, some), PLAIN, 0)))

    found = ask(records)
    assert (found.outcome is Outcome.HIT) == _plainly(payments, BORDER)
    if found.outcome is Outcome.HIT:
        moments = sorted({one.source.ingested_ms for one in records})
        quiet = [
            at
            for at, moment in enumerate([0, *moments])
            if ask([one for one in records if one.source.ingested_ms <= moment]).outcome is not Outcome.HIT
        ]
        assert found.established_ms == moments[max(quiet)]
