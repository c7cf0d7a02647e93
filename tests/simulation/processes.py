"""A process of router or judge: the partitions that its group gave it, one pipeline, one folder on one machine.

It can be killed between any two events, or paused for so long that its group takes it for dead and gives its partitions
to others. When it goes on it is a zombie: its commits are refused, what it appends is not, until it notices.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar

from streams.pipeline import Outgoing
from tests.simulation.assignments import Assignment, Batch, OpenCore
from tests.simulation.broker import Broker, Place
from tests.simulation.timeline import Action, Timeline
from xiezhi.store import KeyedStore, MemoryBackend

#: `streams.pipeline` has 16; fewer are full more often.
BATCHES_IN_FLIGHT_MAX = 8
#: How long a process takes for something on average, in milliseconds: some are quick at this and slow at that.
QUICK_TO_SLOW_MS = (0.3, 3.0, 30.0, 300.0)
STEPS = ("fetch", "follow", "deliver", "commit_store", "commit_offset")
#: How long what a dead process had sent may still be under way.
LATE_MS_MAX = 2_000


@dataclass
class Machine:
    """The folders of one worker name: they outlive its process, unless they are lost. One process has them open."""

    name: str
    disks: dict[Place, MemoryBackend] = field(default_factory=dict)
    is_in_use: bool = False


@dataclass(frozen=True)
class Temper:
    """How a process goes about its work: how long each step takes it, and how much it takes in at once."""

    delays_ms: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(STEPS, 3.0))
    batch_records: int = 40

    @classmethod
    def of(cls, chance: random.Random) -> Temper:
        return cls({step: chance.choice(QUICK_TO_SLOW_MS) for step in STEPS}, chance.choice((1, 3, 40, 40)))


@dataclass
class Site:
    """What all processes of a run share."""

    timeline: Timeline
    broker: Broker
    chance: random.Random
    store: type[KeyedStore] = KeyedStore
    lost_disk: float = 0.0  # of those that a store is opened on
    workers_max: int = 1
    deaf_until_ms: float = 0.0  # until then no judge hears what is said, unless it begins


class Process:
    """`Stage`, `Pipeline` and the producer under them. Its group tells it which partitions are its own."""

    assignment: ClassVar[type[Assignment]] = Assignment

    def __init__(
        self, site: Site, group: str, machine: Machine, open_core: OpenCore, *, judges: bool
    ) -> None:
        self.site, self.group, self.machine, self.open_core = site, group, machine, open_core
        self.judges = judges
        self.temper = Temper.of(site.chance)
        self.generation = 0
        self.assignments: dict[Place, Assignment] = {}
        self.is_dead = False
        self.paused_until_ms = 0.0
        self._batches: deque[Batch] = deque()
        self._queues: dict[Place, deque[tuple[Batch, Outgoing]]] = {}
        self._acknowledged: dict[Place, int] = {}
        self._finish_is_due = self._commit_is_due = self._was_full = False
        machine.is_in_use = True

    # -- time ----------------------------------------------------------------------------------------------------

    def later(self, step: str, action: Action) -> None:
        """Do something when this process gets to it: not while it is paused, never when it is dead."""
        delay_ms = self.site.chance.random() * 2 * self.temper.delays_ms[step]
        self.site.timeline.after(delay_ms, partial(self._do, action))

    def _do(self, action: Action) -> None:
        if self.is_dead:
            return
        left_ms = self.paused_until_ms - self.site.timeline.now_ms
        if left_ms > 0:
            self.site.timeline.after(left_ms + self.site.chance.random() * 20, partial(self._do, action))
        else:
            action()

    def note(self, what: str, which: object = "") -> None:
        self.site.timeline.note(f"{self.group} {self.machine.name}", what, which)

    # -- what the group says -------------------------------------------------------------------------------------

    def committed(self, place: Place) -> int:
        return self.site.broker.committed_of(self.group, *place)

    def assign(self, generation: int, places: Sequence[Place]) -> None:
        self.generation = generation
        self._acknowledged.clear()
        self.assignments = {place: self.assignment(self, place) for place in places}
        for assignment in self.assignments.values():
            assignment.wake()

    def revoke(self) -> None:
        """`Stage.revoke`: all partitions are gone. What was acknowledged may or may not be committed in time."""
        if self.site.chance.random() < 0.5:
            self._commit_offsets()
        for assignment in self.assignments.values():
            assignment.revoke()
        self.assignments = {}

    def open_store(self, place: Place) -> KeyedStore:
        """On what its machine has of the partition, which may be old, or nothing."""
        if place not in self.machine.disks or self.site.chance.random() < self.site.lost_disk:
            self.machine.disks[place] = MemoryBackend()
        return self.site.store(self.machine.disks[place])

    # -- the pipeline --------------------------------------------------------------------------------------------

    def is_full(self) -> bool:
        self._was_full = len(self._batches) >= BATCHES_IN_FLIGHT_MAX
        return self._was_full

    def submit(self, batch: Batch, outgoing: Sequence[Outgoing]) -> None:
        """Send, and finish the batch once all before it are finished and its records are delivered."""
        self._batches.append(batch)
        for record in outgoing:
            partition = record.partition
            if partition is None:
                partition = self.site.broker.partition_of(record.topic, record.key)
            target = (record.topic, partition)
            queue = self._queues.get(target)
            if queue is None:
                self._queues[target] = deque([(batch, record)])
                self.later("deliver", partial(self._deliver, target))
            else:
                queue.append((batch, record))
        self._finish_when_due()

    def _deliver(self, target: Place) -> None:
        """One record reaches the broker. An idempotent producer keeps the order within a partition, not across."""
        queue = self._queues[target]
        batch, record = queue.popleft()
        if queue:
            self.later("deliver", partial(self._deliver, target))
        else:
            del self._queues[target]
        self.note("sends", (*target, self.site.broker.end(*target)))
        self.site.broker.append(record)
        batch.waiting -= 1
        self._finish_when_due()

    def _finish_when_due(self) -> None:
        if not self._finish_is_due and self._batches and self.may_finish(self._batches[0]):
            self._finish_is_due = True
            self.later("commit_store", self._finish)

    def may_finish(self, batch: Batch) -> bool:
        return batch.waiting == 0

    def _finish(self) -> None:
        self._finish_is_due = False
        self.finish(self._batches.popleft())
        self._finish_when_due()
        if self._was_full:
            self._was_full = False
            for assignment in self.assignments.values():
                assignment.wake()
                assignment.wake_follower()

    def finish(self, batch: Batch) -> None:
        """Commit the store, then acknowledge."""
        assignment = batch.assignment
        if not assignment.is_revoked:
            assignment.commit(batch.sealed)
            self.acknowledge(batch)

    def acknowledge(self, batch: Batch) -> None:
        if batch.acknowledges is None:
            return
        self._acknowledged[batch.assignment.place] = batch.acknowledges
        if not self._commit_is_due:
            self._commit_is_due = True
            self.later("commit_offset", self._commit_offsets_when_due)

    def _commit_offsets_when_due(self) -> None:
        self._commit_is_due = False
        self._commit_offsets()

    def _commit_offsets(self) -> None:
        """The coordinator refuses what is of an older generation."""
        if self._acknowledged:
            taken = self.site.broker.commit(self.group, self.generation, self._acknowledged)
            self.note("commits" if taken else "is refused", tuple(sorted(self._acknowledged.items())))
            self._acknowledged.clear()

    # -- faults --------------------------------------------------------------------------------------------------

    def work_offline(self) -> None:
        """Go on with what was fetched while nothing leaves any more."""
        chance = self.site.chance
        self.temper = replace(self.temper, batch_records=chance.choice((1, 1, 3)))
        for assignment in self.assignments.values():
            while assignment.can_fetch() and chance.random() < 0.9:
                assignment.fetch()

    def pause(self, for_ms: float) -> None:
        """Taken for dead, and going on later all the same, record by record, sluggish at sending."""
        self.paused_until_ms = self.site.timeline.now_ms + for_ms
        delays_ms = {**dict.fromkeys(STEPS, 3.0), "deliver": 30.0}
        self.temper = Temper(delays_ms, batch_records=1)

    def die(self, *, late_ms_max: float = LATE_MS_MAX) -> None:
        """Ends at once. Of what it was sending, a part of each queue is on the wire and will still arrive, in order."""
        self.is_dead, self.machine.is_in_use = True, False
        for assignment in self.assignments.values():
            assignment.revoke()
        chance = self.site.chance
        for target, queue in self._queues.items():
            sent = deque(record for _, record in list(queue)[: chance.randint(0, len(queue))])
            if sent:
                self.site.timeline.after(
                    chance.random() * late_ms_max, partial(arrive_late, self.site, target, sent, late_ms_max)
                )


def arrive_late(site: Site, target: Place, sent: deque[Outgoing], late_ms_max: float) -> None:
    """The next record of a dead sender reaches the broker."""
    site.timeline.note("the wire", "brings late", (*target, site.broker.end(*target)))
    site.broker.append(sent.popleft())
    if sent:
        again = partial(arrive_late, site, target, sent, late_ms_max)
        site.timeline.after(site.chance.random() * late_ms_max / 10, again)
