"""The cache of blocks: bounded, never without what is not yet written, and the store's word after a flush."""

from __future__ import annotations

import random

import pytest

from streams.folds.blocks import BlockCache
from streams.folds.tree import Block, Blocks
from xiezhi.errors import StoreError
from xiezhi.store import KeyedStore, MemoryBackend


def block(number: int) -> Block:
    return Block([number], [1], [number])


def cache_of(cached_max: int) -> tuple[BlockCache, Blocks, KeyedStore]:
    store = KeyedStore(MemoryBackend())
    cache = BlockCache(store, cached_max)
    return cache, cache.of(b"v", b"p"), store


def held(blocks: Blocks) -> int:
    return len(vars(blocks)["held"])


@pytest.mark.parametrize("cached_max", [0, 1, 7])
def test_after_a_flush_no_more_blocks_are_kept_than_are_allowed(cached_max: int) -> None:
    cache, blocks, _ = cache_of(cached_max)
    for number in range(40):
        blocks.write(number, block(number))
    assert held(blocks) == 40, "what is not written cannot leave"
    for _ in range(3):
        cache.flush()
        assert held(blocks) <= cached_max
        for number in random.Random(1).choices(range(40), k=200):
            assert blocks.read(number) == block(number)
            assert held(blocks) <= cached_max
        for number in random.Random(2).choices(range(40), k=9):
            blocks.write(number, blocks.read(number))


def test_a_block_that_is_in_use_stays_longer_than_one_that_is_not() -> None:
    cache, blocks, store = cache_of(4)
    for number in range(30):
        blocks.write(number, block(number))
    cache.flush()
    root = blocks.read(0)
    for number in range(1, 30):
        blocks.read(number)
        assert blocks.read(0) is root
    store.put(b"v", b"p29", None)
    for number in range(1, 9):
        blocks.read(number)
    with pytest.raises(StoreError, match="missing"):
        blocks.read(29)


def test_what_changed_can_be_read_at_once_and_from_the_store_after_a_flush() -> None:
    cache, blocks, _ = cache_of(0)
    one = block(1)
    blocks.write(5, one)
    one.counts[0] = 9
    assert blocks.read(5) is one
    cache.flush()
    again = blocks.read(5)
    assert again is not one
    assert again.counts == [9]


def test_a_block_that_was_freed_is_gone_before_and_after_it_is_written() -> None:
    cache, blocks, store = cache_of(9)
    blocks.write(5, block(1))
    cache.flush()
    blocks.free(5)
    for _ in range(2):
        with pytest.raises(StoreError, match="missing"):
            blocks.read(5)
        cache.flush()
    assert store.get(b"v", b"p5") is None


def test_trees_share_the_room_and_nothing_else() -> None:
    cache, blocks, _ = cache_of(3)
    others = [cache.of(b"v", b"q"), cache.of(b"w", b"p")]
    for at, each in enumerate([blocks, *others]):
        each.write(1, block(at))
    cache.flush()
    assert sum(map(held, (blocks, *others))) <= 3
    assert [each.read(1).keys for each in (blocks, *others)] == [[0], [1], [2]]
