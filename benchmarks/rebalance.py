"""How long router and judge pause when workers come and go: `python -m benchmarks.rebalance [--rounds 3]`.

A whole bus with four partitions under paced load. First the routers, then the judges, go through every event of
`tests/workers.py`, the other stage having one worker; the pause is the longest that a record waited for its fact, or a
fact for the statement that followed from it, by the broker's clock (`tests/pauses.py`). A round counts only if the
alerts that stand in the end are the oracle's.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median

import click

from benchmarks.entry import enter
from benchmarks.machine import machine, versions
from benchmarks.results import write_raw, write_section
from tests.answers import oracle, said
from tests.faults.kills.traffic import PacedTraffic
from tests.pauses import longest_s, waits
from tests.running_bus import RunningBus, running_bus
from tests.workers import EVENTS, Act, Crew, crews
from xiezhi.errors import XiezhiError
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

TITLE = "Rebalance (`python -m benchmarks.rebalance`)"
PARTITIONS = 4
STEADY = "nothing happens"
#: Before the first event and after each, so that what waited is done and no pause is told twice.
STEADY_S = 5.0
TRAFFIC_STOP_S = 30.0
STAGES = ("router", "judge")

#: Stage → event → seconds.
Pauses = Mapping[str, Mapping[str, float]]


@click.command()
@click.option(
    "--rounds", default=3, show_default=True, help="Rounds, each on a new bus; figures are medians."
)
@click.option("--records-per-s", default=60.0, show_default=True, help="The paced load.")
@click.option("--write/--no-write", default=True, show_default=True, help="Put the figures into RESULTS.md.")
def bench(rounds: int, records_per_s: float, write: bool) -> None:
    """Measure the pauses of router and judge while workers join and leave."""
    about = {**machine(), **versions()}
    found = [measure(number, records_per_s, click.echo) for number in range(1, rounds + 1)]
    lines = list(report(found, about, records_per_s, Settings().session_timeout_s))
    click.echo("\n" + "\n".join(lines))
    if write:
        write_section(TITLE, lines)
        write_raw("rebalance", {"about": about, "rounds": found})


def measure(seed: int, records_per_s: float, say: Callable[[str], None]) -> Pauses:
    """One round. Raises XiezhiError when the alerts in the end are not the oracle's."""
    with tempfile.TemporaryDirectory(prefix="xiezhi-bench-") as folder:
        say(f"round {seed}: starting a bus in {folder}")
        session_timeout_s = Settings().session_timeout_s
        with running_bus(
            Path(folder) / "stack", partitions=PARTITIONS, session_timeout_s=session_timeout_s
        ) as bus:
            return _round(bus, seed, records_per_s, say)


def _round(bus: RunningBus, seed: int, records_per_s: float, say: Callable[[str], None]) -> Pauses:
    traffic = PacedTraffic(bus.settings, seed, records_per_s)
    with bus.held() as stack, crews(stack, bus.settings) as both:
        traffic.start()
        for crew in both:
            crew.wait_until_balanced()
        time.sleep(STEADY_S)
        begun = {crew.stage: _events(crew, say) for crew in both}
    traffic.stop(TRAFFIC_STOP_S)
    bus.settle()
    if said(bus.settings).standing != oracle(bus.settings):
        raise XiezhiError("the alerts that stand are not the oracle's: these pauses mean nothing")
    return {stage: dict(_pauses(stage, bus.settings, of_stage)) for stage, of_stage in begun.items()}


def _events(crew: Crew, say: Callable[[str], None]) -> Sequence[tuple[str, int]]:
    """Everything that happens to one stage, each with the instant at which it began; the last one ends the others."""
    begun = [(STEADY, now_ms())]
    time.sleep(STEADY_S)
    for event in EVENTS:
        say(f"  {crew.stage}: {event.text}")
        begun.append((event.text, now_ms()))
        crew.act(event.act, event.worker)
        crew.wait_until_balanced()
        time.sleep(STEADY_S)
    begun.append(("", now_ms()))
    for worker in crew.running[1:]:
        crew.act(Act.LEAVE, worker.name)
    crew.wait_until_balanced()
    time.sleep(STEADY_S)
    return begun


def _pauses(stage: str, settings: Settings, begun: Sequence[tuple[str, int]]) -> Iterator[tuple[str, float]]:
    found = waits(stage, settings)
    for (event, since_ms), (_, until_ms) in pairwise(begun):
        yield event, longest_s(found, since_ms, until_ms)


def report(
    rounds: Sequence[Pauses], about: Mapping[str, str], records_per_s: float, session_timeout_s: float
) -> Iterator[str]:
    """A line per event: the median of the rounds, and from the shortest to the longest."""
    yield f"{len(rounds)} rounds, {records_per_s:.0f} records/s, {PARTITIONS} partitions; " + ", ".join(
        f"{name} {value}" for name, value in about.items()
    )
    yield ""
    yield "| event | pause of the router, s | pause of the judge, s |"
    yield "|---|---|---|"
    for event in rounds[0][STAGES[0]]:
        cells = (_cell([one[stage][event] for one in rounds]) for stage in STAGES)
        yield f"| {event} | {' | '.join(cells)} |"
    yield ""
    yield (
        "The longest that a record waited for its fact, or a fact for what was said of it. All partitions pause, also "
        "those that stay where they are: a group of Faust gives all of them back first. A worker that is killed says "
        f"nothing, so the group waits for its session time-out first ({session_timeout_s:g} s, "
        "`XIEZHI_SESSION_TIMEOUT_S`), and so do records on its partitions."
    )


def _cell(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} ({min(seconds):.1f}-{max(seconds):.1f})"


if __name__ == "__main__":
    enter("rebalance", bench)
