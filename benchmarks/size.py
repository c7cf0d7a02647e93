"""How much `make bench` does: the size that is published, and a short one that shows that everything still runs."""

from __future__ import annotations

from dataclasses import dataclass

#: Below this many records a run is a short one: its figures go nowhere, since starting up would be most of them.
FULL_RECORDS = 300_000


@dataclass(frozen=True, slots=True)
class Size:
    """`records` of each backlog, `rounds` of each comparison, `seconds` of each fixed rate."""

    records: int
    rounds: int
    seconds: float

    @classmethod
    def of(cls, records: int, rounds: int | None = None) -> Size:
        """Three rounds of a full run, one of a short one, unless told otherwise."""
        full = records >= FULL_RECORDS
        return cls(records, rounds or (3 if full else 1), 60.0 if full else 5.0)

    @property
    def is_full(self) -> bool:
        return self.records >= FULL_RECORDS and self.rounds >= 3

    @property
    def slow_records(self) -> int:
        """For whoever needs minutes for what others do in seconds."""
        return max(2_000, self.records // 15)
