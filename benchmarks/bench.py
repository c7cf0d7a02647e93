"""`make bench`: every scenario on a real broker, peers in the same run, each figure only for work that was done.

Each scenario is measured, printed and kept by itself, so a run that was interrupted goes on with `--only`. A full run
puts its figures into RESULTS.md and everything that was measured into `results`; a short one only prints.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks import backlog, full_path, restart
from benchmarks.bus import Bus
from benchmarks.buses import Buses
from benchmarks.entry import enter
from benchmarks.latency import run as latency
from benchmarks.machine import machine, versions
from benchmarks.peers import beside
from benchmarks.results import RAW, write_section
from benchmarks.scenario import Report
from benchmarks.size import FULL_RECORDS, Size

COMMAND = "`make bench`"
Say = Callable[[str], None]
Measure = Callable[[Size, Buses, Say], Report]
#: Scenarios that can share a bus in a short run, and how a bus is made ready for them.
ALONE: Sequence[tuple[Callable[[Bus], None], Mapping[str, Measure]]] = (
    (Bus.start_services, {"S3": full_path.measure, "S6": latency.measure}),
    (Bus.prepare, {"S5": backlog.measure, "S7": restart.measure}),
)
NAMES = sorted((*beside.TITLES, *(name for _, measures in ALONE for name in measures)))


@click.command()
@click.option("--records", default=FULL_RECORDS, show_default=True, help="Records of each backlog, about.")
@click.option("--rounds", type=int, help="Rounds of each comparison; 3, or 1 of a short run.")
@click.option("--only", default="", help="Scenarios, comma separated; all otherwise.")
@click.option("--results", type=click.Path(path_type=Path), help="Keep what was measured here as well.")
def bench(records: int, rounds: int | None, only: str, results: Path | None) -> None:
    """Measure the scenarios S1 to S7."""
    size, chosen = Size.of(records, rounds), chosen_of(only)
    about = {**machine(), **versions()}
    begun = time.monotonic()

    def say(text: str) -> None:
        click.echo(f"[{time.monotonic() - begun:5.0f} s] {text}")

    for name, report in _reports(chosen, size, say):
        lines = list(page(report, size, {**about, **_peers(name)}))
        click.echo("\n".join([f"\n## {report.title}\n", *lines, ""]))
        if size.is_full or results is not None:
            keep(name, report, about, results or RAW)
        if size.is_full:
            write_section(f"{report.title} ({COMMAND})", lines)
    say("done")


def chosen_of(only: str) -> Sequence[str]:
    """Names of scenarios. Raises click.BadParameter for one that is not there."""
    asked = [name for name in only.upper().replace(",", " ").split() if name]
    if unknown := set(asked) - set(NAMES):
        raise click.BadParameter(f"{sorted(unknown)}; there are {', '.join(NAMES)}", param_hint="--only")
    return [name for name in NAMES if not asked or name in asked]


def _reports(chosen: Sequence[str], size: Size, say: Say) -> Iterator[tuple[str, Report]]:
    """Those with peers first: they share one broker and its records."""
    with_peers = [name for name in chosen if name in beside.TITLES]
    if with_peers:
        with ExitStack() as opened:
            stand = beside.Stand(size, opened, say)
            for name in with_peers:
                yield name, beside.report(name, stand.measure(name))
    for begin, measures in ALONE:
        with ExitStack() as opened:
            buses = Buses(begin, opened, is_shared=not size.is_full)
            for name in chosen:
                if name in measures:
                    yield name, measures[name](size, buses, say)


def _peers(name: str) -> Mapping[str, str]:
    return beside.peer_versions() if name in beside.TITLES else {}


def page(report: Report, size: Size, about: Mapping[str, str]) -> Iterator[str]:
    """A scenario's section: its figures, and what they rest on."""
    yield from report.lines
    yield ""
    told = ", ".join(f"{name} {value}" for name, value in about.items())
    rounds = f"{size.rounds} rounds" if size.rounds > 1 else "One round"
    yield f"{rounds} of {size.records:,} records where nothing else is said; {told}."


def keep(name: str, report: Report, about: Mapping[str, str], folder: Path) -> None:
    """The newest measurement of a scenario, in place of the one before."""
    folder.mkdir(parents=True, exist_ok=True)
    content = {"title": report.title, "about": about, **report.raw}
    (folder / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    for file, text in report.files.items():
        (folder / file).write_text(text, "utf-8")


if __name__ == "__main__":
    enter("bench", bench)
