"""`make bench`: router and judge, each alone, on a backlog; a stock Faust agent that only decodes beside them.

Every run has a broker, a registry and data of its own, publishes the same backlog, and measures the three one after the
other. Last comes a shorter run under a sampling profiler. Exits 0 only if all that was published was routed and exactly
the planted alerts were said: a figure for work that was not done is worth nothing.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import click

from benchmarks import report
from benchmarks.bus import Bus, bus_with_backlog
from benchmarks.machine import machine, versions
from benchmarks.measuring import Measurement, measure, wait_for_file
from benchmarks.results import RAW, write_raw
from benchmarks.sampling import Profile
from benchmarks.workload import planted
from schemas.catalogue import PAYMENT
from xiezhi.errors import XiezhiError

STAGES = ("router", "judge")
#: Stock Faust decodes only so many of the payments: it is slow, and its rate does not depend on how many they are.
STOCK_RECORDS_MAX = 30_000
STOCK_TIMEOUT_S = 180.0
#: Enough samples for a profile; more would only take longer.
PROFILED_RECORDS_MAX = 50_000


@click.command()
@click.option("--records", default=200_000, show_default=True, help="Records of the backlog, about.")
@click.option("--runs", default=3, show_default=True, help="Runs; figures are medians over them.")
@click.option("--profiles/--no-profiles", default=True, show_default=True, help="A last run, profiled.")
@click.option("--results", default=RAW, show_default=True, type=click.Path(path_type=Path))
def bench(records: int, runs: int, profiles: bool, results: Path) -> None:
    """Measure router and judge on a backlog."""
    about = {"machine": machine(), "versions": versions()}
    measured: dict[str, list[Measurement]] = {report.STOCK: [], **{stage: [] for stage in STAGES}}
    for number in range(runs):
        for one in _run(records, f"run {number + 1} of {runs}"):
            measured[one.name].append(one)
    profiled = _profile(min(records, PROFILED_RECORDS_MAX)) if profiles else {}
    click.echo("")
    for line in (*report.heading(about), "", *report.table(measured), "", *report.ratios(measured)):
        click.echo(line)
    for name, found in profiled.items():
        click.echo("\n".join(["", *report.profile(name, found)]))
    raw = {
        "about": about,
        "runs": {name: [asdict(one) for one in found] for name, found in measured.items()},
        "profiles": {name: asdict(found) for name, found in profiled.items()},
    }
    click.echo(f"\nraw results: {write_raw('backlog', raw, results)}")


def _run(records: int, what: str) -> Iterator[Measurement]:
    with bus_with_backlog(records, what, click.echo) as (bus, folder):
        yield _told(_stock(bus, folder))
        yield _told(
            measure("router", bus.process("router", "streams.app", "router"), bus.lags("router").read)
        )
        bus.require_routed()
        yield _told(measure("judge", bus.process("judge", "streams.app", "judge"), bus.lags("judge").read))
        bus.require_alerts(planted(records))


def _profile(records: int) -> dict[str, Profile]:
    """A shorter run of its own: a profiler slows what it looks at."""
    profiles = {}
    with bus_with_backlog(records, "profiles", click.echo) as (bus, folder):
        for stage in STAGES:
            file = folder / f"{stage}.profile"
            process = bus.process(stage, "benchmarks.profiled", stage, str(file))
            _told(measure(stage, process, bus.lags(stage).read))
            profiles[stage] = Profile(**json.loads(file.read_text("utf-8")))
            if stage == "router":
                bus.require_routed()
        bus.require_alerts(planted(records))
    return profiles


def _stock(bus: Bus, folder: Path) -> Measurement:
    file = folder / "stock.json"
    records = min(STOCK_RECORDS_MAX, bus.ends(PAYMENT.topic))
    arguments = (bus.settings.bootstrap_servers, PAYMENT.topic, str(records), str(file))
    process = bus.process("stock-faust", "benchmarks.stock_faust", *arguments)
    wait_for_file(process, file, STOCK_TIMEOUT_S)
    return Measurement(name=report.STOCK, **json.loads(file.read_text("utf-8")))


def _told(one: Measurement) -> Measurement:
    click.echo(f"  {one.name}: {one.per_s:,.0f} a second, {one.cpu_us:.1f} CPU µs each")
    return one


def main() -> None:
    """Entry point: one line on stderr for an error that has a name."""
    try:
        bench()
    except XiezhiError as error:
        click.echo(f"bench: {error}", err=True)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
