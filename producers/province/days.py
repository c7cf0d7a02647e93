"""Days, months and the two years that a province covers. Days are counted from 1970-01-01, instants in ms UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise

DAY_MS = 86_400_000
YEARS_DAYS = 730
#: Departments publish what they already hold (存量) in these first days, before anything happens.
STOCK_DAYS = 20

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class Calendar:
    """The two years that end at `until_ms`; every instant that is said lies before it."""

    until_ms: int

    @property
    def last_day(self) -> int:
        """The last whole day."""
        return self.until_ms // DAY_MS - 1

    @property
    def first_day(self) -> int:
        return self.last_day - YEARS_DAYS + 1

    @property
    def opening_day(self) -> int:
        """The first day on which a scene may begin: all stock has arrived."""
        return self.first_day + STOCK_DAYS + 25


def to_date(day: int) -> date:
    """The calendar date of a day."""
    return _EPOCH + timedelta(days=day)


def first_day_of(year: int) -> int:
    """New Year's Day."""
    return (date(year, 1, 1) - _EPOCH).days


def months_from(day: int, count: int) -> list[tuple[int, int]]:
    """(first day, last day) of `count` whole months, starting with the first that begins on or after `day`."""
    start = to_date(day)
    month = start.year * 12 + start.month - (start.day == 1)
    firsts = [(date(*_year_month(month + index), 1) - _EPOCH).days for index in range(count + 1)]
    return [(first, following - 1) for first, following in pairwise(firsts)]


def _year_month(month: int) -> tuple[int, int]:
    return month // 12, month % 12 + 1
