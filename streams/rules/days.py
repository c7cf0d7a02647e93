"""Civil days and their intervals, in China Standard Time. Pure.

Registers write days, platforms write instants; relations compare the two and have no parameters to say where a day
begins, so it is said here once. Which of them are worked is another matter: `streams.rules.working_days`.
"""

from __future__ import annotations

from dataclasses import dataclass

DAY_MS = 86_400_000
_OFFSET_MS = 8 * 3_600_000


def day_of(instant_ms: int) -> int:
    """The civil day of an instant, counted from 1970-01-01."""
    return (instant_ms + _OFFSET_MS) // DAY_MS


def start_of(day: int) -> int:
    """The instant at which a civil day begins."""
    return day * DAY_MS - _OFFSET_MS


def end_of_natural_days(instant_ms: int, days: int) -> int:
    """The instant at which the `days`-th civil day after the day of `instant_ms` has ended."""
    return start_of(day_of(instant_ms) + days + 1)


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
