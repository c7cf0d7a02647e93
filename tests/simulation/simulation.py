"""One run: DESIGN §6 on a simulated broker, in virtual time, while everything goes wrong that may.

Routers, judges, stores, clock, watermark and alert store are the real ones. A scenario is published while processes are
killed between any two effects, live on as zombies, trade partitions, come back with an old disk or none, and see other
batch boundaries each time. Then nothing goes wrong any more, everybody reads to the end, and what stands must be what
the oracle says. Everything follows from the seed.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial

from streams.kernel import Join
from streams.pipeline import Outgoing
from tests.simulation.alert_stores import StoreGroup, shared_database
from tests.simulation.broker import Broker
from tests.simulation.clocks import BoldWatermark, ClockProcess, MachineClock, has_taken_over, ticks_of
from tests.simulation.faults import Faults, Mischief, Targets
from tests.simulation.generations import LATER_JOINS, Generation
from tests.simulation.parts import Parts
from tests.simulation.processes import Site
from tests.simulation.refile import Plan, Refile
from tests.simulation.scenario import BROAD, FLEETING, FOLDED, HOT, MANY, TIMED, Density, Scenario
from tests.simulation.timeline import Timeline
from tests.simulation.verdicts import Filed, Log, differences
from tests.simulation.world import START_MS
from xiezhi.settings import Settings

DENSITIES = (BROAD, HOT, MANY, TIMED, FLEETING, FOLDED)
TICK_INTERVALS_S = (0.2, 1.0)
#: Between two records that departments publish, on average.
GAPS_MS = (3.0, 30.0, 120.0)
#: How long after everything is quiet the last tick is, so that deadlines and settle times run out, or not yet.
QUIET_MS = (0, 2_000, 14_000)
#: For so many events at most things still go wrong when everything was published.
AFTERMATH_EVENTS_MAX = 400
#: For so many events at most things still go wrong until another generation takes over.
TAKE_OVER_EVENTS_MAX = 1_500
#: How long the services of a generation that ends take for it.
ENDING_MS_MAX = 2_500
#: In so many runs one of its judges comes up again after that, so long after it at most, and for so long at most.
STRAGGLERS, STRAGGLING_MS_MAX = 0.3, 2_000
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
        self._site = Site(
            self.timeline,
            self.broker,
            chance,
            self.parts.store,
            self.faults.lost_disk,
            self.faults.workers_max,
        )
        self._broker_clock, self._service_clock = MachineClock(self._site), MachineClock(self._site)
        self._live = Generation(self._site, self.parts, self.scenario.topics)
        self._tick_interval_s = chance.choice(TICK_INTERVALS_S)
        self._clock = self._start_clock(lambda: False)
        self.store = StoreGroup(
            self._site, self.parts.alert_store, self.parts.alert_service, shared_database()
        )
        self._targets = Targets(
            [self._live.routers],
            [self._live.judges],
            [self._clock],
            self.store,
            (self._broker_clock, self._service_clock),
        )
        self._mischief = Mischief(self.faults, chance, self._targets)
        self._before: Generation | None = None  # the one that the live one has replaced
        self._gone_ms: int | None = None  # when the last of that one had ended
        self._rest: deque[Outgoing] = deque()  # records that are published from the switch on
        self._refile = self._planned(random.Random(f"refile {seed}"))

    def _planned(self, chance: random.Random) -> Plan | None:
        """By a chance of its own: a run without a refile is the same whatever is changed about refiles."""
        return Plan.of(chance) if chance.random() < self.faults.refile else None

    # -- the run -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Everything that happens until nothing can happen any more."""
        chance = self.chance
        judges_lag = chance.random() < self.faults.judges_lag and self._refile is None
        self._live.routers.start_all()
        if not judges_lag:
            self._live.judges.start_all()
        records, gap_ms = deque(self.scenario.records), chance.choice(GAPS_MS)
        if self._refile is not None:
            records = self._begin_to_refile(self._refile, gap_ms)
        self._publish(records, gap_ms)
        self._publish(deque(self.scenario.activations), chance.choice(GAPS_MS))
        while self._unpublished or self._rest:
            self._step()
        self._go_on(AFTERMATH_EVENTS_MAX)
        if judges_lag:
            self._judge_the_backlog()
        if self._refile is not None:
            self._see_it_take_over()
        self._calm_down()

    def _judge_the_backlog(self) -> None:
        """The judges were away. Now they begin, and are taken for dead again and again."""
        self._settle()
        self._live.judges.start_all()
        for _ in range(self.chance.randint(1, 6)):
            self._go_on(80)
            if self.faults.cut_off:
                self._mischief.cut_off(self._live.judges)
        self._go_on(AFTERMATH_EVENTS_MAX)

    def _go_on(self, events_max: int) -> None:
        """For a while, if there is anything to do."""
        for _ in range(self.chance.randrange(events_max)):
            if self.timeline.pending:
                self._step()

    def _calm_down(self) -> None:
        """Perhaps a last rebalance, then no more faults, until all are quiet and every judge knows the same time."""
        if self.faults.cut_off and self.chance.random() < self.faults.last_rebalance:
            self._mischief.cut_off(self._live.judges)
        self.store.calm()
        self._clock.calm()
        self._live.start_all()
        self._settle()
        self._look_once_more()  # what was activated last is broadcast
        over_ms = self.timeline.now_ms + self.chance.choice(QUIET_MS)
        while self.timeline.now_ms < over_ms or not self._all_is_said():
            self._look_once_more()

    def _all_is_said(self) -> bool:
        """Whether every judge knows the same time, and that it may speak."""
        facts = self._live.facts
        same_time = len(set(ticks_of(self.broker, facts).values())) == 1
        return same_time and (self._before is None or has_taken_over(self.broker, facts))

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
        if self._before is not None and self._gone_ms is None and not self._before.is_at_work():
            self._gone_ms = int(self.timeline.now_ms)

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

    # -- another generation --------------------------------------------------------------------------------------

    def _begin_to_refile(self, plan: Plan, gap_ms: float) -> deque[Outgoing]:
        """The records that are published before the switch."""
        first = max(1, int(plan.at_first * len(self.scenario.records)))
        self._rest.extend(self.scenario.records[first:])
        refile = Refile(self._site, plan, lambda: self._open_next(LATER_JOINS[plan.changed]), self._switch)
        self.timeline.after(plan.begins * first * gap_ms, refile.begin)
        return deque(self.scenario.records[:first])

    def _open_next(self, joins: Sequence[Join]) -> Generation:
        following = Generation(self._site, self.parts, self.scenario.topics, self._live.number + 1, joins)
        self._targets.routers.append(following.routers)
        self._targets.judges.append(following.judges)
        return following

    def _switch(self, following: Generation) -> None:
        """What `xiezhi up` does about it: the services end, and start with the new generation."""
        self._before, self._live = self._live, following
        for group in self._before.groups:
            group.retire(ENDING_MS_MAX, may_linger=not self.faults.is_calm)
        self._clock.end()
        is_silent = self._clock.is_silent
        self._clock = self._start_clock(self._before.is_at_work)
        self._clock.is_silent = is_silent
        self._targets.clock.append(self._clock)
        for group in following.groups:
            group.resume()
        self._publish(self._rest, self.chance.choice(GAPS_MS))
        if not self.faults.is_calm and self.chance.random() < STRAGGLERS:
            straggle = partial(self._before.judges.straggle, self.chance.random() * STRAGGLING_MS_MAX)
            self.timeline.after(ENDING_MS_MAX + self.chance.random() * STRAGGLING_MS_MAX, straggle)

    def _see_it_take_over(self) -> None:
        """While things still go wrong; they may go on for too long for that."""
        for number in range(TAKE_OVER_EVENTS_MAX):
            if (
                number % 20 == 0
                and self._before is not None
                and has_taken_over(self.broker, self._live.facts)
            ):
                break
            self._step()
        self._go_on(AFTERMATH_EVENTS_MAX)

    def _start_clock(self, earlier_speak: Callable[[], bool]) -> ClockProcess:
        settings = _settings(self._tick_interval_s, self._live.number)
        return ClockProcess(
            self._site, self.parts, settings, self._live.inputs, self._service_clock, earlier_speak
        )

    # -- the answer ----------------------------------------------------------------------------------------------

    def differences(self) -> list[str]:
        """What is not as it must be; empty when all is well."""
        steady = not self._mischief.has_jumped and not self.faults.is_bold
        generations = [one for one in (self._before, self._live) if one is not None]
        log = Log(
            self.broker,
            [Filed(one.number, one.joins) for one in generations],
            is_calm=self.faults.is_calm,
            has_steady_clocks=steady,
            gone_ms=self._gone_ms,
        )
        return differences(log, self.store.store, self.parts.oracle, self.chance)


@cache
def _settings(tick_interval_s: float, generation: int) -> Settings:
    """Reading them takes as long as a hundred events."""
    return Settings(tick_interval_s=tick_interval_s, generation=generation)


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
