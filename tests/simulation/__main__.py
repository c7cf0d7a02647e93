"""`python -m tests.simulation`: many seeds on all cores; one seed with an account of its last events; protections."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field

from tests.simulation.protections import ALL_WEAKENED, BACKED_UP, first_noticed
from tests.simulation.simulation import Simulation, outcome

SEEDS_PER_TASK = 20
REPORT_EVERY = 500


@dataclass
class Ran:
    """What some seeds came to."""

    seeds: int = 0
    events: int = 0
    published: int = 0  # records of departments
    appended: int = 0  # records on all logs
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    wrong: list[tuple[int, str]] = field(default_factory=list)  # seed, the first difference

    def add(self, other: Ran) -> None:
        self.seeds += other.seeds
        self.events += other.events
        self.published += other.published
        self.appended += other.appended
        self.virtual_s += other.virtual_s
        self.cpu_s += other.cpu_s
        self.wrong += other.wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many seeds to run")
    parser.add_argument("--start", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="run this one and tell how it ended")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument(
        "--protections", action="store_true", help="the first seed that notices each protection taken out"
    )
    asked = parser.parse_args()
    if asked.seed is not None:
        return _tell(asked.seed)
    return _protections(asked.jobs) if asked.protections else _explore(asked.start, asked.seeds, asked.jobs)


def _tell(seed: int) -> int:
    simulation = Simulation(seed)
    found = outcome(simulation)
    for line in [*simulation.timeline.account(), *found]:
        _say(line)
    _say(f"seed {seed}: {len(found)} differences, {simulation.timeline.events} events")
    return 1 if found else 0


def _explore(start: int, seeds: int, jobs: int) -> int:
    begun, told = time.monotonic(), 0
    total = Ran()
    for ran in _in_parallel(start, seeds, jobs):
        for line in complaints(ran):
            _say(line)
        total.add(ran)
        if total.seeds // REPORT_EVERY > told:
            told = total.seeds // REPORT_EVERY
            _say(f"{total.seeds} seeds, {len(total.wrong)} wrong, {time.monotonic() - begun:.0f} s")
    for line in _summary(total, time.monotonic() - begun, jobs):
        _say(line)
    return 1 if total.wrong else 0


def _in_parallel(start: int, seeds: int, jobs: int) -> Iterator[Ran]:
    tasks = [
        range(at, min(at + SEEDS_PER_TASK, start + seeds))
        for at in range(start, start + seeds, SEEDS_PER_TASK)
    ]
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_run, tasks)


def _run(seeds: range) -> Ran:
    total = Ran()
    for seed in seeds:
        begun_s = time.process_time()
        simulation = Simulation(seed)
        found = outcome(simulation)
        timeline = simulation.timeline
        total.add(
            Ran(
                seeds=1,
                events=timeline.events,
                published=len(simulation.scenario.records),
                appended=sum(map(len, simulation.broker.logs.values())),
                virtual_s=(timeline.now_ms - timeline.start_ms) / 1000,
                cpu_s=time.process_time() - begun_s,
                wrong=[(seed, found[0])] if found else [],
            )
        )
    return total


def complaints(ran: Ran) -> Iterator[str]:
    """What went wrong, and for each seed the one command that repeats it."""
    for seed, difference in ran.wrong:
        yield f"seed {seed} differs: {difference}"
        yield f"  repeat it: make simulate SEED={seed}"


def _summary(ran: Ran, wall_s: float, jobs: int) -> Iterator[str]:
    """What was found, and how fast: virtual time over real time, as it ran and at 100 events per virtual second."""
    yield f"{ran.seeds} seeds: {len(ran.wrong)} wrong"
    yield (
        f"{ran.virtual_s:,.0f} virtual seconds in {wall_s:,.1f} s on {jobs} processes ({ran.cpu_s:,.1f} s of CPU): "
        f"{ran.virtual_s / wall_s:,.0f} x real time at {ran.events / ran.virtual_s:,.0f} events per virtual second"
    )
    yield (
        f"{ran.events:,} events, {ran.cpu_s / ran.events * 1e6:,.0f} us of CPU each: at 100 events per virtual second "
        f"{ran.events / ran.cpu_s / 100:,.0f} x real time per core"
    )
    yield f"{ran.published:,} records published, {ran.appended:,} records appended"


def _protections(jobs: int) -> int:
    unnoticed = 0
    with ProcessPoolExecutor(jobs) as pool:
        names = [name for name in ALL_WEAKENED if name not in BACKED_UP]
        for name, seed in zip(names, pool.map(first_noticed, names), strict=True):
            unnoticed += seed is None
            _say(f'    "{name}": {seed},')
    return 1 if unnoticed else 0


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 -- the report


if __name__ == "__main__":
    sys.exit(main())
