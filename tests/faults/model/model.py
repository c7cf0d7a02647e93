"""DESIGN §6 as a model: real routers, judges, stores and clock, a simulated broker, and a seeded schedule of faults.

A run publishes a scenario while workers are killed between any two effects, live on as zombies, come back with an old
disk or none, and see other batch boundaries each time. Then everything is let run dry, and what a consumer holds must
be what the oracle says: the same ids with the same content, for alerts and for relations.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import cast

from streams.clock import Clock, LowWatermark
from streams.cores import JudgeCore, RouterCore
from streams.evaluation import ActiveRule
from streams.facts import TICK_KEY
from streams.folds.state import Bounds
from streams.judge import Judge, Judging
from streams.kernel import Join
from streams.oracle import Verdict, judge_log
from streams.pipeline import Outgoing
from streams.records import Guard
from streams.router import Router
from tests.faults.model.broker import Broker, ClockDiedError, ClockLog, ClockProducer
from tests.faults.model.consumers import held_alerts, held_relations, one_content_per_position
from tests.faults.model.scenario import BROAD, FOLDED, HOT, MANY, Density, Scenario
from tests.faults.model.workers import Core, Disk, Temper, Worker
from tests.faults.model.world import CODEC, JOINS, TOPICS, guard
from xiezhi.contracts.naming import ACTIVATION, RELATION, fact_topic
from xiezhi.log import LogReader, RawRecord
from xiezhi.settings import Settings
from xiezhi.store import KeyedStore, MemoryBackend

SETTINGS = Settings(tick_interval_s=10.0, generation=1)
FACTS = fact_topic(SETTINGS.generation)
STEPS_MAX = 60_000
#: For so many steps the same workers are busy, so that backlogs grow elsewhere.
BUSY_STEPS = 40


@dataclass(frozen=True)
class Parts:
    """What a run is made of. Tests put in a part with a protection taken out, to see that it is missed."""

    router: type[Router] = Router
    judge: type[Judge] = Judge
    router_core: type[RouterCore] = RouterCore
    judge_core: type[JudgeCore] = JudgeCore
    oracle: Callable[[Sequence[RawRecord], Sequence[Join], Mapping[str, ActiveRule], Guard, int], Verdict] = (
        judge_log
    )


@dataclass(frozen=True)
class Faults:
    """How often something goes wrong, per step."""

    crash: float = 0.02
    zombie: float = 0.03
    lost_disk: float = 0.3  # of those that start anew
    at_judges: float = 0.5  # of all that goes wrong
    judges_lag: float = 0.4  # of the runs: they begin when all is routed
    last_rebalance: float = 0.5
    pause_steps_max: int = 300  # how long a zombie was paused, which is why it was taken for dead


class _Watermark:
    """Stands for `LowWatermark`: an instant that never claims too much, sometimes one that steps back."""

    def __init__(self, broker: Broker, chance: random.Random) -> None:
        self._broker, self._chance = broker, chance

    def read(self) -> int:
        return self._broker.now_ms - self._chance.choice((0, 0, 0, 500, 15_000))


@dataclass
class Place:
    """One partition of one stage: who works on it, who still believes to, and the disks there are."""

    group: str
    topic: str
    partition: int
    worker: Worker | None = None
    zombies: list[Worker] = field(default_factory=list)
    disks: list[Disk] = field(default_factory=lambda: [Disk(), Disk(), Disk()])

    def free_disks(self) -> list[Disk]:
        """Folders that no living process has open."""
        held = [worker.disk for worker in (self.worker, *self.zombies) if worker is not None]
        return [disk for disk in self.disks if not any(disk is other for other in held)]


@dataclass
class Limbo:
    """What a dead worker had sent to one partition and is still on its way: it arrives in order, not before a step."""

    queue: deque[Outgoing]
    not_before: int


class Model:
    """One run. Everything follows from the seed."""

    def __init__(
        self,
        seed: int,
        parts: Parts | None = None,
        faults: Faults | None = None,
        densities: Sequence[Density] = (BROAD, HOT, MANY, FOLDED),
    ) -> None:
        self.chance = random.Random(seed)
        self.parts, self.faults = parts or Parts(), faults or Faults()
        self.scenario = Scenario.of(self.chance, densities)
        self.broker = Broker(self.scenario.partitions)
        self._guard = guard(self.scenario.partitions)
        self.records, self.activations = deque(self.scenario.records), deque(self.scenario.activations)
        self.limbo: list[Limbo] = []
        self._busy: list[float] = []
        self._victims: list[Place] = []
        self._judges_lag = False
        self.steps = self.killed = self.zombified = 0
        inputs, partitions = (*self.scenario.topics, RELATION), range(self.broker.partitions)
        self.places = [
            *(Place("router", topic, partition) for topic in inputs for partition in partitions),
            *(Place("judge", FACTS, partition) for partition in partitions),
        ]
        self._judging = Judging(
            joins=JOINS,
            decode=CODEC.decode,
            activate=CODEC.activator(),
            generation=SETTINGS.generation,
            views_cached_max=self.chance.choice((0, 1, 3, 1000)),
            fold_bounds=Bounds(
                entries_max=self.chance.choice((2, 3, 64)),
                blocks_cached_max=self.chance.choice((0, 2, 1000)),
                heads_cached_max=self.chance.choice((0, 1, 1000)),
            ),
        )
        self.clock = self._new_clock()

    # -- the run -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Everything that happens until nothing can happen any more."""
        self._judges_lag = self.chance.random() < self.faults.judges_lag
        while self.records or self.activations:
            self._step(self.faults)
        for _ in range(self.chance.randrange(200)):
            self._step(self.faults)
        if self._judges_lag:
            self._judge_the_backlog()
        self.broker.now_ms += self.chance.choice((0, 20_000, 200_000))
        while not self._tick():
            pass
        self._run_dry()

    def _judge_the_backlog(self) -> None:
        """The judges were away. Now they begin, and are taken for dead again and again."""
        while self._work():
            self.steps += 1
        self._judges_lag = False
        for _ in range(self.chance.randint(1, 6)):
            for _ in range(self.chance.randrange(60)):
                self.steps += 1
                self._work()
            self._take_over(self.chance.choice([one for one in self.places if one.group == "judge"]))

    def _run_dry(self) -> None:
        """A last rebalance, then no more faults; zombies go on or die, and what is on the wire arrives."""
        for place in self.places:
            if place.group == "judge" and self.chance.random() < self.faults.last_rebalance:
                self._take_over(place)
            if place.worker is None:
                self._start(place)
        for _ in range(STEPS_MAX):
            self.steps += 1
            moved = (self.chance.random() < 0.2 and self._deliver_late()) or self._work()
            if not moved and not self._hurry():
                return
        raise AssertionError(f"still busy after {STEPS_MAX} steps: the stream feeds itself")

    def _step(self, faults: Faults) -> None:
        self.steps += 1
        choice = self.chance.random()
        if choice < 0.06:
            self._publish()
        elif choice < 0.08:
            self._tick(dying=self.chance.random() < 0.3)
        elif choice < 0.10:
            self.broker.now_ms += self.chance.choice((500, 5_000, 40_000))
        elif choice < 0.13:
            self._deliver_late()
        elif choice < 0.13 + faults.crash:
            self._crash()
        elif choice < 0.13 + faults.crash + faults.zombie:
            self._take_over(self._victim())
        else:
            self._work()

    # -- what happens --------------------------------------------------------------------------------------------

    def _publish(self) -> None:
        if self.activations and (not self.records or self.chance.random() < 0.3):
            self.broker.append(self.activations.popleft())
        elif self.records:
            self.broker.append(self.records.popleft())

    def _tick(self, *, dying: bool = False) -> bool:
        """One look of the clock; a dying one reaches some of the partitions only, and a new one takes its place."""
        self._producer.lives = self.chance.randrange(4) if dying else None
        try:
            self.clock.step()
        except ClockDiedError:
            self.clock = self._new_clock()
            return False
        finished = not self.activations and not self.records
        if finished:  # a last one, with the last word of the clock on every partition
            self._broadcast_last_tick()
        return finished

    def _broadcast_last_tick(self) -> None:
        self.clock = self._new_clock()
        self.clock.step()
        last = b'{"now_ms": %d}' % self.broker.now_ms
        for partition in range(self.broker.partitions):
            self.broker.append(Outgoing(FACTS, TICK_KEY, last, [], partition))

    def _new_clock(self) -> Clock:
        self._producer = ClockProducer(self.broker)
        log = cast(LogReader, ClockLog(self.broker))
        watermark = cast(LowWatermark, _Watermark(self.broker, self.chance))
        return Clock(SETTINGS, log, watermark, self._producer, lambda: self.broker.now_ms)

    def _deliver_late(self) -> bool:
        due = [one for one in self.limbo if one.not_before <= self.steps]
        if not due:
            return False
        late = self.chance.choice(due)
        self.broker.append(late.queue.popleft())
        if not late.queue:
            self.limbo.remove(late)
        return True

    def _work(self) -> bool:
        """One step of one worker, zombies among them; some are far busier than others, and that changes."""
        if not self._busy or self.steps % BUSY_STEPS == 0:
            self._busy = [self.chance.choice((0.02, 0.2, 1.0)) for _ in self.places]
        (first,) = self.chance.choices(range(len(self.places)), self._busy)
        return any(self._work_at(place) for place in (*self.places[first:], *self.places[:first]))

    def _work_at(self, place: Place) -> bool:
        if self._judges_lag and place.group == "judge":
            return False
        if place.worker is None:
            self._start(place)
            return True
        workers = [place.worker, *(one for one in place.zombies if one.paused_until <= self.steps)]
        self.chance.shuffle(workers)
        return any(worker.step(self.chance) for worker in workers)

    # -- faults --------------------------------------------------------------------------------------------------

    def _victim(self) -> Place:
        """Where something goes wrong: where there is work, and seldom only once."""
        if self._victims and self.chance.random() < 0.5:
            return self._victims[-1]
        group = "judge" if self.chance.random() < self.faults.at_judges else "router"
        candidates = [one for one in self.places if one.group == group]
        busy = [one for one in candidates if self.broker.end(one.topic, one.partition)]
        self._victims.append(self.chance.choice(busy or candidates))
        return self._victims[-1]

    def _crash(self) -> None:
        place = self._victim()
        workers = [place.worker, *place.zombies] if place.worker else place.zombies
        if not workers:
            return
        worker = self.chance.choice(workers)
        if self.chance.random() < 0.5:
            worker.work_offline(self.chance)
        self._bury(worker)
        self.killed += 1
        if worker is place.worker:
            place.worker = None
        else:
            place.zombies.remove(worker)

    def _take_over(self, place: Place) -> None:
        """The group takes a worker for dead whose network is gone: another one gets the partition."""
        if place.worker is None or len(place.zombies) > 1:
            return
        place.worker.work_offline(self.chance)
        place.worker.become_zombie(self.steps + self.chance.randrange(self.faults.pause_steps_max))
        place.zombies.append(place.worker)
        place.worker = None
        self.zombified += 1
        self._start(place)

    def _bury(self, worker: Worker) -> None:
        patience = self.faults.pause_steps_max
        self.limbo += [
            Limbo(queue, self.steps + self.chance.randrange(patience)) for queue in worker.die(self.chance)
        ]

    def _hurry(self) -> bool:
        """Nothing moves: whoever waits for more to come, or is still paused, goes on. False if nobody does.

        Some zombies wake up only to find that they are fenced; what they had sent before still arrives.
        """
        moved = False
        for place in self.places:
            moved |= place.worker is not None and place.worker.hurry()
            for zombie in [one for one in place.zombies if one.paused_until > self.steps]:
                moved, zombie.paused_until = True, self.steps
                if self.chance.random() < 0.6:
                    self._bury(zombie)
                    place.zombies.remove(zombie)
        for late in self.limbo:
            moved, late.not_before = True, self.steps
        return moved

    def _start(self, place: Place) -> None:
        disks = place.free_disks()
        disk = self.chance.choice((disks[0], *disks))  # mostly the same machine again
        if self.chance.random() < self.faults.lost_disk:
            disk.backend = MemoryBackend()
        place.worker = Worker(
            self.broker,
            place.group,
            place.topic,
            place.partition,
            disk,
            self._opener(place.group),
            Temper.of(self.chance),
        )

    def _opener(self, group: str) -> Callable[[str, int, KeyedStore], Core]:
        parts = self.parts

        def router(_: str, __: int, store: KeyedStore) -> Core:
            return parts.router_core(
                parts.router(JOINS, self._guard, store), FACTS, lambda: self.broker.now_ms
            )

        def judge(_: str, partition: int, store: KeyedStore) -> Core:
            judge = parts.judge(self._judging, store)
            return parts.judge_core(judge, partition, CODEC.encode, CODEC.decode, lambda: self.broker.now_ms)

        return router if group == "router" else judge

    # -- the answer ----------------------------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """What consumers hold and the oracle does not say, and the other way round; empty when all is well."""
        verdict = self.verdict()
        assert not verdict.failed, verdict.failed
        return [
            *_differences("alert", held_alerts(self.broker, self.chance, CODEC.decode), verdict.alerts),
            *_differences(
                "relation", held_relations(self.broker, self.chance, CODEC.decode), verdict.relations
            ),
            *one_content_per_position(self.broker, CODEC.decode),
        ]

    def verdict(self) -> Verdict:
        records = [raw for topic in TOPICS for raw in self.broker.all(topic)]
        activate = CODEC.activator()
        active: dict[str, ActiveRule] = {}
        for raw in self.broker.all(ACTIVATION):
            activated = activate(raw.value or b"")
            rule_id = (raw.key or b"").decode()
            active.pop(rule_id, None)
            if isinstance(activated, ActiveRule):
                active[rule_id] = activated
        return self.parts.oracle(records, JOINS, active, self._guard, self.broker.latest_tick_ms(FACTS))


def _differences(what: str, held: Mapping[str, str], wanted: Mapping[str, object]) -> list[str]:
    expected = {one_id: getattr(proposal, "digest") for one_id, proposal in wanted.items()}  # noqa: B009
    return [
        f"{what} {one_id}: held {held.get(one_id, 'nothing')[:12]}, oracle {expected.get(one_id, 'nothing')[:12]}"
        for one_id in sorted({*held, *expected})
        if held.get(one_id) != expected.get(one_id)
    ]


def explore(
    seed: int,
    parts: Parts | None = None,
    faults: Faults | None = None,
    densities: Sequence[Density] = (BROAD, HOT, MANY, FOLDED),
) -> list[str]:
    """Run one seed; what differs at the end."""
    model = Model(seed, parts, faults, densities)
    model.run()
    return model.differences()
