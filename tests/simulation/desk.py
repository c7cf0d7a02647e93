"""One fact partition by hand: facts, ticks and activations with offsets, and a judge over them.

For tests that need to say exactly what is read when. The simulation has many partitions and a schedule instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from streams.cards import Card
from streams.facts import ACTIVATION_KEY, SEQUENCE_HEADER, TAKE_OVER_KEY, TICK_KEY
from streams.judge import Activate, Judge, Judging, Output, Said
from streams.kernel import Join
from streams.outputs import encode_output, read_output
from streams.router import Router
from tests.simulation.world import CODEC, GUARD, JOINS, RULES, activation, card, record
from xiezhi.contracts.bus import ACTIVATION
from xiezhi.contracts.naming import fact_topic
from xiezhi.errors import BadRecordError
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore, MemoryBackend

GENERATION = 1
ROUTED_MS = 1
FACTS = fact_topic(GENERATION)


class FactLog:
    """What one fact partition holds. Everything is appended through here, so that offsets are the log's own."""

    def __init__(self, joins: Sequence[Join] = JOINS) -> None:
        self.records: list[RawRecord] = []
        self._router = Router(joins, GUARD, KeyedStore(MemoryBackend()))
        self._inputs = 0

    def file(
        self, topic: str, record_id: str, fields: Mapping[str, Any] | None, **more: Any
    ) -> list[RawRecord]:
        """A department's record (or, with `fields` None, its withdrawal) as the facts that the router makes of it."""
        raw = record(topic, record_id, fields, **more)._replace(offset=self._inputs)
        self._inputs += 1
        return [self.append(f.key, f.value, f.headers) for f in self._router.route(raw, routed_ms=ROUTED_MS)]

    def tick(self, now_ms: int) -> RawRecord:
        return self.append(TICK_KEY, json.dumps({"now_ms": now_ms}).encode(), ingested_ms=now_ms)

    def take_over(self) -> RawRecord:
        return self.append(TAKE_OVER_KEY, b"{}")

    def activate(self, one: Card, sequence: int = 0, *, enabled: bool = True, reason: str = "") -> RawRecord:
        value = CODEC.encode(ACTIVATION.subject, {**activation(one, enabled=enabled), "reason": reason})
        return self.append(ACTIVATION_KEY, value, [(SEQUENCE_HEADER, b"%d" % sequence)])

    def activate_all(self) -> list[RawRecord]:
        return [self.activate(card(rule_id)) for rule_id in RULES]

    def append(
        self,
        key: bytes,
        value: bytes,
        headers: Sequence[tuple[str, bytes | None]] = (),
        ingested_ms: int = 0,
    ) -> RawRecord:
        raw = RawRecord(FACTS, 0, len(self.records), ingested_ms, key, value, headers)
        self.records.append(raw)
        return raw

    def last(self) -> int:
        """The offset of the newest record."""
        return len(self.records) - 1


class Desk:
    """A judge with a store that survives it."""

    def __init__(
        self,
        backend: MemoryBackend | None = None,
        *,
        joins: Sequence[Join] = JOINS,
        cached: int = 1000,
        activate: Activate | None = None,
        generation: int = GENERATION,
    ) -> None:
        self.generation = generation
        self.said: list[Output] = []
        self.backend = backend or MemoryBackend()
        self.store = KeyedStore(self.backend)
        self.bad: list[tuple[RawRecord, BadRecordError]] = []
        self.failures: list[tuple[str, str]] = []
        judging = Judging(
            joins=joins,
            decode=CODEC.decode,
            activate=activate or CODEC.activator({rule.id: rule for join in joins for rule in join.rules}),
            generation=generation,
            on_failure=lambda owner, view, error: self.failures.append((owner, view)),
            views_cached_max=cached,
        )
        self.judge = Judge(judging, self.store)

    def read(self, records: Sequence[RawRecord]) -> list[Output]:
        """One batch, judged and committed, with the sweeps that it opens."""
        outputs = self.take(records)
        while self.judge.speaks and self.judge.sweeps.open:
            outputs += self.sweep(20)
        return outputs

    def take(self, records: Sequence[RawRecord]) -> list[Output]:
        """One batch, judged and committed; sweeps are left for later."""
        outputs = self.judge.apply(records, lambda raw, error: self.bad.append((raw, error)))
        self.commit(records)
        self.said += outputs
        return outputs

    def sweep(self, views: int) -> list[Output]:
        """One slice of an open sweep, judged and committed."""
        outputs = self.judge.rejudge(views)
        self.commit()
        self.said += outputs
        return outputs

    def restore(self, records: Sequence[RawRecord]) -> None:
        self.judge.restore(records)
        self.commit(records)

    def commit(self, records: Sequence[RawRecord] = ()) -> None:
        after = records[-1].offset + 1 if records else self.store.next_offset
        self.store.commit(self.store.seal(after))

    def restarted(self, **more: Any) -> Desk:
        """A new judge on what this one committed."""
        return Desk(self.backend, **{"generation": self.generation, **more})


def said_by(output: Output) -> tuple[str, str, Said]:
    """What another judge reads of this output."""
    sent = encode_output(output, CODEC.encode, judged_ms=0)
    return read_output(RawRecord(sent.topic, 0, 0, 0, sent.key, sent.value, sent.headers), CODEC.decode)


def states(outputs: Sequence[Output]) -> list[tuple[str, str]]:
    """(rule or derivation, state) of each output."""
    return [(output.said.owner, output.state) for output in outputs]
