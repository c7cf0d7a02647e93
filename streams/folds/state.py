"""The keys of fold joins as the judge keeps them: a row per record, and the aggregates in blocks.

A fact costs one read and one write of its record's row, and in every aggregate one block per level. Nothing is ever
read or written whole: a key that is touched for the first time since a restart costs its head row and then the blocks
on the way, the same as any other. All of it is in the store's current batch after `flush`, and so as durable as the
input offset.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from streams.fact_rows import Fact, row_of
from streams.folds.aggregates import Aggregates, Slot
from streams.folds.blocks import BLOCKS_CACHED_MAX, BlockCache
from streams.folds.columns import dumps, loads
from streams.folds.tree import ENTRIES_MAX
from streams.kernel import Fold, FoldView, Join, Statement
from xiezhi.errors import StoreError
from xiezhi.store import KeyedStore

#: Head rows kept decoded per partition: without a bound they grow with the number of keys.
HEADS_CACHED_MAX = 50_000

#: Before the name of a view. No fact can name such a one: its key would have to be UTF-8.
_FOLD = b"\xff"
_HEAD, _RECORD, _BLOCK = b"h", b"r", b"b"

ReadFact = Callable[[Fact], Statement]


class Bounds(NamedTuple):
    """Sizes that change what is kept where, never an answer. Tests make them tiny."""

    entries_max: int = ENTRIES_MAX
    blocks_cached_max: int = BLOCKS_CACHED_MAX
    heads_cached_max: int = HEADS_CACHED_MAX


DEFAULT_BOUNDS = Bounds()


class _Row(NamedTuple):
    """One record under a key: the fact that stands, and what it contributes (None: that could not be told)."""

    fact: Fact
    contribution: Mapping[str, Any] | None

    def to_bytes(self) -> bytes:
        told = None if self.contribution is None else list(self.contribution.items())
        head = dumps(told)
        return len(head).to_bytes(4, "big") + head + self.fact.to_bytes()

    @classmethod
    def from_bytes(cls, row: bytes) -> _Row:
        end = 4 + int.from_bytes(row[:4], "big")
        told = loads(row[4:end])
        return cls(Fact.from_bytes(row[end:]), None if told is None else dict(told))


class Folds:
    """All fold keys of one fact partition. `read` decodes a fact that was merged before."""

    aggregates: ClassVar[type[Aggregates]] = Aggregates

    def __init__(
        self, joins: Sequence[Join], store: KeyedStore, read: ReadFact, bounds: Bounds = DEFAULT_BOUNDS
    ) -> None:
        self._folds = {join.name: join.fold for join in joins if join.fold is not None}
        self._store, self._read = store, read
        self._bounds = bounds
        self._blocks = BlockCache(store, self._bounds.blocks_cached_max)
        self._heads: OrderedDict[str, Aggregates] = OrderedDict()
        self._changed: dict[str, Aggregates] = {}

    def takes(self, view: str) -> bool:
        """Whether `view` is a key of a fold join."""
        return view.partition("|")[0] in self._folds

    def merge(self, view: str, fact: Fact, read_new: ReadFact) -> None:
        """Let `fact` stand for its record if it outranks what does. Raises what `read_new` raises, having changed
        nothing."""
        rows, row = rows_of(view), row_of(_RECORD, fact.slot)
        held = self._store.get(rows, row)
        before = _Row.from_bytes(held) if held is not None else None
        if before is not None and not fact.replaces(before.fact.rank, before.fact.filing.source.offset):
            return
        aggregates = self._aggregates(view)
        after = _Row(fact, self._contribution(view, fact, read_new))
        if before is not None and before.fact.is_present:
            aggregates.count(fact.slot, before.contribution, -1)
        if fact.is_present:
            aggregates.count(fact.slot, after.contribution, 1)
        self._store.put(rows, row, after.to_bytes())
        self._changed[view] = aggregates

    def view(self, view: str) -> FoldView:
        """What rules see of a key. Valid until the next merge."""
        return self._aggregates(view)

    def flush(self) -> None:
        """Write everything that changed into the current batch of the store."""
        self._blocks.flush()
        for view, aggregates in self._changed.items():
            self._store.put(rows_of(view), _HEAD, aggregates.to_bytes())
        self._changed.clear()

    def _contribution(self, view: str, fact: Fact, read: ReadFact) -> Mapping[str, Any] | None:
        return self._fold(view).contribution_of(read(fact)) if fact.is_present else {}

    def _aggregates(self, view: str) -> Aggregates:
        found = self._changed.get(view) or self._heads.get(view)
        if found is None:
            found = self._load(view)
        self._heads[view] = found
        self._heads.move_to_end(view)
        while len(self._heads) > self._bounds.heads_cached_max:
            self._heads.popitem(last=False)
        return found

    def _load(self, view: str) -> Aggregates:
        rows = rows_of(view)

        def read(slot: Slot) -> Statement:
            row = self._store.get(rows, row_of(_RECORD, slot))
            if row is None:
                raise StoreError(
                    "a record of a fold is missing: delete the store's folder, the log restores it"
                )
            return self._read(_Row.from_bytes(row).fact)

        aggregates = self.aggregates(
            view.partition("|")[2],
            self._fold(view),
            lambda name: self._blocks.of(rows, _BLOCK + name.encode() + b"|"),
            read,
            self._bounds.entries_max,
        )
        head = self._store.get(rows, _HEAD)
        if head is not None:
            aggregates.restore(head)
        return aggregates

    def _fold(self, view: str) -> Fold:
        return self._folds[view.partition("|")[0]]


def rows_of(view: str) -> bytes:
    """The view of the store that holds the rows of a fold key."""
    return _FOLD + view.encode()
