"""A scene: records of several departments that belong to one story, and what should be said about them.

Departments' modules write records into a scene, plots and background stories call them. A scene has its own
dice, so that it comes out the same whatever else is in the province. Days count from the scene's first day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from producers.province import units
from producers.province.days import DAY_MS, STOCK_DAYS, Calendar
from producers.province.labels import Expected
from producers.province.publication import Publication
from xiezhi.contracts.base import Contract, Record

R = TypeVar("R", bound=Record)

#: Days from event to publication, at least and at most, by owner. Plots keep decisive facts further apart.
_DELAY_DAYS: Mapping[str, tuple[float, float]] = {
    "tender": (0.05, 0.8),
    "finance": (0.2, 1.5),
    "registry": (0.5, 3.0),
    "hr": (0.5, 3.0),
    "civil": (0.5, 4.0),
    "audit": (0.2, 2.0),
    "project": (0.5, 3.0),
}
_OPENS_MS, _OPEN_MS = 3_600_000, 8 * 3_600_000  # offices work 09:00-17:00 in UTC+8


@dataclass(frozen=True, slots=True)
class Filing:
    """A publication and when it reaches the bus."""

    arrives_ms: int
    publication: Publication


@dataclass(frozen=True, slots=True)
class Expectation:
    """What a rule should say about the scene."""

    rule: str
    subject: Mapping[str, str]
    expected: Expected


@dataclass(frozen=True, slots=True)
class Setting:
    """Where and when a scene plays. `innocent`: the decisive fact that excuses everything is on record."""

    seed: int
    name: str
    calendar: Calendar
    span_days: int
    innocent: bool = False


@dataclass
class Scene:
    """Collects filings and expectations of one story."""

    setting: Setting
    filings: list[Filing] = field(default_factory=list)
    afterwards: list[Filing] = field(default_factory=list)
    expectations: list[Expectation] = field(default_factory=list)

    def __post_init__(self) -> None:
        calendar = self.setting.calendar
        self.rng = units.dice(self.setting.seed, self.setting.name)
        self.county = self.rng.choice(units.COUNTIES)
        self.unit = units.government_unit(self.rng, self.county)
        latest = max(calendar.opening_day, calendar.last_day - self.setting.span_days)
        self._day0 = self.rng.randint(calendar.opening_day, latest)
        self._said: dict[str, tuple[int, str]] = {}  # record id -> newest version, division

    @property
    def innocent(self) -> bool:
        return self.setting.innocent

    @property
    def record_count(self) -> int:
        """Records, however many versions and repetitions there are of each."""
        return len(self._said)

    def day(self, offset: int) -> int:
        """The day `offset` days after the scene's first, counted from 1970."""
        return self._day0 + offset

    def at(self, offset: int) -> int:
        """An instant within office hours of the day `offset` days after the scene's first."""
        return self.on(self.day(offset))

    def on(self, day: int) -> int:
        """An instant within office hours of a day counted from 1970."""
        return day * DAY_MS + _OPENS_MS + self.rng.randrange(0, _OPEN_MS, 1000)

    def is_past(self, offset: int) -> bool:
        """Whether that day lies within the province's two years; later things have not happened yet."""
        return self.day(offset) <= self.setting.calendar.last_day

    def new_id(self, prefix: str) -> str:
        return units.record_id(self.rng, prefix)

    def new_person(self) -> str:
        return units.person(self.rng)

    def yuan(self, least: int, most: int) -> int:
        """A whole number of thousands of yuan, in fen."""
        return self.rng.randint(least // 1000, most // 1000) * 100_000

    def say(
        self, contract: Contract, record: R, *, at: int, delay_days: float | None = None, place: str = ""
    ) -> R:
        """The department publishes version 0, about `delay_days` after it happened (default: its custom)."""
        self._file(contract, record.record_id, record, at=at, delay_days=delay_days, place=place)
        return record

    def stock(self, contract: Contract, record: R) -> R:
        """The department publishes what it held when the province's two years began."""
        first = self.setting.calendar.first_day * DAY_MS
        at = first + self.rng.randrange(0, (STOCK_DAYS - 2) * DAY_MS, 1000)
        return self.say(contract, record, at=at, delay_days=self.rng.uniform(0.0, 1.0))

    def correct(
        self, contract: Contract, record: R, *, at: int, delay_days: float | None = None, **changes: Any
    ) -> R:
        """The department replaces its statement; `changes` are the fields that come out differently."""
        corrected = type(record)(**{**record.model_dump(), **changes})
        self._file(contract, record.record_id, corrected, at=at, delay_days=delay_days)
        return corrected

    def withdraw(
        self, contract: Contract, record: Record, *, at: int, delay_days: float | None = None
    ) -> None:
        """The department takes its statement back."""
        self._file(contract, record.record_id, None, at=at, delay_days=delay_days)

    def repeat(self, record: Record, *, after_days: float) -> None:
        """The newest statement about `record` is published once more, exactly as it was."""
        filing = next(f for f in reversed(self.filings) if f.publication.record_id == record.record_id)
        self.filings.append(replace(filing, arrives_ms=filing.arrives_ms + round(after_days * DAY_MS)))

    def correct_afterwards(self, contract: Contract, record: R, *, at: int, **changes: Any) -> None:
        """Like `correct`, but published in the second phase, when the alerts of the first exist."""
        self.correct(contract, record, at=at, **changes)
        self.afterwards.append(self.filings.pop())

    def expect(self, rule: str, *, expected: Expected | None = None, **subject: str) -> None:
        """What must be said about the scene: by default an open alert, or none if the scene is innocent."""
        self.expectations.append(
            Expectation(rule, subject, expected or ("none" if self.innocent else "open"))
        )

    def _file(
        self,
        contract: Contract,
        record_id: str,
        record: Record | None,
        *,
        at: int,
        delay_days: float | None,
        place: str = "",
    ) -> None:
        until_ms = self.setting.calendar.until_ms
        if at >= until_ms:
            raise ValueError(f"{self.setting.name}: {contract.name} {record_id} would happen after the end")
        newest, division = self._said.get(record_id, (-1, self.county.jurisdiction))
        version, division = newest + 1, place or division
        self._said[record_id] = (version, division)
        custom = self.rng.uniform(*_DELAY_DAYS[contract.owner])
        delay_ms = round((custom if delay_days is None else delay_days) * DAY_MS)
        publication = Publication(contract, record, record_id, at, version, division)
        self.filings.append(Filing(min(at + delay_ms, until_ms), publication))
