"""Working days of a calendar whose content is a parameter of the rule card. Pure: no library, file or clock.

A calendar says for every year that it knows which days of Monday to Friday are free and which days of the weekend are
worked (调休). About other years it says nothing, and neither may a rule. Days are civil days in China Standard Time,
counted from 1970-01-01 (`streams.rules.days`).

The arrangement of a year may swap days at the end of the year before (2018-12-29 was worked for the New Year of 2019).
So the last week of a year is known only together with the year that follows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, date
from functools import lru_cache
from itertools import pairwise
from typing import Any, Self

from streams.rules.days import day_of, start_of

#: How a card writes a calendar: {"calendar": name, "years": {"2026": {"free": ["01-01", …], "worked": ["01-04", …]}}},
#: or "years": "all" for one that has no holidays at all.
NAME, YEARS, ALL = "calendar", "years", "all"

_MONDAY = 4  # 1970-01-05
_LAST_WEEK = 25  # of December: days that the arrangement of the next year may still change
_EPOCH = date(1970, 1, 1).toordinal()


def is_calendar(value: Any) -> bool:
    """Whether a parameter's value is a calendar."""
    return isinstance(value, Mapping) and NAME in value


@dataclass(frozen=True, slots=True)
class WorkingDays:
    """One calendar. `spans` are the known days, as (first, end) pairs; `free` and `worked` the exceptions."""

    name: str
    spans: tuple[tuple[int, int], ...]
    free: frozenset[int]
    worked: frozenset[int]

    @classmethod
    def from_value(cls, value: Mapping[str, Any]) -> Self:
        """From a card. Raises ValueError, naming what is wrong."""
        try:
            return cls._read(value)
        except (AttributeError, KeyError, TypeError) as error:
            raise ValueError(f"this is not how a card writes a calendar: {error!r}") from error

    @classmethod
    def _read(cls, value: Mapping[str, Any]) -> Self:
        if set(value) != {NAME, YEARS}:
            raise ValueError(f"a calendar has {NAME!r} and {YEARS!r}, not {sorted(map(str, value))}")
        if value[YEARS] == ALL:
            everything = (_number(date(MINYEAR, 1, 1)), _number(date(MAXYEAR, 12, 31)))
            return cls(str(value[NAME]), (everything,), frozenset(), frozenset())
        years = sorted(map(int, value[YEARS]))
        free = {day for year in years for day in _days(value[YEARS], year, "free")}
        worked = {day for year in years for day in _days(value[YEARS], year, "worked")}
        if any(not _is_weekday(day) for day in free) or any(map(_is_weekday, worked)):
            raise ValueError("'free' names days of Monday to Friday, 'worked' days of the weekend")
        return cls(str(value[NAME]), tuple(_spans(years)), frozenset(free), frozenset(worked))

    @property
    def known_until(self) -> int:
        """The first day after all that it knows."""
        return max((end for _, end in self.spans), default=0)

    def knows(self, day: int) -> bool:
        """Whether the calendar speaks about this day."""
        return any(first <= day < end for first, end in self.spans)

    def is_working_day(self, day: int) -> bool | None:
        """None where the calendar does not know."""
        if not self.knows(day):
            return None
        return day in self.worked or (_is_weekday(day) and day not in self.free)

    def end_of(self, instant_ms: int, days: int) -> int | None:
        """The instant at which the `days`-th working day after the day of `instant_ms` has ended.

        None when that lies beyond what the calendar knows: nobody may guess.
        """
        return _end_of(self, day_of(instant_ms), days)


# Rules ask for every payment, about the same few hundred days. Bounded: a few megabytes.
@lru_cache(16_384)
def _end_of(calendar: WorkingDays, day: int, days: int) -> int | None:
    while days > 0:
        day += 1
        works = calendar.is_working_day(day)
        if works is None:
            return None
        days -= works
    return start_of(day + 1)


def summary(value: Mapping[str, Any]) -> dict[str, str]:
    """What an alert quotes: name, years and the digest of all days, which are in the activation that it names."""
    told = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return {
        NAME: value[NAME],
        YEARS: _years(value[YEARS]),
        "sha256": hashlib.sha256(told.encode()).hexdigest(),
    }


def _years(known: Mapping[str, Any] | str) -> str:
    if isinstance(known, str):
        return known
    runs = _runs(sorted(map(int, known)))
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


def _days(years: Mapping[str, Any], year: int, kind: str) -> Iterable[int]:
    told = years[str(year)]
    if set(told) != {"free", "worked"}:
        raise ValueError(f"year {year} of a calendar has 'free' and 'worked'")
    return [_number(date.fromisoformat(f"{year}-{day}")) for day in told[kind]]


def _spans(years: list[int]) -> Iterator[tuple[int, int]]:
    for first, last in _runs(years):
        yield _number(date(first, 1, 1)), _number(date(last, 12, _LAST_WEEK))


def _runs(years: list[int]) -> list[tuple[int, int]]:
    """First and last of every unbroken run of years."""
    breaks = [(one, other) for one, other in pairwise(years) if other != one + 1]
    firsts, lasts = [b for _, b in breaks], [a for a, _ in breaks]
    return list(zip([*years[:1], *firsts], [*lasts, *years[-1:]], strict=True))


def _number(day: date) -> int:
    return day.toordinal() - _EPOCH


def _is_weekday(day: int) -> bool:
    return (day - _MONDAY) % 7 < 5
