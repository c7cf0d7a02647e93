"""A01 in the stream: time alone raises the alert, once, across restarts; a late record takes it back."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from schemas import catalogue
from streams.facts import ACTIVATION_KEY, SEQUENCE_HEADER, TICK_KEY
from streams.joins import JOINS
from streams.judge import Judge, Judging
from streams.kernel import Statement
from streams.records import Guard
from streams.router import Router
from tests.builders import JURISDICTION, active_rules, instant
from tests.records import audited, rectified
from xiezhi.codec import Codec
from xiezhi.contracts.bus import ALERT, RELATION
from xiezhi.contracts.naming import fact_topic
from xiezhi.envelope import Envelope
from xiezhi.log import RawRecord
from xiezhi.registry import InMemoryRegistry
from xiezhi.store import KeyedStore, MemoryBackend

FOUND = audited("f-1", "C04", "2026-01-15")
CLOSED = rectified("r-1", "f-1", "C04", "2026-04-20")
#: Sixty natural and five working days after the finding, and the settle time.
SPEAKS_MS = instant("2026-03-24 00:00")
SAID_MS = SPEAKS_MS + 20_000

_CONTRACTS = {contract.topic: contract for contract in (catalogue.FINDING, catalogue.RECTIFICATION)}


def _codec() -> Codec:
    registry = InMemoryRegistry()
    for contract in (*_CONTRACTS.values(), ALERT, RELATION):
        registry.register(contract.subject, json.dumps(contract.schema))
    return Codec(registry)


CODEC = _codec()


@dataclass
class Bench:
    """One fact partition, a router before it and a judge whose store outlives it."""

    backend: MemoryBackend = field(default_factory=MemoryBackend)
    log: list[RawRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        guard = Guard(CODEC.decode_as, 0, dict.fromkeys(_CONTRACTS, 1))
        self._router = Router(JOINS, guard, KeyedStore(MemoryBackend()))
        self.restart()
        self.read([self._append(ACTIVATION_KEY, b"A01", [(SEQUENCE_HEADER, b"0")])])

    def restart(self) -> None:
        rules = active_rules("cn")
        judging = Judging(
            joins=JOINS,
            decode=CODEC.decode_as,
            activate=lambda value: rules[value.decode()],
            generation=1,
        )
        self._store = KeyedStore(self.backend)
        self._judge = Judge(judging, self._store)

    def publish(self, statement: Statement) -> list[tuple[str, str]]:
        contract = _CONTRACTS[statement.record_type]
        envelope = Envelope.create(
            source="urn:test",
            type=contract.topic,
            subject=statement.record_id,
            occurred_ms=statement.occurred_ms,
            version=statement.version,
            jurisdiction=JURISDICTION,
        )
        raw = RawRecord(
            contract.topic,
            0,
            len(self.log),
            statement.source.ingested_ms,
            statement.record_id.encode(),
            CODEC.encode(contract.subject, statement.value),
            list(envelope.to_headers()),
        )
        return self.read(
            [self._append(f.key, f.value, f.headers) for f in self._router.route(raw, routed_ms=1)]
        )

    def tick(self, now_ms: int) -> list[tuple[str, str]]:
        value = json.dumps({"now_ms": now_ms}).encode()
        return self.read([self._append(TICK_KEY, value, ingested_ms=now_ms)])

    def read(self, records: Sequence[RawRecord]) -> list[tuple[str, str]]:
        """(rule, state) of what one batch makes the judge say; committed like every batch."""
        outputs = self._judge.apply(records, lambda raw, error: pytest.fail(str(error)))
        self._store.commit(self._store.seal(records[-1].offset + 1))
        return [(output.said.owner, output.state) for output in outputs]

    def _append(
        self,
        key: bytes,
        value: bytes,
        headers: Sequence[tuple[str, bytes | None]] = (),
        ingested_ms: int = 0,
    ) -> RawRecord:
        self.log.append(RawRecord(fact_topic(1), 0, len(self.log), ingested_ms, key, value, headers))
        return self.log[-1]


def test_ticks_alone_raise_it_once_and_a_late_record_takes_it_back() -> None:
    bench = Bench()
    assert bench.publish(FOUND) == []
    for silent_ms in (instant("2026-03-16"), SPEAKS_MS - 1, SPEAKS_MS, SAID_MS - 1):
        assert bench.tick(silent_ms) == []
    assert bench.tick(SAID_MS) == [("A01", "raised")]
    for later_ms in (SAID_MS, SAID_MS + 60_000, instant("2026-04-19")):
        assert bench.tick(later_ms) == []
    assert bench.publish(CLOSED) == [("A01", "withdrawn")]
    assert bench.tick(instant("2027-01-01")) == []


@pytest.mark.parametrize("restarts", range(5))
def test_it_is_said_once_wherever_the_judge_dies(restarts: int) -> None:
    """After step number `restarts`, and then after every step."""
    for every in (False, True):
        bench, said = Bench(), []
        for number, now_ms in enumerate((0, instant("2026-03-16"), SPEAKS_MS, SAID_MS, SAID_MS + 60_000)):
            said += bench.tick(now_ms) if number else bench.publish(FOUND)
            if every or number == restarts:
                bench.restart()
        assert said == [("A01", "raised")]
        assert bench.publish(CLOSED) == [("A01", "withdrawn")]


def test_a_judge_that_reads_everything_again_says_nothing_twice() -> None:
    bench = Bench()
    said = [*bench.publish(FOUND), *bench.tick(SAID_MS)]
    assert said == [("A01", "raised")]
    assert bench.read(bench.log) == []


def test_a_record_in_time_means_silence_for_ever() -> None:
    bench = Bench()
    bench.publish(FOUND)
    bench.publish(rectified("r-1", "f-1", "C04", "2026-03-10"))
    assert bench.tick(SAID_MS) == bench.tick(instant("2030-01-01")) == []
