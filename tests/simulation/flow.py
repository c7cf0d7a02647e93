"""The pure kernel alone: routers and judges of every partition, no crashes, no disks, any order of reading.

What is in the log is given; who reads how much of which partition when is the schedule. Whatever the schedule, what
stands in the end must be what the oracle says of the log.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streams.cores import JudgeCore, RouterCore
from streams.evaluation import ActiveRule
from streams.facts import ACTIVATION_KEY, SEQUENCE_HEADER, TICK_KEY
from streams.judge import Activate, Judging
from streams.kernel import Join
from streams.outputs import Decode, Encode
from streams.pipeline import Outgoing
from streams.records import Guard
from tests.simulation.broker import Broker
from tests.simulation.consumers import held_alerts, held_relations, one_content_per_position
from tests.simulation.parts import Parts
from tests.simulation.world import FUTURE_TOLERANCE_MS, START_MS
from xiezhi.contracts.naming import RELATION, fact_topic
from xiezhi.store import KeyedStore, MemoryBackend

FACTS = fact_topic(1)
PARTITIONS = 2
STEPS_MAX = 5_000
#: By how much the clock of a machine is ahead that has a wrong year.
WRONG_BY_MS = 20 * 365 * 86_400_000


@dataclass(frozen=True)
class World:
    """Joins with their rules in force, the records they take, and how bytes are read and written."""

    joins: Sequence[Join]
    topics: Sequence[str]
    active: Mapping[str, ActiveRule]
    decode: Decode
    encode: Encode
    activate: Activate
    activations: Sequence[bytes]
    start_ms: int = START_MS  # when the log begins
    pace_ms: int = 3_000  # between two records; ticks of a schedule are up to 67 times that apart

    @property
    def guard(self) -> Guard:
        return Guard(self.decode, FUTURE_TOLERANCE_MS, dict.fromkeys(self.topics, PARTITIONS))


@dataclass(frozen=True)
class Read:
    """One entry of a schedule: somebody reads so many records, or the clock ticks on one partition."""

    reader: int
    records: int


@dataclass
class _Reader:
    topic: str
    partition: int
    core: RouterCore | JudgeCore
    position: int = 0


class Flow:
    """One log and one schedule."""

    def __init__(self, world: World, log: Iterable[Outgoing], parts: Parts | None = None) -> None:
        self._world, self._parts = world, parts or Parts()
        self._now_ms = world.start_ms
        self._ahead_ms = 0  # of this, the broker's clock
        self.broker = Broker(PARTITIONS, self._later)
        for number, value in enumerate(world.activations):
            headers = [(SEQUENCE_HEADER, b"%d" % number)]
            for partition in range(PARTITIONS):
                self.broker.append(Outgoing(FACTS, ACTIVATION_KEY, value, headers, partition))
        for record in log:
            self._now_ms += world.pace_ms
            self.broker.append(record)
        self._readers = [
            *(self._router(topic, p) for topic in (*world.topics, RELATION) for p in range(PARTITIONS)),
            *(self._judge(partition) for partition in range(PARTITIONS)),
        ]

    def run(self, schedule: Iterable[Read], last_tick_ms: int) -> None:
        """Follow the schedule, let the clock say its last word everywhere, then let all read to the end.

        `last_tick_ms` counts from the beginning of the log.
        """
        for one in schedule:
            number = one.reader % (len(self._readers) + 1)
            if number == len(self._readers):
                now_ms = self._world.start_ms + one.reader * self._world.pace_ms // 3 % (
                    67 * self._world.pace_ms
                )
                if one.records % 5 == 4:
                    self._append_tick(one.records % PARTITIONS, now_ms + WRONG_BY_MS)
                else:
                    self._tick(one.records % PARTITIONS, now_ms)
            else:
                self._read(self._readers[number], one.records)
        latest = max(self._world.start_ms + last_tick_ms, self.broker.latest_tick_ms(FACTS))
        for partition in range(PARTITIONS):
            self._tick(partition, latest)
        for _ in range(STEPS_MAX):
            moved = [self._read(reader, 7) for reader in self._readers]
            if not any(moved):
                return
        raise AssertionError("the stream feeds itself")

    def differences(self) -> list[str]:
        """What stands and the oracle does not say, or the other way round."""
        world, chance = self._world, random.Random(0)
        records = [raw for topic in world.topics for raw in self.broker.all(topic)]
        now_ms = self.broker.latest_tick_ms(FACTS)
        verdict = self._parts.oracle(records, world.joins, world.active, world.guard, now_ms)
        assert not verdict.failed, verdict.failed
        alerts = {one_id: proposal.digest for one_id, proposal in verdict.alerts.items()}
        relations = {one_id: proposal.digest for one_id, proposal in verdict.relations.items()}
        said_alerts = held_alerts(self.broker, chance, world.decode)
        said_relations = held_relations(self.broker, chance, world.decode)
        return [
            *(f"alert {one}" for one in _differing(said_alerts, alerts)),
            *(f"relation {one}" for one in _differing(said_relations, relations)),
            *one_content_per_position(self.broker, world.decode),
        ]

    def _read(self, reader: _Reader, count: int) -> bool:
        records = self.broker.read(
            reader.topic, reader.partition, reader.position, reader.position + max(1, count)
        )
        reader.position += len(records)
        for outgoing in reader.core.process(records).outgoing if records else ():
            self.broker.append(outgoing)
        return bool(records)

    def _tick(self, partition: int, now_ms: int) -> None:
        self._ahead_ms = max(self._ahead_ms, now_ms - self._now_ms)  # or the judge would refuse it
        self._append_tick(partition, now_ms)

    def _append_tick(self, partition: int, now_ms: int) -> None:
        self.broker.append(Outgoing(FACTS, TICK_KEY, b'{"now_ms": %d}' % now_ms, [], partition))

    def _router(self, topic: str, partition: int) -> _Reader:
        router = self._parts.router(self._world.joins, self._world.guard, KeyedStore(MemoryBackend()))
        return _Reader(topic, partition, self._parts.router_core(router, FACTS, self._now))

    def _judge(self, partition: int) -> _Reader:
        world = self._world
        judging = Judging(joins=world.joins, decode=world.decode, activate=world.activate, generation=1)
        judge = self._parts.judge(judging, KeyedStore(MemoryBackend()))
        core = self._parts.judge_core(judge, partition, world.encode, world.decode, self._now)
        return _Reader(FACTS, partition, core)

    def _now(self) -> int:
        return self._now_ms

    def _later(self) -> int:
        """The broker's clock: no two records at one instant."""
        self._now_ms += 1
        return self._now_ms + self._ahead_ms


def _differing(held: Mapping[str, str], wanted: Mapping[str, str]) -> list[str]:
    return sorted(one for one in {*held, *wanted} if held.get(one) != wanted.get(one))
