"""Blocks in memory, and fold views of toy statements, for the tests of folds."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from streams.folds.tree import Block
from streams.kernel import Aggregate, Fold, Source, Statement

TOPIC = "toy.entry.v1"

#: One aggregate of every kind; a value without an entry of some name adds nothing to it.
FOLD = Fold(
    {
        "total": Aggregate.SUM,
        "daily": Aggregate.PER_DAY,
        "parties": Aggregate.DISTINCT,
        "amounts": Aggregate.MULTISET,
        "largest": Aggregate.RANKED,
    },
    lambda statement: statement.value,
)


class MemoryBlocks:
    """Blocks as their bytes, so that nothing is shared by accident; counts what is read and written."""

    def __init__(self) -> None:
        self.rows: dict[int, bytes] = {}
        self.touched = 0

    def read(self, number: int) -> Block:
        self.touched += 1
        return Block.from_bytes(self.rows[number])

    def write(self, number: int, block: Block) -> None:
        self.touched += 1
        self.rows[number] = block.to_bytes()

    def free(self, number: int) -> None:
        del self.rows[number]


def entry(record_id: str, value: Mapping[str, Any], version: int = 0) -> Statement:
    """A statement whose value is its contribution."""
    return Statement(
        record_type=TOPIC,
        record_id=record_id,
        version=version,
        occurred_ms=0,
        event_id=f"{record_id}.{version}",
        digest="",
        value=value,
        source=Source(TOPIC, 0, 0, 0),
        jurisdiction="330106000000",
    )


def contribution(number: int | Fraction, day: int, party: str) -> dict[str, Any]:
    """An entry for every aggregate of FOLD."""
    return {
        "total": number,
        "daily": (day, number),
        "parties": party,
        "amounts": number,
        "largest": number,
    }
