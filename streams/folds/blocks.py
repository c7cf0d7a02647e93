"""Blocks of trees as rows of the keyed store, decoded while they are in use.

What changed is written by `flush`, once per batch and block, whatever number of records changed it; until then it
cannot leave memory. What has not changed may leave at any time and is read again where it is needed.
"""

from __future__ import annotations

from collections import deque

from streams.folds.tree import Block, Blocks
from xiezhi.errors import StoreError
from xiezhi.store import KeyedStore

#: Decoded blocks kept per partition, about 7 kB each. Without a bound one key with millions of records would take all
#: memory; a miss costs one read and ~20 µs.
BLOCKS_CACHED_MAX = 5_000


class BlockCache:
    """The blocks of all fold keys of one partition.

    Which one leaves is decided by second chances: one that was read since it was last asked to leave may stay. So a
    read costs a look into a dict and a mark, which matters, since a record reads a dozen blocks.
    """

    def __init__(self, store: KeyedStore, cached_max: int = BLOCKS_CACHED_MAX) -> None:
        self.store = store
        self._cached_max = cached_max
        self._queue: deque[tuple[_TreeBlocks, int, Block]] = deque()
        self._changed: dict[_TreeBlocks, None] = {}

    def of(self, view: bytes, prefix: bytes) -> Blocks:
        """The blocks of one tree: rows of `view` that begin with `prefix`.

        Whoever asks twice for the same tree lets go of the first before the second is changed, and not before a flush.
        """
        return _TreeBlocks(self, view, prefix)

    def keep(self, tree: _TreeBlocks, number: int, block: Block) -> None:
        """Count a block that was decoded or written; one that was read long ago leaves for it."""
        self._queue.append((tree, number, block))
        block.queued = True
        while len(self._queue) > self._cached_max:
            self._ask_to_leave(*self._queue.popleft())

    def changes(self, tree: _TreeBlocks) -> None:
        """Remember that `flush` finds something to write here."""
        self._changed[tree] = None

    def flush(self) -> None:
        """Write what changed into the current batch."""
        for tree in self._changed:
            tree.flush()
        self._changed.clear()

    def _ask_to_leave(self, tree: _TreeBlocks, number: int, block: Block) -> None:
        """Every block goes at the second time at the latest: the first takes its mark away."""
        if block.used and tree.held.get(number) is block:
            block.used = False
            self._queue.append((tree, number, block))
            return
        block.queued = False
        if tree.held.get(number) is block and number not in tree.changed:
            del tree.held[number]


class _TreeBlocks:
    """One tree's part of the cache: decoded blocks by number, and those to be written (None: freed)."""

    def __init__(self, cache: BlockCache, view: bytes, prefix: bytes) -> None:
        self._cache, self._view, self._prefix = cache, view, prefix
        self.held: dict[int, Block] = {}
        self.changed: dict[int, Block | None] = {}

    def read(self, number: int) -> Block:
        """Raises StoreError for a block that is not there, which only a damaged store can lack."""
        block = self.held.get(number)
        if block is None:
            block = self._load(number)
        block.used = True
        return block

    def write(self, number: int, block: Block) -> None:
        if self.changed.get(number) is block:
            return
        if not self.changed:
            self._cache.changes(self)
        self.changed[number] = self.held[number] = block

    def free(self, number: int) -> None:
        if not self.changed:
            self._cache.changes(self)
        self.changed[number] = None
        self.held.pop(number, None)

    def flush(self) -> None:
        changed, self.changed = self.changed, {}
        for number, block in changed.items():
            row = None if block is None else block.to_bytes()
            self._cache.store.put(self._view, self._row(number), row)
            if block is not None and not block.queued:
                self._cache.keep(self, number, block)

    def _load(self, number: int) -> Block:
        row = None if number in self.changed else self._cache.store.get(self._view, self._row(number))
        if row is None:
            raise StoreError("a block of a fold is missing: delete the store's folder, the log restores it")
        block = self.held[number] = Block.from_bytes(row)
        self._cache.keep(self, number, block)
        return block

    def _row(self, number: int) -> bytes:
        return self._prefix + b"%d" % number
