"""One run: DESIGN §6 on a simulated broker, in virtual time, while everything goes wrong that may.

Routers, judges, stores, clock, watermark and alert store are the real ones. A scenario is published while processes are
killed between any two effects, live on as zombies, trade partitions, come back with an old disk or none, and see other
batch boundaries each time. Then nothing goes wrong any more, everybody reads to the end, and what stands must be what
the oracle says. Everything follows from the seed.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from streams.folds.state import Bounds
from streams.judge import Judging
from streams.pipeline import Outgoing
from tests.simulation.alert_stores import StoreGroup, shared_database
from tests.simulation.assignments import Core
from tests.simulation.broker import Broker
from tests.simulation.clocks import BoldWatermark, ClockProcess, MachineClock, ticks_of
from tests.simulation.faults import Faults, Mischief, Targets
from tests.simulation.groups import Group, StartProcess
from tests.simulation.parts import Parts
from tests.simulation.processes import Machine, Process, Site
from tests.simulation.scenario import BROAD, FLEETING, FOLDED, HOT, MANY, TIMED, Density, Scenario
from tests.simulation.timeline import Timeline
from tests.simulation.verdicts import GENERATION, Log, differences
from tests.simulation.world import CODEC, JOINS, START_MS, guard
from xiezhi.contracts.naming import RELATION, fact_topic
from xiezhi.groups import JUDGE, ROUTER
from xiezhi.settings import Settings
from xiezhi.store import KeyedStore

DENSITIES = (BROAD, HOT, MANY, TIMED, FLEETING, FOLDED)
FACTS = fact_topic(GENERATION)
TICK_INTERVALS_S = (0.2, 1.0)
#: Between two records that departments publish, on average.
GAPS_MS = (3.0, 30.0, 120.0)
#: How long after everything is quiet the last tick is, so that deadlines and settle times run out, or not yet.
QUIET_MS = (0, 2_000, 14_000)
#: For so many events at most things still go wrong when everything was published.
AFTERMATH_EVENTS_MAX = 400
#: More than any run takes; a stream that feeds itself would never end.
EVENTS_MAX = 60_000


class EndlessError(AssertionError):
    """The stream feeds itself."""


class Simulation:
    """One seed."""

    def __init__(
        self,
        seed: int,
        parts: Parts | None = None,
        faults: Faults | None = None,
        densities: Sequence[Density] = DENSITIES,
    ) -> None:
        self.chance = chance = random.Random(seed)
        self.parts, self.faults = parts or Parts(), faults or Faults.of(chance)
        if self.faults.is_bold:
            self.parts = replace(self.parts, watermark=BoldWatermark)
        self.scenario = Scenario.of(chance, densities)
        self.timeline, self._unpublished = Timeline(START_MS), 0
        self.broker = Broker(self.scenario.partitions, lambda: self._broker_clock())
        self._guard = guard(self.scenario.partitions)
        self._site = Site(self.timeline, self.broker, chance, self.parts.store, self.faults.lost_disk)
        self._broker_clock = MachineClock(self._site)
        self._judging = Judging(
            joins=JOINS,
            decode=CODEC.decode,
            activate=CODEC.activator(),
            generation=GENERATION,
            views_cached_max=chance.choice((0, 1, 1, 3, 1000)),
            fold_bounds=Bounds(
                entries_max=chance.choice((2, 3, 64)),
                blocks_cached_max=chance.choice((0, 2, 1000)),
                heads_cached_max=chance.choice((0, 1, 1000)),
            ),
        )
        inputs = (*self.scenario.topics, RELATION)
        self._routers = self._group(ROUTER, inputs, self._start_router)
        self._judges = self._group(JUDGE, (FACTS,), self._start_judge)
        settings = Settings(tick_interval_s=chance.choice(TICK_INTERVALS_S), generation=GENERATION)
        self._clock = ClockProcess(self._site, self.parts, settings, {ROUTER: inputs, JUDGE: (FACTS,)})
        self.store = StoreGroup(
            self._site, self.parts.alert_store, self.parts.alert_service, shared_database()
        )
        clocks = (self._broker_clock, self._clock.shows)
        everybody = Targets(self._routers, self._judges, self._clock, self.store, clocks)
        self._mischief = Mischief(self.faults, chance, everybody)

    # -- the run -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Everything that happens until nothing can happen any more."""
        chance = self.chance
        judges_lag = chance.random() < self.faults.judges_lag
        self._routers.start_all()
        if not judges_lag:
            self._judges.start_all()
        self._publish(deque(self.scenario.records), chance.choice(GAPS_MS))
        self._publish(deque(self.scenario.activations), chance.choice(GAPS_MS))
        while self._unpublished:
            self._step()
        self._go_on(AFTERMATH_EVENTS_MAX)
        if judges_lag:
            self._judge_the_backlog()
        self._calm_down()

    def _judge_the_backlog(self) -> None:
        """The judges were away. Now they begin, and are taken for dead again and again."""
        self._settle()
        self._judges.start_all()
        for _ in range(self.chance.randint(1, 6)):
            self._go_on(80)
            if self.faults.cut_off:
                self._mischief.cut_off(self._judges)
        self._go_on(AFTERMATH_EVENTS_MAX)

    def _go_on(self, events_max: int) -> None:
        """For a while, if there is anything to do."""
        for _ in range(self.chance.randrange(events_max)):
            if self.timeline.pending:
                self._step()

    def _calm_down(self) -> None:
        """Perhaps a last rebalance, then no more faults, until all are quiet and every judge knows the same time."""
        if self.faults.cut_off and self.chance.random() < self.faults.last_rebalance:
            self._mischief.cut_off(self._judges)
        self.store.calm()
        self._clock.calm()
        self._routers.start_all()
        self._judges.start_all()
        self._settle()
        self._look_once_more()  # what was activated last is broadcast
        over_ms = self.timeline.now_ms + self.chance.choice(QUIET_MS)
        while self.timeline.now_ms < over_ms or len(set(ticks_of(self.broker, FACTS).values())) > 1:
            self._look_once_more()

    def _look_once_more(self) -> None:
        """The clock's next look, and whatever comes of it."""
        self._clock.is_silent = False
        self.timeline.step()
        self._settle()

    def _settle(self) -> None:
        """Until nobody has anything to do; the clock holds its peace, since every tick is something to do."""
        self._clock.is_silent = True
        while self.timeline.pending:
            self._bounded_step()
        self._clock.is_silent = False

    def _step(self) -> None:
        self._mischief.maybe()
        self._bounded_step()

    def _bounded_step(self) -> None:
        if self.timeline.events > EVENTS_MAX:
            raise EndlessError(f"still busy after {EVENTS_MAX} events: the stream feeds itself")
        self.timeline.step()

    def _publish(self, waiting: deque[Outgoing], gap_ms: float) -> None:
        self._unpublished += len(waiting)

        def publish() -> None:
            record = waiting.popleft()
            self._unpublished -= 1
            self.timeline.note("department", "publishes", (record.topic, record.key.decode()))
            self.broker.append(record)
            again()

        def again() -> None:
            if waiting:
                self.timeline.after(self.chance.random() * 2 * gap_ms, publish)

        again()

    # -- who works -----------------------------------------------------------------------------------------------

    def _group(self, name: str, topics: Sequence[str], start: StartProcess) -> Group:
        places = [(topic, partition) for topic in topics for partition in range(self.broker.partitions)]
        return Group(self._site, name, places, self.chance.randint(1, self.faults.workers_max), start)

    def _start_router(self, machine: Machine) -> Process:
        def open_core(_: str, __: int, store: KeyedStore) -> Core:
            return self.parts.router_core(self.parts.router(JOINS, self._guard, store), FACTS, self._wall_ms)

        return self.parts.process(self._site, ROUTER, machine, open_core, judges=False)

    def _start_judge(self, machine: Machine) -> Process:
        def open_core(_: str, partition: int, store: KeyedStore) -> Core:
            judge = self.parts.judge(self._judging, store)
            return self.parts.judge_core(judge, partition, CODEC.encode, CODEC.decode, self._wall_ms)

        return self.parts.process(self._site, JUDGE, machine, open_core, judges=True)

    def _wall_ms(self) -> int:
        return int(self.timeline.now_ms)

    # -- the answer ----------------------------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """What is not as it must be; empty when all is well."""
        steady = not self._mischief.has_jumped and not self.faults.is_bold
        log = Log(self.broker, FACTS, is_calm=self.faults.is_calm, has_steady_clocks=steady)
        return differences(log, self.store.store, self.parts.oracle, self.chance)


def explore(
    seed: int,
    parts: Parts | None = None,
    faults: Faults | None = None,
    densities: Sequence[Density] = DENSITIES,
) -> list[str]:
    """Run one seed; what differs at the end, or what stopped it."""
    return outcome(Simulation(seed, parts, faults, densities))


def outcome(simulation: Simulation) -> list[str]:
    try:
        simulation.run()
        return simulation.differences()
    except Exception as error:  # noqa: BLE001 -- whatever stops a part of the product is what we look for
        return [f"stopped by {error!r}"]
