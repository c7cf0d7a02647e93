"""P02: a single bidder (generic), or fewer than three and yet an award (cn)."""

from __future__ import annotations

import pytest

from streams.kernel import Outcome, Statement
from tests.builders import Pack, findings, instant, only, outcome
from tests.records import PROCEDURE_ID, announced, awarded, bid

AT_OPENING = (Outcome.HIT, "too_few_at_opening")
AWARDED = (Outcome.HIT, "awarded_to_too_few")
CLEAR = (Outcome.CLEAR, "enough_bidders")


@pytest.mark.parametrize(
    ("pack", "records", "expected"),
    [
        ("generic", [announced(), bid("1", "a")], AT_OPENING),
        ("generic", [announced(), bid("1", "a"), awarded()], AWARDED),
        ("generic", [announced(), bid("1", "a"), bid("2", "b")], CLEAR),
        ("generic", [announced(), bid("1", "a", lot_id="1"), bid("2", "a", lot_id="2")], AT_OPENING),
        ("generic", [announced(), bid("1", "a"), bid("2", "b", status="withdrawn")], AT_OPENING),
        ("generic", [announced(), bid("1", "a"), bid("2", "b", status="rejected")], CLEAR),
        ("generic", [announced(method="selective"), bid("1", "a")], AT_OPENING),
        ("cn", [announced(), bid("1", "a"), bid("2", "b"), awarded()], AWARDED),
        ("cn", [announced(), bid("1", "a"), bid("2", "b"), bid("3", "c"), awarded()], CLEAR),
        ("cn", [announced(), bid("1", "a"), bid("2", "b")], (Outcome.NOT_APPLICABLE, "not_awarded")),
        (
            "cn",
            [announced(), bid("1", "a"), awarded(status="cancelled")],
            (Outcome.NOT_APPLICABLE, "not_awarded"),
        ),
        # a procedure that was rightly given up
        (
            "generic",
            [
                announced(status="unsuccessful"),
                bid("1", "a"),
                awarded(status="unsuccessful", supplier_ids=[]),
            ],
            (Outcome.NOT_APPLICABLE, "declared_unsuccessful"),
        ),
        ("cn", [announced(status="unsuccessful"), bid("1", "a"), awarded()], AWARDED),
        ("generic", [announced(status="cancelled"), bid("1", "a")], (Outcome.NOT_APPLICABLE, "cancelled")),
        (
            "generic",
            [announced(method="direct"), bid("1", "a")],
            (Outcome.NOT_APPLICABLE, "method_not_competitive"),
        ),
        (
            "generic",
            [announced(method="limited"), bid("1", "a")],
            (Outcome.NOT_APPLICABLE, "method_not_competitive"),
        ),
        ("generic", [announced(bids_opened_at=None), bid("1", "a")], (Outcome.NOT_APPLICABLE, "not_opened")),
        ("generic", [announced(bids_opened_at=None), bid("1", "a"), awarded()], AWARDED),
        ("generic", [announced()], (Outcome.INSUFFICIENT_DATA, "bids_missing")),
        ("generic", [bid("1", "a")], (Outcome.INSUFFICIENT_DATA, "notice_missing")),
    ],
)
def test_bidders_are_counted_once_bids_are_opened_or_an_award_exists(
    pack: Pack, records: list[Statement], expected: tuple[Outcome, str]
) -> None:
    assert outcome(findings("P02", PROCEDURE_ID, records, pack=pack)) == expected


def test_before_the_opening_it_sleeps_until_then() -> None:
    found = only(findings("P02", PROCEDURE_ID, [announced(), bid("1", "a")], now="2026-03-30"))
    assert (found.reason, found.wake_at_ms) == ("not_opened", instant("2026-03-31"))


def test_it_stands_since_notice_first_bid_and_first_award_are_in() -> None:
    records = [
        announced(ingested="2026-06-01 10:00"),
        awarded(ingested="2026-06-01 10:01"),
        bid("1", "a", ingested="2026-06-01 10:02"),
        bid("2", "b", ingested="2026-06-01 10:05"),
        awarded("again", ingested="2026-06-01 10:09"),
    ]
    assert only(findings("P02", PROCEDURE_ID, records, pack="cn")).established_ms == instant(
        "2026-06-01 10:02"
    )


def test_from_the_moment_of_opening_it_speaks() -> None:
    records = [announced(), bid("1", "a")]
    assert outcome(findings("P02", PROCEDURE_ID, records, now="2026-03-31 08:59"))[1] == "not_opened"
    assert outcome(findings("P02", PROCEDURE_ID, records, now="2026-03-31 09:00")) == AT_OPENING


def test_the_first_award_dates_the_act() -> None:
    records = [
        announced(),
        bid("1", "a"),
        awarded("late", on="2026-05-10"),
        awarded("early", on="2026-04-20", decided_at=None),
    ]
    assert only(findings("P02", PROCEDURE_ID, records)).numbers["occurred_ms"] == instant("2026-04-20")


def test_of_several_notices_the_one_published_last_speaks() -> None:
    first = announced("first", status="cancelled", published_at=instant("2026-02-01"), occurred="2026-03-09")
    undated = announced("undated", method="direct", published_at=None, occurred="2026-02-15")
    assert outcome(findings("P02", PROCEDURE_ID, [announced(), first, undated, bid("1", "a")])) == AT_OPENING
    undated = announced("undated", method="direct", published_at=None, occurred="2026-03-15")
    assert (
        outcome(findings("P02", PROCEDURE_ID, [announced(), undated, bid("1", "a")]))[1]
        == "method_not_competitive"
    )
