"""Keys are judged again between fresh batches, at a bounded rate, and what counts as done was delivered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Any, cast

from streams.cores import JudgeCore
from streams.rejudging import SLICE_VIEWS, Rejudging
from streams.stage import Assigned, Stage, Work
from tests.simulation.desk import FACTS, Desk, FactLog
from tests.simulation.world import CODEC, ORDER, card, order

KEYS = 2 * SLICE_VIEWS + 7
DEADLINE_S = 20.0


class OneStage:
    """What is used of a stage: one partition, and acts whose deliveries a test lets through."""

    def __init__(self, assigned: Assigned) -> None:
        self._assigned = assigned
        self.acts: list[int] = []  # statements of each
        self.pending: list[Any] = []
        self.delivers = True

    def assigned(self, topic: str) -> list[Assigned]:
        return [self._assigned] if topic == FACTS else []

    async def act(self, assigned: Assigned, effects: Callable[[], Work], *, event: Any) -> None:
        self.acts.append(len(effects().outgoing))
        self.pending.append(event)
        if self.delivers:
            self.deliver()

    def deliver(self) -> None:
        for event in self.pending:
            event.ack()
        self.pending.clear()

    def fail(self, error: BaseException) -> None:
        raise error


def activated() -> tuple[Assigned, int]:
    """A partition of many keys on which a rule has just become stricter, and the offset of the activation."""
    log, desk = FactLog(), Desk()
    log.activate_all()
    for number in range(KEYS):
        log.file(ORDER, f"o{number}", order(f"a{number}", 50))
    desk.read(log.records)
    desk.take([log.activate(card("SUM", limit=20), 1)])
    core = JudgeCore(desk.judge, 0, CODEC.encode, CODEC.decode, lambda: 0)
    return Assigned(FACTS, 0, core, log.last() + 1, ready=True), log.last()


async def run_until(rejudging: Rejudging, done: Callable[[], bool]) -> None:
    task = asyncio.create_task(rejudging.run())
    deadline = monotonic() + DEADLINE_S
    while not done() and not task.done():
        assert monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_all_keys_are_judged_in_slices_and_then_everything_is_reported_as_done() -> None:
    assigned, activation = activated()
    stage, reports = OneStage(assigned), list[dict[int, int]]()
    rejudging = Rejudging(cast(Stage, stage), FACTS, 1e6, lambda upto: reports.append(dict(upto)))
    asyncio.run(run_until(rejudging, lambda: {0: activation + 1} in reports))
    assert sum(stage.acts) == KEYS
    assert max(stage.acts) <= SLICE_VIEWS
    assert len(stage.acts) >= 3
    assert reports in ([{0: activation + 1}], [{0: activation}, {0: activation + 1}])


def test_what_is_not_delivered_is_not_done() -> None:
    assigned, activation = activated()
    stage, reports = OneStage(assigned), list[dict[int, int]]()
    stage.delivers = False
    rejudging = Rejudging(cast(Stage, stage), FACTS, 1e6, lambda upto: reports.append(dict(upto)))

    async def run() -> None:
        await run_until(rejudging, lambda: sum(stage.acts) == KEYS)
        rejudging._told_s = 0.0
        rejudging._tell()
        assert {0: activation + 1} not in reports
        stage.deliver()
        rejudging._told_s = 0.0
        rejudging._tell()
        assert reports[-1] == {0: activation + 1}

    asyncio.run(run())


def test_the_rate_is_bounded() -> None:
    assigned, activation = activated()
    stage, reports = OneStage(assigned), list[dict[int, int]]()
    rejudging = Rejudging(cast(Stage, stage), FACTS, 500.0, lambda upto: reports.append(dict(upto)))
    begun = monotonic()
    asyncio.run(run_until(rejudging, lambda: sum(stage.acts) == KEYS))
    assert monotonic() - begun >= (KEYS - SLICE_VIEWS) / 500.0
    assert reports[0] == {0: activation}, "who waits sees that it is not finished"


def test_a_partition_that_was_not_yet_told_what_was_said_is_left_alone() -> None:
    assigned, _ = activated()
    assigned.ready = False
    stage = OneStage(assigned)
    rejudging = Rejudging(cast(Stage, stage), FACTS, 1e6, lambda upto: None)

    async def run() -> None:
        task = asyncio.create_task(rejudging.run())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    assert stage.acts == []
