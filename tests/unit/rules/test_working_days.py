"""The calendar in a card: which days are worked, when so many have ended, and where it knows nothing."""

from __future__ import annotations

from typing import Any

import pytest

from streams.rules.working_days import WorkingDays, is_calendar, summary
from tests.builders import calendar_of, day, instant

WEEKDAYS = WorkingDays.from_value({"calendar": "monday-to-friday", "years": "all"})


@pytest.mark.parametrize(
    ("start", "days", "free", "worked", "end"),
    [
        ("2026-03-02 09:00", 5, [], [], "2026-03-10 00:00"),  # a Monday
        ("2026-03-06 23:00", 1, [], [], "2026-03-10 00:00"),  # a Friday
        ("2026-03-07 12:00", 1, [], [], "2026-03-10 00:00"),  # a Saturday
        ("2026-03-06 23:00", 1, ["03-09"], [], "2026-03-11 00:00"),
        ("2026-03-06 23:00", 1, [], ["03-07"], "2026-03-08 00:00"),  # a Saturday that is worked
        ("2026-03-06 23:00", 2, ["03-09"], ["03-08"], "2026-03-11 00:00"),
        ("2026-03-06 23:00", 0, [], [], "2026-03-07 00:00"),
    ],
)
def test_free_days_do_not_count_and_swapped_ones_do(
    start: str, days: int, free: list[str], worked: list[str], end: str
) -> None:
    assert calendar_of(2026, free=free, worked=worked).end_of(instant(start), days) == instant(end)


def test_a_day_begins_at_midnight_in_china() -> None:
    assert WEEKDAYS.end_of(instant("2026-03-01 23:59"), 1) == instant("2026-03-03 00:00")
    assert WEEKDAYS.end_of(instant("2026-03-02 00:00"), 1) == instant("2026-03-04 00:00")


def test_what_reaches_into_a_year_that_is_unknown_has_no_answer() -> None:
    calendar = calendar_of(2024, 2025)
    assert calendar.end_of(instant("2024-12-30"), 5) == instant("2025-01-07 00:00")
    assert calendar.end_of(instant("2023-12-31"), 1) == instant("2024-01-02 00:00")
    assert calendar.end_of(instant("2023-12-29"), 1) is None, "the Saturday in between may be worked"
    assert calendar.end_of(instant("2026-03-02"), 1) is None
    assert calendar.is_working_day(day("2026-03-02")) is None
    assert calendar_of(2024, 2026).end_of(instant("2024-12-01"), 200) is None, "2025 is missing in between"


def test_the_last_week_of_a_year_is_known_with_the_next_year_only() -> None:
    alone, both = calendar_of(2025), calendar_of(2025, 2026)
    assert alone.end_of(instant("2025-12-23"), 1) == instant("2025-12-25 00:00")
    assert alone.end_of(instant("2025-12-24"), 1) is None
    assert both.end_of(instant("2025-12-24"), 1) == instant("2025-12-26 00:00")
    assert (alone.known_until, both.known_until) == (day("2025-12-25"), day("2026-12-25"))


def test_a_calendar_without_holidays_knows_every_year() -> None:
    assert WEEKDAYS.end_of(instant("1987-01-01"), 1) == instant("1987-01-03 00:00")
    assert WEEKDAYS.end_of(instant("2999-01-01"), 1) == instant("2999-01-03 00:00")


@pytest.mark.parametrize(
    "value",
    [
        {"calendar": "x"},
        {"calendar": "x", "years": "some"},
        {"calendar": "x", "years": None},
        {"calendar": "x", "years": {"twenty": {"free": [], "worked": []}}},
        {"calendar": "x", "years": {"2026": {"free": []}}},
        {"calendar": "x", "years": {"2026": None}},
        {"calendar": "x", "years": {"2026": {"free": None, "worked": []}}},
        {"calendar": "x", "years": {"2026": {"free": ["02-30"], "worked": []}}},
        {"calendar": "x", "years": {"2026": {"free": ["03-07"], "worked": []}}},  # a Saturday is free anyhow
        {"calendar": "x", "years": {"2026": {"free": [], "worked": ["03-09"]}}},  # a Monday is worked anyhow
        {"calendar": "x", "years": {"2026": {"free": [], "worked": []}}, "more": 1},
    ],
)
def test_what_is_no_calendar_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        WorkingDays.from_value(value)


def test_an_alert_quotes_name_years_and_a_digest_that_every_day_changes() -> None:
    def value(*free: str) -> dict[str, Any]:
        return {
            "calendar": "cn",
            "years": {year: {"free": list(free), "worked": []} for year in ("2020", "2021", "2023")},
        }

    assert is_calendar(value())
    assert not is_calendar({"open": 15})
    assert not is_calendar("cn")
    assert summary(value())["years"] == "2020-2021, 2023"
    assert summary(value())["sha256"] != summary(value("03-09"))["sha256"]
    assert summary({"calendar": "w", "years": "all"})["years"] == "all"
