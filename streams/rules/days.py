"""Civil days, their intervals and working days, in China Standard Time. Pure.

Registers write days, platforms write instants; relations compare the two and have no parameters to say where a day
begins, so it is said here once. Working days are Monday to Friday but for the holidays that a card names.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

DAY_MS = 86_400_000
_OFFSET_MS = 8 * 3_600_000
_MONDAY = 4  # 1970-01-05


def day_of(instant_ms: int) -> int:
    """The civil day of an instant, counted from 1970-01-01."""
    return (instant_ms + _OFFSET_MS) // DAY_MS


def start_of(day: int) -> int:
    """The instant at which a civil day begins."""
    return day * DAY_MS - _OFFSET_MS


def after_working_days(instant_ms: int, days: int, holidays: Collection[int]) -> int:
    """The instant at which the `days`-th working day after the day of `instant_ms` has ended."""
    day = day_of(instant_ms)
    while days > 0:
        day += 1
        if (day - _MONDAY) % 7 < 5 and day not in holidays:
            days -= 1
    return start_of(day + 1)


@dataclass(frozen=True, slots=True)
class Interval:
    """Instants from `from_ms` up to, not including, `to_ms`; None is open."""

    from_ms: int | None = None
    to_ms: int | None = None

    @classmethod
    def of_days(cls, first: int | None, end: int | None) -> Interval:
        """From a record's `valid_from` and its exclusive `valid_to`."""
        return cls(None if first is None else start_of(first), None if end is None else start_of(end))

    def holds(self, instant_ms: int) -> bool:
        begun = self.from_ms is None or self.from_ms <= instant_ms
        return begun and not self.ended_by(instant_ms)

    def ended_by(self, instant_ms: int) -> bool:
        return self.to_ms is not None and self.to_ms <= instant_ms

    def meet(self, other: Interval) -> Interval | None:
        """What both have in common; None when that is nothing."""
        begins = [one for one in (self.from_ms, other.from_ms) if one is not None]
        ends = [one for one in (self.to_ms, other.to_ms) if one is not None]
        common = Interval(max(begins, default=None), min(ends, default=None))
        if common.from_ms is not None and common.ended_by(common.from_ms):
            return None
        return common
