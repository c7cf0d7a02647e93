"""The aggregates of one key from all its records at once, in the plainest way: what the oracle sees. Pure.

Nothing here is shared with the aggregates that the stream maintains, so that a mistake on either side shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from math import floor
from typing import Any

from streams.kernel import Aggregate, Fold, Number, Statement, Totals, exact


class Recomputed:
    """A `FoldView` of `statements`, which all stand under `key`. Every call is O(n)."""

    def __init__(self, key: str, fold: Fold, statements: Iterable[Statement]) -> None:
        self.key = key
        told = [(one, fold.contribution_of(one)) for one in statements]
        self.records = len(told)
        self.unfolded = sum(contribution is None for _, contribution in told)
        self._fold = fold
        self._told = [(one, contribution) for one, contribution in told if contribution is not None]

    def sum(self, name: str) -> Number:
        return exact(sum(self._contributed(name, Aggregate.SUM), Fraction(0)))

    def distinct(self, name: str) -> int:
        return len(set(self._contributed(name, Aggregate.DISTINCT)))

    def within(self, name: str, low: Number | None = None, high: Number | None = None) -> Totals:
        found = self._contributed(name, Aggregate.MULTISET, Aggregate.PER_DAY)
        if self._fold.aggregates[name] is Aggregate.MULTISET:
            found = [(number, number) for number in found]
        numbers = [number for place, number in found if _lies(place, low, high)]
        return Totals(len(numbers), exact(sum(numbers, Fraction(0))))

    def days(
        self, name: str, low: int | None = None, high: int | None = None
    ) -> Sequence[tuple[int, Totals]]:
        found: dict[int, list[Number]] = {}
        for day, number in self._contributed(name, Aggregate.PER_DAY):
            if _lies(day, low, high):
                found.setdefault(day, []).append(number)
        return [
            (day, Totals(len(numbers), exact(sum(numbers, Fraction(0)))))
            for day, numbers in sorted(found.items())
        ]

    def quantile(
        self, name: str, share: Fraction, low: Number | None = None, high: Number | None = None
    ) -> Number | None:
        if not 0 <= share <= 1:
            raise ValueError("a share is 0 to 1")
        found = self._contributed(name, Aggregate.MULTISET)
        numbers = sorted(number for number in found if _lies(number, low, high))
        if not numbers:
            return None
        place = (len(numbers) + Fraction(1, 3)) * share + Fraction(1, 3)
        place = min(max(place, Fraction(1)), Fraction(len(numbers)))
        lower = numbers[floor(place) - 1]
        upper = numbers[min(floor(place), len(numbers) - 1)]
        part = place - floor(place)
        return exact(Fraction(lower) * (1 - part) + upper * part)

    def ranked(
        self,
        name: str,
        limit: int,
        *,
        low: Number | None = None,
        high: Number | None = None,
        descending: bool = False,
    ) -> Sequence[Statement]:
        self._require(name, Aggregate.RANKED)
        found = [
            (contribution[name], one.record_type, one.record_id, one)
            for one, contribution in self._told
            if name in contribution and _lies(contribution[name], low, high)
        ]
        found.sort(key=lambda entry: entry[:3], reverse=descending)
        return [one for *_, one in found[:limit]]

    def _contributed(self, name: str, *aggregates: Aggregate) -> list[Any]:
        self._require(name, *aggregates)
        return [contribution[name] for _, contribution in self._told if name in contribution]

    def _require(self, name: str, *aggregates: Aggregate) -> None:
        if self._fold.aggregates.get(name) not in aggregates:
            raise KeyError(f"the fold declares no {' or '.join(aggregates)} {name!r}")


def _lies(number: Number, low: Number | None, high: Number | None) -> bool:
    return (low is None or low <= number) and (high is None or number < high)
