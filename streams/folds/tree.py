"""An ordered bag with counts and sums, in blocks: a B+ tree whose inner entries know what lies below them. Pure.

Adding, taking out, and asking for a position, a range or the first few all touch one block per level. Blocks split
when full and go when empty, never in between (Johnson and Shasha, "B-trees with inserts and deletes: why
free-at-empty is better than merge-at-half", 1993). How the bag is cut into blocks depends on its history; what it
answers does not.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate, islice, takewhile
from typing import Any, Protocol

from streams.folds.columns import pack, unpack
from streams.kernel import Number, Totals, exact

#: Numbers, texts, or (number, text) pairs; those of one tree are of one kind.
Key = Any
#: A key, how often it is in the bag, and its sum.
Entry = tuple[Key, int, Number]
#: Entries of a block. Larger ones are written whole for one changed entry, smaller ones make the tree deeper.
ENTRIES_MAX = 64


@dataclass(frozen=True, slots=True)
class Totalled:
    """What a block holds, with everything below it: different keys, how many, and their sum."""

    keys: int
    count: int
    sum: Number


@dataclass(slots=True)
class Block:
    """Entries in the order of their keys. In an inner block each stands for a block below.

    `keys` of a leaf are those of the bag; of an inner block, the least that its children may hold.
    """

    keys: list[Key] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    sums: list[Number] = field(default_factory=list)
    children: list[int] | None = None  # block numbers; None in a leaf
    below: list[int] = field(default_factory=list)  # different keys under each child; empty in a leaf
    # For who keeps it: was it read since it was last asked to leave, and will it be asked.
    used: bool = field(default=False, compare=False)
    queued: bool = field(default=False, compare=False)

    def totals(self) -> Totalled:
        different = len(self.keys) if self.children is None else sum(self.below)
        return Totalled(different, sum(self.counts), sum(self.sums))

    def before(self, at: int) -> Totalled:
        """The same of the entries before `at`."""
        different = at if self.children is None else sum(self.below[:at])
        return Totalled(different, sum(self.counts[:at]), sum(self.sums[:at]))

    def halved(self) -> Block:
        """Give the upper half away to a new block."""
        at = len(self.keys) // 2
        children = None if self.children is None else self.children[at:]
        upper = Block(self.keys[at:], self.counts[at:], self.sums[at:], children, self.below[at:])
        for column in (self.keys, self.counts, self.sums, self.children, self.below):
            if column is not None:
                del column[at:]
        return upper

    def to_bytes(self) -> bytes:
        return pack(self.keys, self.counts, self.sums, self.children, self.below)

    @classmethod
    def from_bytes(cls, raw: bytes) -> Block:
        keys, counts, sums, children, below = unpack(raw)
        return cls(keys or [], counts or [], sums or [], children, below or [])


class Blocks(Protocol):
    """Where the blocks of one tree are kept. What `read` gives may be changed; it is kept once `write` has named it."""

    def read(self, number: int) -> Block: ...
    def write(self, number: int, block: Block) -> None: ...
    def free(self, number: int) -> None: ...


#: One inner block on the way down: its number, the block, and through which of its entries the way led.
_Step = tuple[int, Block, int]


class Tree:
    """`root` is None while the bag is empty; `next_number` is that of the next new block."""

    def __init__(
        self, blocks: Blocks, root: int | None = None, next_number: int = 0, entries_max: int = ENTRIES_MAX
    ) -> None:
        self.root, self.next_number = root, next_number
        self._blocks, self._entries_max = blocks, entries_max

    # -- change --------------------------------------------------------------------------------------------------

    def add(self, key: Key, count: int, amount: Number) -> None:
        """Count `key` up or down, and its sum with it. Raises ValueError when less than nothing would be left."""
        if self.root is None:
            self.root = self._new(Block())
        path, number, leaf = self._way_to(key)
        different = _change(leaf, key, count, amount)
        self._blocks.write(number, leaf)
        for above, inner, at in path:
            inner.counts[at] += count
            inner.below[at] += different
            if amount:
                inner.sums[at] = exact(inner.sums[at] + amount)
            self._blocks.write(above, inner)
        if len(leaf.keys) > self._entries_max:
            self._split(path, number, leaf)
        elif not leaf.keys:
            self._remove(path, number)

    def _way_to(self, key: Key) -> tuple[list[_Step], int, Block]:
        """The inner blocks down to the leaf where `key` belongs, and that leaf."""
        path: list[_Step] = []
        read, number = self._blocks.read, self._root()
        block = read(number)
        while block.children is not None:
            at = bisect_right(block.keys, key) - 1
            if at < 0:
                at, block.keys[0] = 0, key
            path.append((number, block, at))
            number = block.children[at]
            block = read(number)
        return path, number, block

    def _split(self, path: list[_Step], number: int, block: Block) -> None:
        while len(block.keys) > self._entries_max:
            upper = block.halved()
            upper_number = self._new(upper)
            self._blocks.write(number, block)
            if not path:
                self.root = self._new(_above((number, block), (upper_number, upper)))
                return
            number, parent, at = path.pop()
            _replace(parent, at, block)
            _insert(parent, at + 1, upper_number, upper)
            self._blocks.write(number, parent)
            block = parent

    def _remove(self, path: list[_Step], number: int) -> None:
        """Free an empty block and those above it that become empty; a root with one child gives way to it."""
        self._blocks.free(number)
        while path:
            number, block, at = path.pop()
            _delete(block, at)
            if block.keys:
                self._blocks.write(number, block)
                break
            self._blocks.free(number)
        else:
            self.root = None
            return
        self._lower_root()

    def _lower_root(self) -> None:
        number = self._root()
        block = self._blocks.read(number)
        while block.children is not None and len(block.children) == 1:
            self._blocks.free(number)
            self.root = number = block.children[0]
            block = self._blocks.read(number)

    def _new(self, block: Block) -> int:
        number = self.next_number
        self.next_number += 1
        self._blocks.write(number, block)
        return number

    def _root(self) -> int:
        if self.root is None:
            raise ValueError("an empty tree has no blocks")
        return self.root

    # -- answers -------------------------------------------------------------------------------------------------

    def totals(self) -> Totalled:
        """Of everything."""
        return Totalled(0, 0, 0) if self.root is None else self._blocks.read(self.root).totals()

    def below(self, key: Key) -> Totalled:
        """Of what is less than `key`."""
        keys, count = 0, 0
        amount: Number = 0
        number = self.root
        while number is not None:
            block = self._blocks.read(number)
            at = bisect_left(block.keys, key)
            if block.children is not None:
                at = max(at - 1, 0)
            before = block.before(at)
            keys, count, amount = keys + before.keys, count + before.count, amount + before.sum
            number = None if block.children is None else block.children[at]
        return Totalled(keys, count, exact(amount))

    def within(self, low: Key | None, high: Key | None) -> Totals:
        """How many, and their sum, from `low` up to but not including `high`; None is no bound."""
        upper = self.totals() if high is None else self.below(high)
        lower = Totalled(0, 0, 0) if low is None else self.below(low)
        if lower.count >= upper.count:
            return Totals(0, 0)
        return Totals(upper.count - lower.count, exact(upper.sum - lower.sum))

    def at(self, position: int) -> Key:
        """The key at `position`, counted from 0. Raises IndexError."""
        number = self.root
        while number is not None:
            block = self._blocks.read(number)
            at = bisect_right(list(accumulate(block.counts)), position)
            if at == len(block.counts):
                break
            if block.children is None:
                return block.keys[at]
            position -= sum(block.counts[:at])
            number = block.children[at]
        raise IndexError("no such position")

    def first(self, limit: int, low: Key | None, high: Key | None) -> list[Key]:
        """The least keys within the bounds."""
        return [key for key, _, _ in islice(self.entries(low, high), limit)]

    def last(self, limit: int, low: Key | None, high: Key | None) -> list[Key]:
        """The greatest ones, greatest first."""
        descending = self._descending(self.root, high)
        return list(islice(takewhile(lambda key: low is None or key >= low, descending), limit))

    def entries(self, low: Key | None, high: Key | None) -> Iterator[Entry]:
        """What lies within the bounds, in order."""
        ascending = self._ascending(self.root, low)
        return takewhile(lambda entry: high is None or entry[0] < high, ascending)

    def _ascending(self, number: int | None, low: Key | None) -> Iterator[Entry]:
        if number is None:
            return
        block = self._blocks.read(number)
        at = 0 if low is None else bisect_left(block.keys, low)
        if block.children is None:
            yield from islice(zip(block.keys, block.counts, block.sums, strict=True), at, None)
        else:
            for child in block.children[max(at - 1, 0) :]:
                yield from self._ascending(child, low)

    def _descending(self, number: int | None, high: Key | None) -> Iterator[Key]:
        if number is None:
            return
        block = self._blocks.read(number)
        at = len(block.keys) if high is None else bisect_left(block.keys, high)
        if block.children is None:
            yield from block.keys[:at][::-1]
        else:
            for child in block.children[: max(at, 1)][::-1]:
                yield from self._descending(child, high)


def _change(leaf: Block, key: Key, count: int, amount: Number) -> int:
    """Count an entry of a leaf; 1 when it is new, -1 when it went, else 0."""
    at = bisect_left(leaf.keys, key)
    known = at < len(leaf.keys) and leaf.keys[at] == key
    left = (leaf.counts[at] if known else 0) + count
    if left < 0 or (not known and left == 0):
        raise ValueError("taken out is what was never put in")
    if not known:
        leaf.keys.insert(at, key)
        leaf.counts.insert(at, count)
        leaf.sums.insert(at, amount)
        return 1
    if left == 0:
        del leaf.keys[at], leaf.counts[at], leaf.sums[at]
        return -1
    leaf.counts[at] = left
    leaf.sums[at] = exact(leaf.sums[at] + amount)
    return 0


def _above(*children: tuple[int, Block]) -> Block:
    """An inner block over these."""
    parent = Block(children=[])
    for at, (number, child) in enumerate(children):
        _insert(parent, at, number, child)
    return parent


def _insert(parent: Block, at: int, number: int, child: Block) -> None:
    totals = child.totals()
    parent.keys.insert(at, child.keys[0])
    parent.counts.insert(at, totals.count)
    parent.sums.insert(at, totals.sum)
    _children(parent).insert(at, number)
    parent.below.insert(at, totals.keys)


def _replace(parent: Block, at: int, child: Block) -> None:
    """Count an entry anew. Its key stays: it may be less than any that the child still holds."""
    totals = child.totals()
    parent.counts[at], parent.sums[at], parent.below[at] = totals.count, totals.sum, totals.keys


def _delete(parent: Block, at: int) -> None:
    children = _children(parent)
    del parent.keys[at], parent.counts[at], parent.sums[at], children[at], parent.below[at]


def _children(block: Block) -> list[int]:
    if block.children is None:
        raise ValueError("a leaf has no children")
    return block.children
