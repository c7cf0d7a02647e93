"""The aggregates of one key, maintained: contributions are added and taken out, questions answered in O(log n). Pure.

What they are kept in is given: a tree of blocks for everything that has an order, a number for a sum. To replace a
contribution is to take out the old one, exactly as it was added, and to add the new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from typing import Any

from streams.folds.columns import dumps, loads
from streams.folds.quantiles import quantile
from streams.folds.tree import ENTRIES_MAX, Blocks, Key, Tree
from streams.kernel import Aggregate, Fold, Number, Statement, Totals, exact

Slot = tuple[str, str]  # (record type, record id)
#: In names of records: less than any character of a record type, so that they sort as the pairs do.
_SEPARATOR = "\x1f"
ReadStatement = Callable[[Slot], Statement]


class Aggregates:
    """All aggregates of one key of a fold join; a `FoldView` once the key's statements can be read."""

    def __init__(
        self,
        key: str,
        fold: Fold,
        blocks_of: Callable[[str], Blocks],
        read: ReadStatement,
        entries_max: int = ENTRIES_MAX,
    ) -> None:
        self.key = key
        self.records = self.unfolded = 0
        self._fold, self._read = fold, read
        self._sums: dict[str, Number] = {}
        self._trees: dict[str, Tree] = {}
        for name, aggregate in fold.aggregates.items():
            if aggregate is Aggregate.SUM:
                self._sums[name] = 0
            else:
                self._trees[name] = Tree(blocks_of(name), entries_max=entries_max)

    # -- change --------------------------------------------------------------------------------------------------

    def count(self, slot: Slot, contribution: Mapping[str, Any] | None, times: int) -> None:
        """Add (`times` 1) or take out (-1) what one record contributes; None is a contribution that cannot be told."""
        self.records += times
        if contribution is None:
            self.unfolded += times
            return
        for name, value in contribution.items():
            aggregate = self._fold.aggregates[name]
            if aggregate is Aggregate.SUM:
                self._sums[name] = exact(self._sums[name] + times * value)
            else:
                key, amount = _entry(aggregate, slot, value)
                self._trees[name].add(key, times, times * amount)

    def to_bytes(self) -> bytes:
        """Everything but the blocks."""
        trees = [(name, tree.root, tree.next_number) for name, tree in self._trees.items()]
        content = [self.records, self.unfolded, list(self._sums.items()), trees]
        return dumps(content)

    def restore(self, row: bytes) -> None:
        """Take over what `to_bytes` wrote."""
        self.records, self.unfolded, sums, trees = loads(row)
        self._sums = dict(sums)
        for name, root, next_number in trees:
            self._trees[name].root, self._trees[name].next_number = root, next_number

    # -- answers: FoldView ---------------------------------------------------------------------------------------

    def sum(self, name: str) -> Number:
        return self._sums[name]

    def distinct(self, name: str) -> int:
        return self._tree(name, Aggregate.DISTINCT).totals().keys

    def within(self, name: str, low: Number | None = None, high: Number | None = None) -> Totals:
        return self._tree(name, Aggregate.MULTISET, Aggregate.PER_DAY).within(low, high)

    def days(
        self, name: str, low: int | None = None, high: int | None = None
    ) -> Sequence[tuple[int, Totals]]:
        entries = self._tree(name, Aggregate.PER_DAY).entries(low, high)
        return [(day, Totals(count, amount)) for day, count, amount in entries]

    def quantile(
        self, name: str, share: Fraction, low: Number | None = None, high: Number | None = None
    ) -> Number | None:
        tree = self._tree(name, Aggregate.MULTISET)
        skipped = 0 if low is None else tree.below(low).count
        return quantile(share, tree.within(low, high).count, lambda at: exact(tree.at(skipped + at)))

    def ranked(
        self,
        name: str,
        limit: int,
        *,
        low: Number | None = None,
        high: Number | None = None,
        descending: bool = False,
    ) -> Sequence[Statement]:
        tree = self._tree(name, Aggregate.RANKED)
        listed = tree.last if descending else tree.first
        bounds = (None if bound is None else (bound,) for bound in (low, high))
        return [self._read(_slot(name)) for _, name in listed(limit, *bounds)]

    def _tree(self, name: str, *aggregates: Aggregate) -> Tree:
        if self._fold.aggregates.get(name) not in aggregates:
            raise KeyError(f"the fold declares no {' or '.join(aggregates)} {name!r}")
        return self._trees[name]


def _entry(aggregate: Aggregate, slot: Slot, value: Any) -> tuple[Key, Number]:
    """Under which key a contribution is counted, and what it adds to the sum."""
    if aggregate is Aggregate.PER_DAY:
        day, number = value
        return day, number
    if aggregate is Aggregate.MULTISET:
        return value, value
    if aggregate is Aggregate.RANKED:
        return (value, _SEPARATOR.join(slot)), 0
    return value, 0


def _slot(name: str) -> Slot:
    record_type, _, record_id = name.partition(_SEPARATOR)
    return record_type, record_id
