"""How long a fresh fact waits while many keys are judged again after an activation.

    python -m benchmarks.rejudging [--keys 100000] [--facts-per-s 200]

One judge on RocksDB without Kafka: the batches of fresh facts and the slices of the sweep take turns on one event loop,
as in the service, with the service's pace. Reported for the sweep in the background, for a quiet judge and for one that
judges all keys in the activation's batch, which is what a sweep is for.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any, cast

from streams.cores import JudgeCore
from streams.judge import Judge, Judging
from streams.rejudging import SLICE_VIEWS, Rejudging
from streams.stage import Assigned, Stage, Work
from tests.simulation.desk import FACTS, GENERATION, FactLog
from tests.simulation.world import CODEC, JOINS, ORDER, card, order
from xiezhi.log import RawRecord
from xiezhi.settings import Settings
from xiezhi.store import KeyedStore, RocksBackend

BATCH_FACTS = 3


class Turns:
    """What a stage is to the background work: one act at a time, each committed before the next."""

    def __init__(self, assigned: Assigned) -> None:
        self._assigned, self._turn = assigned, asyncio.Lock()

    def assigned(self, _: str) -> list[Assigned]:
        return [self._assigned]

    async def act(self, assigned: Assigned, effects: Callable[[], Work], *, event: Any = None) -> None:
        async with self._turn:
            effects()
            store = assigned.core.store
            store.commit(store.seal(assigned.next_offset))
            if event is not None:
                event.ack()

    def fail(self, error: BaseException) -> None:
        raise error


async def latencies(
    stage: Turns, assigned: Assigned, facts: Sequence[RawRecord], per_s: float
) -> list[float]:
    """Seconds from when each batch was due until it was committed, as an open loop of `per_s` facts."""
    begun, found = perf_counter(), []
    for number in range(0, len(facts), BATCH_FACTS):
        batch, due = facts[number : number + BATCH_FACTS], begun + number / per_s
        await asyncio.sleep(max(0.0, due - perf_counter()))
        await stage.act(assigned, lambda batch=batch: assigned.core.process(batch))  # type: ignore[misc]
        found.append(perf_counter() - due)
    return found


def filled(folder: Path, keys: int, log: FactLog) -> Assigned:
    """A judge whose store holds `keys` accounts with two orders each."""
    log.activate_all()
    for number in range(keys):
        for part in range(2):
            log.file(ORDER, f"o{number}.{part}", order(f"a{number:07}", 45))
    judging = Judging(joins=JOINS, decode=CODEC.decode, activate=CODEC.activator(), generation=GENERATION)
    judge = Judge(judging, KeyedStore(RocksBackend(folder)))
    core = JudgeCore(judge, 0, CODEC.encode, CODEC.decode, lambda: 0)
    for start in range(0, len(log.records), 500):
        core.process(log.records[start : start + 500])
        judge.store.commit(judge.store.seal(min(start + 500, len(log.records))))
    return Assigned(FACTS, 0, core, len(log.records), ready=True)


def fresh(log: FactLog, keys: int, count: int, chance: random.Random) -> list[RawRecord]:
    facts: list[RawRecord] = []
    while len(facts) < count:
        key = chance.randrange(keys)
        facts += log.file(ORDER, f"o{key}.0", order(f"a{key:07}", 46), version=1 + len(facts))
    return facts


def said(name: str, seconds: Sequence[float]) -> None:
    ordered = sorted(seconds)
    p50, p99 = (ordered[int(len(ordered) * share)] * 1000 for share in (0.5, 0.99))
    sys.stdout.write(f"{name:<34} p50 {p50:8.1f} ms  p99 {p99:8.1f} ms  max {ordered[-1] * 1000:8.1f} ms\n")


async def measure(keys: int, per_s: float, folder: Path) -> None:
    log, rate = FactLog(), Settings().rejudged_keys_per_s
    chance = random.Random(1)  # noqa: S311 -- the same facts each time
    assigned = filled(folder, keys, log)
    core = cast(JudgeCore, assigned.core)
    stage = Turns(assigned)
    sys.stdout.write(
        f"{keys} keys, {per_s:.0f} facts/s, slices of {SLICE_VIEWS}, at most {rate:.0f} keys/s\n"
    )
    said("quiet", await latencies(stage, assigned, fresh(log, keys, int(5 * per_s), chance), per_s))

    activation = log.activate(card("SUM", limit=80), sequence=1)
    await stage.act(assigned, lambda: core.process([activation]))
    rejudging, begun = Rejudging(cast(Stage, stage), FACTS, rate, lambda _: None), perf_counter()
    task = asyncio.create_task(rejudging.run())
    waited: list[float] = []
    while core.sweeping:
        waited += await latencies(stage, assigned, fresh(log, keys, int(per_s), chance), per_s)
    took_s = perf_counter() - begun
    task.cancel()
    said("while keys are judged again", waited)
    sys.stdout.write(f"  {core.swept} keys judged again in {took_s:.1f} s, {core.swept / took_s:.0f}/s\n")

    activation = log.activate(card("SUM", limit=100), sequence=2)
    begun = perf_counter()
    await stage.act(assigned, lambda: core.process([activation]))
    await stage.act(assigned, lambda: _all(core))
    said("behind all keys in one batch", [perf_counter() - begun])


def _all(core: JudgeCore) -> Work:
    work = Work()
    while core.sweeping:
        work = core.rejudge(10_000)
    return work


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--keys", type=int, default=100_000)
    parser.add_argument("--facts-per-s", type=float, default=200.0)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(measure(asked.keys, asked.facts_per_s, Path(folder) / "store"))


if __name__ == "__main__":
    main()
