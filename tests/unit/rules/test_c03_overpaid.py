"""C03: paid more than contracted, net of refunds, against the value in force."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kernel import Outcome, Statement
from tests.builders import Pack, alerts, findings, instant, only, outcome
from tests.records import CONTRACT_ID, amended, paid, signed

HIT = (Outcome.HIT, "overpaid")
CLEAR = (Outcome.CLEAR, "within_value")


def said(*statements: Statement) -> tuple[Outcome, str]:
    return outcome(findings("C03", CONTRACT_ID, statements))


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([signed(), paid("p", "2026-02-01", 100_500)], CLEAR),
        ([signed(), paid("p", "2026-02-01", 100_501)], HIT),
        ([signed(), paid("p", "2026-02-01", 60_000), paid("q", "2026-03-01", 60_000)], HIT),
        (
            [signed(), paid("p", "2026-02-01", 120_000), paid("r", "2026-03-01", 20_000, kind="refund")],
            CLEAR,
        ),
        ([signed(), paid("p", "2026-02-01", 120_000), amended("a", "2026-03-01", 120_000)], CLEAR),
        ([signed(), paid("p", "2026-02-01", 90_000), amended("a", "2026-03-01", 80_000)], HIT),
        (
            [
                signed(),
                amended("a", "2026-02-01", 200_000),
                amended("b", "2026-03-01", 110_000),
                paid("p", "2026-04-01", 120_000),
            ],
            HIT,
        ),
        ([signed(), amended("a", "2026-02-01"), paid("p", "2026-04-01", 120_000)], HIT),
        ([signed(), amended("a", "2026-02-01", 0), paid("p", "2026-04-01", 90_000)], CLEAR),
        ([signed(status="terminated"), paid("p", "2026-02-01", 120_000)], HIT),
        (
            [signed(status="cancelled"), paid("p", "2026-02-01", 1)],
            (Outcome.NOT_APPLICABLE, "contract_cancelled"),
        ),
        ([paid("p", "2026-02-01", 1)], (Outcome.INSUFFICIENT_DATA, "contract_missing")),
        ([signed()], (Outcome.INSUFFICIENT_DATA, "payments_missing")),
        (
            [signed(amount_minor=None, currency=None), paid("p", "2026-02-01", 1)],
            (Outcome.INSUFFICIENT_DATA, "value_missing"),
        ),
        ([signed(amount_minor=0), paid("p", "2026-02-01", 1)], (Outcome.INSUFFICIENT_DATA, "value_missing")),
        (
            [signed(), paid("p", "2026-02-01", 120_000, currency="EUR")],
            (Outcome.INSUFFICIENT_DATA, "currency_differs"),
        ),
        (
            [signed(), paid("p", "2026-02-01", 120_000), amended("a", "2026-03-01", 1, currency="EUR")],
            (Outcome.INSUFFICIENT_DATA, "currency_differs"),
        ),
    ],
)
def test_net_payments_against_the_value_in_force(
    records: list[Statement], expected: tuple[Outcome, str]
) -> None:
    assert said(*records) == expected


def test_a_hit_names_the_numbers_the_office_and_every_payment() -> None:
    found = only(
        findings(
            "C03",
            CONTRACT_ID,
            [
                signed(),
                amended("a", "2026-02-01", 110_000),
                amended("old", "2026-01-20", 105_000),
                paid("p", "2026-02-01", 80_000),
                paid("q", "2026-03-01", 50_000),
                paid("r", "2026-03-02", 5_000, kind="refund"),
            ],
        )
    )
    assert found.numbers == {
        "paid_minor": 125_000,
        "value_minor": 110_000,
        "excess_minor": 15_000,
        "currency": "CNY",
        "payments": 3,
        "occurred_ms": instant("2026-03-01"),
    }
    assert found.office == "ZZ-TEST-buyer"
    assert [one.record_id for one in found.evidence] == ["p", "q", "r", "a", "contract"]


def test_the_excess_stands_since_the_ingestion_after_which_it_stayed() -> None:
    records = [
        signed(ingested="2026-06-01 10:00"),
        paid("p", "2026-02-01", 120_000, ingested="2026-06-01 10:01"),
        amended("a", "2026-02-02", 130_000, ingested="2026-06-01 10:02"),
        paid("q", "2026-03-01", 40_000, ingested="2026-06-01 10:03"),
        paid("s", "2026-03-02", 40_000, ingested="2026-06-01 10:04"),
    ]
    assert only(findings("C03", CONTRACT_ID, records)).established_ms == instant("2026-06-01 10:03")


def test_an_older_amendment_that_arrives_late_does_not_restart_the_settle_time() -> None:
    records = [
        signed(ingested="2026-06-01 10:00"),
        amended("new", "2026-03-02", 100_000, ingested="2026-06-01 10:01"),
        paid("p", "2026-02-01", 120_000, ingested="2026-06-01 10:02"),
        amended("old", "2026-02-02", 900_000, ingested="2026-06-01 10:03"),
    ]
    assert only(findings("C03", CONTRACT_ID, records)).established_ms == instant("2026-06-01 10:02")


entries = st.lists(
    st.tuples(st.integers(0, 60_000), st.sampled_from(["payment", "refund"]), st.integers(0, 5)),
    min_size=1,
    max_size=7,
)


@settings(deadline=None)
@given(entries, st.none() | st.tuples(st.integers(1, 150_000), st.integers(0, 5)))
def test_agrees_with_a_plain_sum_and_with_every_prefix_of_the_log(
    entries: list[tuple[int, str, int]], change: tuple[int, int] | None
) -> None:
    def at(minute: int) -> str:
        return f"2026-06-01 10:{minute:02}"

    records = [signed(ingested=at(2))]
    for number, (amount, kind, minute) in enumerate(entries):
        records.append(paid(f"p{number}", "2026-02-01", amount, kind=kind, ingested=at(minute)))
    if change:
        records.append(amended("a", "2026-03-01", change[0], ingested=at(change[1])))
    found = only(findings("C03", CONTRACT_ID, records))
    net = sum(amount if kind == "payment" else -amount for amount, kind, _ in entries)
    value = change[0] if change else 100_000
    assert (found.outcome is Outcome.HIT) == (net > value * 1.005)
    if found.outcome is Outcome.HIT:
        since = found.established_ms
        assert since is not None
        ordered = sorted(records, key=lambda s: (s.source.ingested_ms, s.source))
        last_quiet = max(
            (
                count
                for count in range(len(ordered) + 1)
                if not ordered[:count]
                or findings("C03", CONTRACT_ID, ordered[:count])[0].outcome is not Outcome.HIT
            ),
        )
        assert ordered[last_quiet].source.ingested_ms == since


def test_of_several_contract_records_the_newest_speaks() -> None:
    older = signed("older", occurred="2026-01-01", amount_minor=500_000)
    assert said(older, signed(), paid("p", "2026-02-01", 120_000)) == HIT
    older = signed("older", occurred="2026-01-01", status="cancelled")
    assert said(older, signed(), paid("p", "2026-02-01", 120_000)) == HIT


@pytest.mark.parametrize("pack", ["generic", "cn"])
@pytest.mark.parametrize("amended_first", [False, True])
def test_a_payment_that_arrives_minutes_before_its_amendment_accuses_nobody(
    pack: Pack, amended_first: bool
) -> None:
    """Whenever anybody asks: not before the amendment came, not after it."""
    records = [signed(), paid("p", "2026-03-02", 120_000, ingested="2026-03-02 10:00")]
    arrived = "2026-03-02 09:50" if amended_first else "2026-03-02 10:12"
    amendment = amended("a", "2026-03-01", 130_000, ingested=arrived)
    for minute in range(60):
        now = f"2026-03-02 10:{minute:02}"
        known = [one for one in (*records, amendment) if one.source.ingested_ms <= instant(now)]
        assert alerts(known, "C03", pack=pack, now=now) == []


def test_without_the_amendment_it_is_said_after_a_quarter_of_an_hour() -> None:
    records = [signed(), paid("p", "2026-03-02", 120_000, ingested="2026-03-02 10:00")]
    assert alerts(records, "C03", now="2026-03-02 10:14:59") == []
    assert len(alerts(records, "C03", now="2026-03-02 10:15")) == 1
