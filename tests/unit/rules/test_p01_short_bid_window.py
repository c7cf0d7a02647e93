"""P01: a short bid window, by method and by way of counting."""

from __future__ import annotations

from typing import Any

import pytest

from streams.kernel import Outcome
from tests.builders import Pack, findings, instant, only, outcome
from tests.records import BUYER, PROCEDURE_ID, announced

HIT = (Outcome.HIT, "window_too_short")
CLEAR = (Outcome.CLEAR, "window_long_enough")


def until(deadline: str, **fields: Any) -> Any:
    """A notice published on 1 March at 17:00."""
    published_at = instant("2026-03-01 17:00")
    return announced(published_at=published_at, bid_deadline=instant(deadline), **fields)


@pytest.mark.parametrize(
    ("pack", "notice", "expected"),
    [
        ("generic", until("2026-03-16 17:00"), CLEAR),
        ("generic", until("2026-03-16 16:59"), HIT),
        ("generic", until("2026-03-16 16:59", method="limited"), HIT),
        ("generic", until("2026-03-10", status="unsuccessful"), HIT),
        # twenty days by the calendar, whatever the hour
        ("cn", until("2026-03-21 09:00"), CLEAR),
        ("cn", until("2026-03-20 23:59"), HIT),
        ("cn", until("2026-03-10", method="selective"), HIT),
        ("cn", until("2026-03-05", method="limited"), (Outcome.NOT_APPLICABLE, "method_without_limit")),
        ("generic", until("2026-03-02", method="direct"), (Outcome.NOT_APPLICABLE, "method_without_limit")),
        ("generic", until("2026-03-02", status="planned"), (Outcome.NOT_APPLICABLE, "not_in_force")),
        ("generic", until("2026-03-02", status="cancelled"), (Outcome.NOT_APPLICABLE, "not_in_force")),
        ("generic", announced(published_at=None), (Outcome.INSUFFICIENT_DATA, "dates_missing")),
        ("cn", announced(bid_deadline=None), (Outcome.INSUFFICIENT_DATA, "dates_missing")),
        ("generic", until("2026-02-01"), (Outcome.INSUFFICIENT_DATA, "deadline_before_publication")),
    ],
)
def test_days_from_publication_to_deadline(pack: Pack, notice: Any, expected: tuple[Outcome, str]) -> None:
    assert outcome(findings("P01", PROCEDURE_ID, [notice], pack=pack)) == expected


def test_law_in_force_on_the_day_of_publication_counts() -> None:
    old = announced(published_at=instant("1999-06-01"), bid_deadline=instant("1999-06-17"))
    assert outcome(findings("P01", PROCEDURE_ID, [old], pack="cn")) == CLEAR


def test_a_notice_issued_again_does_not_restart_the_window() -> None:
    first = until("2026-04-01", record_id="first")
    again = announced(
        "again", published_at=instant("2026-03-28"), bid_deadline=instant("2026-04-02"), occurred="2026-03-28"
    )
    assert outcome(findings("P01", PROCEDURE_ID, [first, again])) == CLEAR


def test_without_a_notice_there_is_nothing_to_measure() -> None:
    assert outcome(findings("P01", PROCEDURE_ID, [])) == (Outcome.INSUFFICIENT_DATA, "notice_missing")


def test_a_hit_names_days_and_limit() -> None:
    found = only(findings("P01", PROCEDURE_ID, [until("2026-03-11 17:00")], pack="cn"))
    assert (found.numbers["window_days"], found.numbers["limit_days"]) == (10, 20)
    assert found.office == BUYER


def test_an_extended_deadline_counts() -> None:
    first = until("2026-03-08", record_id="first")
    extended = announced("extended", published_at=None, bid_deadline=instant("2026-03-20"))
    assert outcome(findings("P01", PROCEDURE_ID, [first, extended])) == CLEAR


def test_a_deadline_at_the_moment_of_publication_is_no_window() -> None:
    assert outcome(findings("P01", PROCEDURE_ID, [until("2026-03-01 17:00")])) == HIT
