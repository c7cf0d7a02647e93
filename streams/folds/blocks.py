"""Blocks of trees as rows of the keyed store, decoded while they are in use.

What changed is written by `flush`, once per batch and block, whatever number of records changed it; until then it
cannot leave memory. What has not changed may leave at any time and is read again where it is needed.
"""

from __future__ import annotations

from collections import OrderedDict

from streams.folds.tree import Block, Blocks
from xiezhi.errors import StoreError
from xiezhi.store import KeyedStore

#: Decoded blocks kept per partition, about 7 kB each. Without a bound one key with millions of records would take all
#: memory; a miss costs one read and ~20 µs.
BLOCKS_CACHED_MAX = 5_000

_Place = tuple[bytes, bytes, int]  # view of the store, first part of the row, number of the block


class BlockCache:
    """The blocks of all fold keys of one partition."""

    def __init__(self, store: KeyedStore, cached_max: int = BLOCKS_CACHED_MAX) -> None:
        self._store, self._cached_max = store, cached_max
        self._clean: OrderedDict[_Place, Block] = OrderedDict()
        self._changed: dict[_Place, Block | None] = {}  # None: freed

    def of(self, view: bytes, prefix: bytes) -> Blocks:
        """The blocks of one tree: rows of `view` that begin with `prefix`."""
        return _TreeBlocks(self, view, prefix)

    def read(self, place: _Place) -> Block:
        """Raises StoreError for a block that is not there, which only a damaged store can lack."""
        block = self._changed.get(place)
        if block is not None:
            return block
        block = self._clean.get(place)
        if block is not None:
            self._clean.move_to_end(place)
            return block
        row = None if place in self._changed else self._store.get(place[0], _row(place))
        if row is None:
            raise StoreError("a block of a fold is missing: delete the store's folder, the log restores it")
        block = self._clean[place] = Block.from_bytes(row)
        self._shrink()
        return block

    def change(self, place: _Place, block: Block | None) -> None:
        """Keep `block` to be written; None frees it."""
        if block is None or self._changed.get(place) is not block:
            self._clean.pop(place, None)
            self._changed[place] = block

    def flush(self) -> None:
        """Write what changed into the current batch."""
        for place, block in self._changed.items():
            self._store.put(place[0], _row(place), None if block is None else block.to_bytes())
            if block is not None:
                self._clean[place] = block
        self._changed.clear()
        self._shrink()

    def _shrink(self) -> None:
        while len(self._clean) > self._cached_max:
            self._clean.popitem(last=False)


class _TreeBlocks:
    """One tree's part of the cache."""

    def __init__(self, cache: BlockCache, view: bytes, prefix: bytes) -> None:
        self._cache, self._view, self._prefix = cache, view, prefix

    def read(self, number: int) -> Block:
        return self._cache.read(self._place(number))

    def write(self, number: int, block: Block) -> None:
        self._cache.change(self._place(number), block)

    def free(self, number: int) -> None:
        self._cache.change(self._place(number), None)

    def _place(self, number: int) -> _Place:
        return self._view, self._prefix, number


def _row(place: _Place) -> bytes:
    return place[1] + b"%d" % place[2]
