"""An ordered bag in blocks answers as a sorted list would, however it came about and is cut into blocks."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.folds.tree import Block, Tree
from streams.kernel import Totals
from tests.unit.folds.bags import MemoryBlocks

DETERMINISTIC = settings(derandomize=True, deadline=None, database=None)

keys = st.one_of(st.integers(-9, 9), st.fractions(-3, 3, max_denominator=7))
bounds = st.none() | st.integers(-10, 10)


def tree_of(numbers: list[int], entries_max: int = 4) -> Tree:
    tree = Tree(MemoryBlocks(), entries_max=entries_max)
    for number in numbers:
        tree.add(number, 1, number)
    return tree


def check(tree: Tree, bag: Counter[int | Fraction], low: int | None, high: int | None) -> None:
    ordered = sorted(bag.elements())
    different = sorted(bag)
    start = 0 if low is None else bisect_left(ordered, low)
    end = len(ordered) if high is None else bisect_left(ordered, high)
    chosen = ordered[start:end]
    kept = [key for key in different if (low is None or key >= low) and (high is None or key < high)]
    assert tree.totals().keys == len(different)
    assert (tree.totals().count, tree.totals().sum) == (len(ordered), sum(ordered))
    assert tree.within(low, high) == Totals(len(chosen), sum(chosen))
    assert [tree.at(position) for position in range(len(ordered))] == ordered
    for limit in (1, 3, 100):
        assert tree.first(limit, low, high) == kept[:limit]
        assert tree.last(limit, low, high) == kept[::-1][:limit]


@settings(DETERMINISTIC, max_examples=150)
@given(
    st.lists(st.tuples(keys, st.booleans()), max_size=80),
    st.integers(2, 5),
    st.lists(st.tuples(bounds, bounds), min_size=1, max_size=4),
)
def test_a_tree_answers_as_a_sorted_list_after_every_change(
    changes: list[tuple[int | Fraction, bool]],
    entries_max: int,
    asked: list[tuple[int | None, int | None]],
) -> None:
    blocks, bag = MemoryBlocks(), Counter[int | Fraction]()
    tree = Tree(blocks, entries_max=entries_max)
    for number, (key, taken_out) in enumerate(changes):
        if taken_out and bag:
            key = sorted(bag)[number % len(bag)]
            bag[key] -= 1
            tree.add(key, -1, -key)
        else:
            bag[key] += 1
            tree.add(key, 1, key)
        bag = +bag
        check(tree, bag, *asked[number % len(asked)])
    for key in list(bag.elements()):
        tree.add(key, -1, -key)
    assert (blocks.rows, tree.root) == ({}, None), "nothing is left of what was taken out"


def test_what_was_never_put_in_cannot_be_taken_out() -> None:
    tree = tree_of([1, 2, 3])
    for key, times in ((4, -1), (2, -2)):
        with pytest.raises(ValueError, match="never put in"):
            tree.add(key, times, 0)


def test_no_position_lies_beyond_the_end() -> None:
    for tree in (Tree(MemoryBlocks()), tree_of(list(range(9)))):
        with pytest.raises(IndexError):
            tree.at(9)


@pytest.mark.parametrize("order", [1, -1])
def test_a_tree_stays_shallow_and_its_blocks_full_enough(order: int) -> None:
    blocks = MemoryBlocks()
    tree = Tree(blocks, entries_max=8)
    for number in range(2_000)[::order]:
        tree.add(number, 1, number)
    sizes = [len(Block.from_bytes(row).keys) for row in blocks.rows.values()]
    assert max(sizes) <= 8
    blocks.touched = 0
    tree.at(1_234)
    assert blocks.touched <= 6, "one block per level: 4**6 > 2,000"


def test_blocks_read_back_as_they_were_written() -> None:
    block = Block([1, Fraction(1, 3)], [2, 1], [2, Fraction(-7, 9)], [5, 6], [1, 2])
    assert Block.from_bytes(block.to_bytes()) == block
