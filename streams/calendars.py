"""Where the content of a card's calendar comes from: a library's tables, and a file of the site laid over them.

Asked once, when a pack is loaded to be activated. From then on the days are parameters in the log, under the
activation's hash, so that a replay gives the same answer whatever this library or file says by then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Annotated, Any

import chinese_calendar
import yaml
from chinese_calendar import constants
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streams.rules.working_days import ALL, NAME, YEARS
from xiezhi.errors import ConfigurationError

#: Monday to Friday, always: no holidays. A pack says so itself; it never stands in for a year that is unknown.
WEEKDAYS = "monday-to-friday"
#: Public holidays and swapped working days of the People's Republic of China.
CN = "cn"
#: The library lacks a swapped Saturday of 2005; from 2006 on it agrees with another one, made independently.
_FIRST_YEAR = 2006


class Year(BaseModel):
    """Exceptions of one year: weekdays that are free, days of the weekend that are worked."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    free: tuple[date, ...] = ()
    worked: tuple[date, ...] = ()


class SiteDays(BaseModel):
    """A site's file. `years` replace the library's; `places` add to the years of a division (by code prefix)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    years: dict[int, Year] = {}
    places: dict[Annotated[str, Field(pattern=r"^[0-9]{1,12}$")], dict[int, Year]] = {}

    @model_validator(mode="after")
    def _days_lie_in_their_year(self) -> SiteDays:
        for years in (self.years, *self.places.values()):
            for number, year in years.items():
                strange = [day for day in (*year.free, *year.worked) if day.year != number]
                if strange:
                    raise ValueError(f"{strange[0]} is no day of {number}")
                if set(year.free) & set(year.worked):
                    raise ValueError(f"a day of {number} is both free and worked")
        return self


def read_site_days(path: Path | None) -> SiteDays:
    """The file at `path`; nothing without one. Raises ConfigurationError."""
    if path is None:
        return SiteDays()
    try:
        return SiteDays.model_validate(yaml.safe_load(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(f"the file of working days {path}: {where}: {first['msg']}") from error
    except (OSError, ValueError, yaml.YAMLError) as error:  # a day that no month has is a ValueError
        raise ConfigurationError(f"the file of working days {path} cannot be read: {error}") from error


def content(name: str, site: SiteDays) -> Mapping[str, dict[str, Any]]:
    """Division prefix ("" for everywhere) -> the calendar as a card writes it. Raises ConfigurationError."""
    if name == WEEKDAYS:
        return {"": {NAME: WEEKDAYS, YEARS: ALL}}
    if name != CN:
        raise ConfigurationError(f"there is no calendar {name!r}; known are {[CN, WEEKDAYS]}")
    everywhere = {**library_years(), **site.years}
    missing = sorted({year for years in site.places.values() for year in years} - everywhere.keys())
    if missing:
        raise ConfigurationError(f"the file of working days adds to {missing[0]}, a year that nobody knows")
    prefixes = {"": everywhere} | {
        prefix: {number: _added(year, extra.get(number, Year())) for number, year in everywhere.items()}
        for prefix, extra in site.places.items()
    }
    return {prefix: {NAME: CN, YEARS: _written(years)} for prefix, years in prefixes.items()}


@cache
def library_years() -> Mapping[int, Year]:
    """What the library knows, year by year: the arrangements that the State Council published."""
    newest = max(constants.holidays).year
    return {number: _library_year(number) for number in range(_FIRST_YEAR, newest + 1)}


def _library_year(number: int) -> Year:
    first = date(number, 1, 1)
    days = [first + timedelta(days=count) for count in range((date(number + 1, 1, 1) - first).days)]
    works = {day: chinese_calendar.is_workday(day) for day in days}
    return Year(
        free=tuple(day for day in days if _is_weekday(day) and not works[day]),
        worked=tuple(day for day in days if not _is_weekday(day) and works[day]),
    )


def _added(year: Year, extra: Year) -> Year:
    return Year(
        free=tuple(sorted({*year.free, *extra.free} - {*extra.worked})),
        worked=tuple(sorted({*year.worked, *extra.worked} - {*extra.free})),
    )


def _written(years: Mapping[int, Year]) -> dict[str, dict[str, list[str]]]:
    """Only what differs from Monday to Friday: a notice lists the weekend within a holiday, too."""
    return {
        str(number): {
            "free": _month_days(day for day in year.free if _is_weekday(day)),
            "worked": _month_days(day for day in year.worked if not _is_weekday(day)),
        }
        for number, year in sorted(years.items())
    }


def _month_days(days: Iterable[date]) -> list[str]:
    return [f"{day:%m-%d}" for day in sorted(set(days))]


def _is_weekday(day: date) -> bool:
    return day.weekday() < 5
