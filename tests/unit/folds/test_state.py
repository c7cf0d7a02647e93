"""Keys of fold joins in the keyed store: what is read and written for one record, and what survives."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from streams.fact_rows import Fact
from streams.facts import Filing, Presence
from streams.folds.recomputed import Recomputed
from streams.folds.state import Bounds, Folds
from streams.kernel import FoldView, Input, Join, Source, Statement
from tests.unit.folds.bags import FOLD, TOPIC, contribution, entry
from xiezhi.envelope import Envelope
from xiezhi.errors import BadRecordError, StoreError
from xiezhi.store import KeyedStore, MemoryBackend

JOIN = Join(name="toy", inputs=(Input(TOPIC, lambda value: []),), fold=FOLD)
VIEW = "toy|k"
TINY = Bounds(entries_max=3, blocks_cached_max=0, heads_cached_max=0)


class CountingBackend(MemoryBackend):
    """Counts rows that are read and written, and refuses to read a whole view."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.writes = self.bytes_written = 0

    def get(self, key: bytes) -> bytes | None:
        self.reads += 1
        return super().get(key)

    def scan(self, prefix: bytes) -> Any:
        raise AssertionError("a fold key is never read whole")

    def write(self, rows: Mapping[bytes, bytes | None]) -> None:
        self.writes += len(rows)
        self.bytes_written += sum(len(row or b"") for row in rows.values())
        super().write(rows)


class Ledger:
    """Folds over a store that survives them. A fact's value says what it contributes."""

    def __init__(self, backend: MemoryBackend | None = None, bounds: Bounds = TINY) -> None:
        self.backend = backend or CountingBackend()
        self.bounds = bounds
        self.values: dict[bytes, Mapping[str, Any]] = {}
        self.restart()

    def restart(self) -> None:
        self.store = KeyedStore(self.backend)
        self.folds = Folds([JOIN], self.store, self.read, self.bounds)
        self.offset = self.store.next_offset

    def read(self, fact: Fact) -> Statement:
        return replace(
            entry(fact.envelope.subject, self.values[fact.value], fact.envelope.version),
            source=fact.filing.source,
        )

    def fact(
        self, record_id: str, value: Mapping[str, Any] | None, version: int = 0, offset: int = 0
    ) -> Fact:
        body = b"" if value is None else f"{record_id}.{version}.{value}".encode()
        if value is not None:
            self.values[body] = value
        presence = Presence.LEFT if value is None else Presence.PRESENT
        filing = Filing(presence, Source(TOPIC, 0, offset, 0), "ab", 0)
        envelope = Envelope.create(
            source="urn:toy",
            type=TOPIC,
            subject=record_id,
            occurred_ms=0,
            version=version,
            jurisdiction="330106000000",
        )
        return Fact(filing.to_bytes(), filing, envelope, body)

    def take(self, facts: Sequence[Fact]) -> None:
        """One batch, committed."""
        for fact in facts:
            self.folds.merge(VIEW, fact, self.read)
        self.folds.flush()
        self.offset += len(facts)
        self.store.commit(self.store.seal(self.offset))

    @property
    def view(self) -> FoldView:
        return self.folds.view(VIEW)


def everything(view: FoldView) -> tuple[Any, ...]:
    return (
        view.records,
        view.unfolded,
        view.sum("total"),
        view.within("daily", 2, 5),
        view.distinct("parties"),
        view.quantile("amounts", Fraction(1, 3)),
        [one.record_id for one in view.ranked("largest", 5, descending=True)],
    )


def test_any_history_with_restarts_leaves_what_stands() -> None:
    chance = random.Random(7)
    for _ in range(30):
        ledger = Ledger()
        facts: list[Fact] = []
        for _ in range(60):
            number = chance.randrange(-9, 30)
            value = contribution(number, number % 7, chance.choice("abc"))
            facts.append(
                ledger.fact(
                    f"r{chance.randrange(12)}",
                    value if chance.random() < 0.7 else None,
                    chance.randrange(5),
                    offset=len(facts),
                )
            )
        standing: dict[str, Fact] = {}
        for fact in sorted(facts, key=lambda one: (one.rank, -one.filing.source.offset)):
            standing[fact.envelope.subject] = fact
        facts += chance.choices(facts, k=20)
        chance.shuffle(facts)
        while facts:
            size = chance.randint(1, 9)
            ledger.take(facts[:size])
            del facts[:size]
            if chance.random() < 0.4:
                ledger.restart()
        wanted = [ledger.read(fact) for fact in standing.values() if fact.is_present]
        assert everything(ledger.view) == everything(Recomputed("k", FOLD, wanted))


@pytest.fixture(scope="module")
def crowded() -> MemoryBackend:
    """The rows of a key with 20,000 records, in blocks of a size as services have it."""
    ledger = Ledger(MemoryBackend(), Bounds())
    ledger.take([_numbered(ledger, number) for number in random.Random(1).sample(range(20_000), 20_000)])
    return ledger.backend


def _numbered(ledger: Ledger, number: int) -> Fact:
    return ledger.fact(f"r{number}", contribution(number * 7919 % 20_000, number % 3_000, f"p{number}"))


def test_one_record_costs_a_few_rows_however_many_there_are_and_after_a_restart(
    crowded: MemoryBackend,
) -> None:
    backend = CountingBackend()
    backend.rows, backend._keys = dict(crowded.rows), list(crowded._keys)
    ledger = Ledger(backend, Bounds())
    ledger.take([ledger.fact("new", contribution(12_345, 77, "new"))])
    # The record's row, the head, the input offset, and in each of four trees three blocks (64 entries, 20,000 keys).
    assert backend.reads <= 16
    assert backend.writes <= 16
    assert backend.bytes_written < 40_000
    view = ledger.view
    assert (view.records, view.distinct("parties")) == (20_001, 20_001)
    backend.reads = 0
    for _ in range(5):
        view.quantile("amounts", Fraction(1, 2))
        view.within("daily", 100, 200)
    assert backend.reads <= 10, "blocks that were read stay decoded"


def test_what_stands_already_changes_nothing(crowded: MemoryBackend) -> None:
    backend = CountingBackend()
    backend.rows, backend._keys = dict(crowded.rows), list(crowded._keys)
    ledger = Ledger(backend, Bounds())
    ledger.take([_numbered(ledger, number) for number in (5, 77, 5)])
    assert backend.writes == 1, "the input offset"


def test_a_fact_that_cannot_be_read_changes_nothing() -> None:
    ledger = Ledger()
    ledger.take([ledger.fact("r", contribution(5, 1, "a"))])
    before = everything(ledger.view)

    def refuse(_: Fact) -> Statement:
        raise BadRecordError("undecodable_avro", "junk")

    with pytest.raises(BadRecordError):
        ledger.folds.merge(VIEW, ledger.fact("r", contribution(9, 1, "a"), version=1), refuse)
    ledger.take([])
    ledger.restart()
    assert everything(ledger.view) == before


def test_a_contribution_that_cannot_be_told_is_counted_until_it_is_corrected() -> None:
    ledger = Ledger()
    ledger.take([ledger.fact("r", {"total": 0.5}), ledger.fact("s", contribution(3, 1, "a"))])
    assert (ledger.view.records, ledger.view.unfolded) == (2, 1)
    ledger.take([ledger.fact("r", {"total": 5}, version=1)])
    assert (ledger.view.unfolded, ledger.view.sum("total")) == (0, 8)


def test_blocks_that_are_gone_from_the_store_are_an_error_and_not_a_smaller_sum() -> None:
    ledger = Ledger()
    ledger.take([ledger.fact(f"r{number}", contribution(number, 1, "a")) for number in range(20)])
    lost = [key for key in ledger.backend.rows if b"bamounts|" in key]
    ledger.backend.write(dict.fromkeys(lost))
    ledger.restart()
    with pytest.raises(StoreError, match="missing"):
        ledger.view.within("amounts")


def test_names_of_folds_are_none_that_a_fact_could_have() -> None:
    ledger = Ledger()
    ledger.take([ledger.fact("r", contribution(5, 1, "a"))])
    views = {key[2 : 2 + int.from_bytes(key[:2], "big")] for key in ledger.backend.rows if key[:2] < b"\xff"}
    for view in views:
        with pytest.raises(UnicodeDecodeError):
            view.decode()
