"""One partition of router or judge in one assignment, step by step: `streams.stage` without Faust and Kafka.

The cores and stores are the real ones. A stage's effects (each record sent, each commit of the store, each commit of
an offset) are steps of their own, so that a schedule can kill the worker between any two of them, or let it live on
as a zombie after another worker was given the partition.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from streams.cores import JudgeCore, RouterCore
from streams.pipeline import Outgoing
from streams.stage import Work
from tests.faults.model.broker import Broker
from xiezhi.contracts.naming import ALERT, DEAD_LETTER, RELATION
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore, MemoryBackend, Sealed

Core = RouterCore | JudgeCore
OpenCore = Callable[[str, int, KeyedStore], Core]
Step = Callable[[random.Random], None]

#: Steps of which some workers are slower or quicker than of others.
TEMPERED = ("_fetch", "_follow", "_deliver", "_commit_store", "_commit_offset")
BATCHES_IN_FLIGHT_MAX = 12
OUTPUTS = (ALERT, RELATION)


@dataclass
class Disk:
    """A worker's folder for one partition: outlives the process, unless it is lost."""

    backend: MemoryBackend = field(default_factory=MemoryBackend)


@dataclass
class Batch:
    """What `streams.pipeline.Batch` is: waiting for deliveries, then to be committed and acknowledged."""

    sealed: Sealed
    acknowledges: int | None
    waiting: int


@dataclass(frozen=True)
class Temper:
    """How a worker goes about its work: which steps it is quick or slow at, and how much it takes at once."""

    weights: Mapping[str, float] = field(default_factory=dict)
    batch_records: int = 40
    patience: int = 1  # so many records must wait before it fetches any

    @classmethod
    def of(cls, chance: random.Random) -> Temper:
        weights = {step: chance.choice((0.01, 0.1, 1.0, 5.0)) for step in TEMPERED}
        return cls(weights, chance.choice((1, 3, 40, 40)), chance.choice((1, 1, 4, 15)))


class Worker:
    """One assignment. Mirrors `Stage._open`, `Stage._handle` and `Follower`."""

    def __init__(
        self,
        broker: Broker,
        group: str,
        topic: str,
        partition: int,
        disk: Disk,
        open_core: OpenCore,
        temper: Temper,
    ) -> None:
        self._broker, self.group, self.topic, self.partition, self.disk = (
            broker,
            group,
            topic,
            partition,
            disk,
        )
        self._store = KeyedStore(disk.backend)
        self.core = open_core(topic, partition, self._store)
        self.next_offset = self._store.next_offset
        self._fetched = self.committed_offset()  # where the group says to read on
        self._restore_to = self._fetched
        self._untold = list(OUTPUTS) if isinstance(self.core, JudgeCore) else []
        self._told_to: int | None = None
        self._acked: int | None = None
        self.batches: deque[Batch] = deque()
        self.queues: dict[tuple[str, int], deque[tuple[Batch, Outgoing]]] = {}
        self._temper = temper
        self.is_zombie = False
        self.paused_until = 0

    def committed_offset(self) -> int:
        return self._broker.committed.get((self.group, self.topic, self.partition), 0)

    # -- what can happen next ------------------------------------------------------------------------------------

    def step(self, chance: random.Random) -> bool:
        """One effect, if there is any to come; which one depends on the worker's temper."""
        steps = self.steps()
        if steps:
            weights = [self._temper.weights.get(step.__name__, 1.0) for step in steps]
            chance.choices(steps, weights)[0](chance)
        return bool(steps)

    def steps(self) -> list[Step]:
        """Every effect that could come next."""
        steps: list[Step] = []
        if len(self.batches) < BATCHES_IN_FLIGHT_MAX:
            if self.next_offset < self._restore_to:
                steps.append(self._restore)
            elif self._untold:
                steps.append(self._recall)
            else:
                if self._broker.end(self.topic, self.partition) - self._fetched >= self._temper.patience:
                    steps.append(self._fetch)
                if self._behind():
                    steps.append(self._follow)
        if self.queues:
            steps.append(self._deliver)
        if self.batches and self.batches[0].waiting == 0:
            steps.append(self._commit_store)
        if self._acked is not None:
            steps.append(self._commit_offset)
        return steps

    def _behind(self) -> list[str]:
        core = self.core
        if not isinstance(core, JudgeCore):
            return []
        return [one for one in OUTPUTS if core.outputs_read(one) < self._broker.end(one, self.partition)]

    # -- taking in -----------------------------------------------------------------------------------------------

    def _restore(self, chance: random.Random) -> None:
        end = min(self.next_offset + chance.randint(1, 6), self._restore_to)
        chunk = self._broker.read(self.topic, self.partition, self.next_offset, end)

        def effects() -> Work:
            self.core.restore(chunk)
            return Work()

        self._act(effects, chunk)

    def _recall(self, chance: random.Random) -> None:
        """Read one output partition to the end that it had when this began."""
        topic, core = self._untold[0], self.core
        assert isinstance(core, JudgeCore)
        if self._told_to is None:
            self._told_to = self._broker.end(topic, self.partition)
        start = core.outputs_read(topic)
        chunk = self._broker.read(
            topic, self.partition, start, min(start + chance.randint(1, 6), self._told_to)
        )
        if chunk:
            self._act(lambda: core.adopt(chunk))
        else:
            self._untold.pop(0)
            self._told_to = None

    def _fetch(self, chance: random.Random) -> None:
        if chance.random() < 0.02:  # fetched batches that Faust drops between a seek and a rebalance
            ahead = self._broker.end(self.topic, self.partition) - self._fetched
            self._fetched += chance.randrange(ahead)
        size = chance.randint(1, self._temper.batch_records)
        records = self._broker.read(self.topic, self.partition, self._fetched, self._fetched + size)
        self._fetched += len(records)
        if records[0].offset > self.next_offset:
            gap = self._broker.read(self.topic, self.partition, self.next_offset, records[0].offset)
            self._act(lambda: self.core.process(gap), gap)
        records = [record for record in records if record.offset >= self.next_offset]
        self._act(lambda: self.core.process(records), records, acknowledges=self._fetched)

    def _follow(self, chance: random.Random) -> None:
        core, topic = self.core, chance.choice(self._behind())
        assert isinstance(core, JudgeCore)
        start = core.outputs_read(topic)
        chunk = self._broker.read(topic, self.partition, start, start + chance.choice((1, 2, 5, 20)))
        self._act(lambda: core.adopt(chunk))

    def _act(
        self, effects: Callable[[], Work], records: Sequence[RawRecord] = (), acknowledges: int | None = None
    ) -> None:
        work = effects()
        if records:
            self.next_offset = records[-1].offset + 1
        sealed = self._store.seal(self.next_offset)
        letters = [
            Outgoing(DEAD_LETTER, raw.key or b"", error.reason.encode(), []) for raw, error in work.bad
        ]
        outgoing = [*work.outgoing, *letters]
        batch = Batch(sealed, acknowledges, waiting=len(outgoing))
        self.batches.append(batch)
        for record in outgoing:
            target = record.partition
            if target is None:
                target = self._broker.partition_of(record.topic, record.key)
            self.queues.setdefault((record.topic, target), deque()).append((batch, record))

    # -- effects -------------------------------------------------------------------------------------------------

    def _deliver(self, chance: random.Random) -> None:
        """One record reaches the broker. An idempotent producer keeps the order within a partition, not across."""
        target = chance.choice(list(self.queues))
        batch, record = self.queues[target].popleft()
        if not self.queues[target]:
            del self.queues[target]
        self._broker.append(record)
        batch.waiting -= 1

    def _commit_store(self, chance: random.Random) -> None:
        batch = self.batches.popleft()
        self._store.commit(batch.sealed)
        if batch.acknowledges is not None:
            self._acked = batch.acknowledges

    def _commit_offset(self, chance: random.Random) -> None:
        """The coordinator refuses a zombie, save for a commit that was under way when it became one."""
        assert self._acked is not None
        if not self.is_zombie or chance.random() < 0.1:
            self._broker.committed[self.group, self.topic, self.partition] = self._acked
        self._acked = None

    def work_offline(self, chance: random.Random) -> None:
        """Go on with what was fetched while nothing leaves any more."""
        self._temper = replace(self._temper, batch_records=chance.choice((1, 1, 3)), patience=1)
        while chance.random() < 0.9 and self._fetch in self.steps():
            self._fetch(chance)

    def become_zombie(self, paused_until: int) -> None:
        """The group gave the partition to another; this one goes on all the same, sluggishly, record by record."""
        self.is_zombie, self.paused_until = True, paused_until
        self._temper = Temper({"_deliver": 0.1}, batch_records=1)

    def hurry(self) -> bool:
        """No longer wait for more to come; False if it never did."""
        waited = self._temper.patience > 1
        self._temper = replace(self._temper, patience=1)
        return waited

    def die(self, chance: random.Random) -> list[deque[Outgoing]]:
        """Ends at once. Of what it was sending, a part of each queue is on the wire and will still arrive."""
        limbo = []
        for queue in self.queues.values():
            sent = [record for _, record in queue][: chance.randint(0, len(queue))]
            if sent:
                limbo.append(deque(sent))
        return limbo
