"""`make bench-audit`, second part: the audit service as a whole, on a real broker.

A backlog stands on the topics; the service follows them, makes every record a leaf, signs a checkpoint a second, and
tells its group what is signed. It is measured between the first and the last of these commits, the last of which
covers the backlog. Then `xiezhi audit check` must find every offset a leaf exactly once, or the figure is worth
nothing. Last comes a shorter run under the profiler.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import median

import click

from benchmarks import report
from benchmarks.bus import bus_with_backlog
from benchmarks.entry import enter
from benchmarks.machine import machine, versions
from benchmarks.measuring import Measurement, measure_process
from benchmarks.results import RAW, write_raw, write_section
from benchmarks.sampling import Profile
from benchmarks.tables import markdown, middle, rate
from consumers.audit.topics import TOPICS
from xiezhi.groups import AUDIT
from xiezhi.lag import Lags

TITLE = "Audit service on a backlog (`make bench-audit`)"
#: Issue of a checkpoint and commit included, records a second.
TARGET_PER_S = 10_000
PROFILED_RECORDS_MAX = 100_000


@click.command()
@click.option("--records", default=300_000, show_default=True, help="Records of the backlog, about.")
@click.option("--runs", default=3, show_default=True, help="Runs; figures are medians over them.")
@click.option("--results", default=RAW, show_default=True, type=click.Path(path_type=Path))
@click.option("--write/--no-write", default=True, show_default=True, help="Put the figures into RESULTS.md.")
def bench(records: int, runs: int, results: Path, write: bool) -> None:
    """Measure the audit service on a backlog."""
    about = {**machine(), **versions()}
    measured = []
    for number in range(runs):
        measured.append(_run(records, f"run {number + 1} of {runs}"))
        click.echo(f"  {measured[-1].per_s:,.0f} records a second, {measured[-1].cpu_us:.1f} CPU µs each")
    profile = _profile(min(records, PROFILED_RECORDS_MAX))
    lines = list(page(measured, profile, about))
    click.echo("\n" + "\n".join(lines))
    raw = {"about": about, "runs": [asdict(one) for one in measured], "profile": asdict(profile)}
    click.echo(f"\nraw results: {write_raw('audit-service', raw, results)}")
    if write:
        write_section(TITLE, lines)


def _run(records: int, what: str) -> Measurement:
    with bus_with_backlog(records, what, click.echo) as (bus, _):
        bus.command("audit", "init")
        lags = Lags(bus.settings.bootstrap_servers, {AUDIT: TOPICS})
        found = measure_process("audit", bus.process("audit", "consumers.audit.service"), lags.read)
        bus.command("audit", "check")
        return found


def _profile(records: int) -> Profile:
    """A shorter run of its own: a profiler slows what it looks at."""
    with bus_with_backlog(records, "profile", click.echo) as (bus, folder):
        bus.command("audit", "init")
        file = folder / "audit.profile"
        process = bus.process("audit", "benchmarks.profiled", "audit", str(file))
        measure_process("audit", process, Lags(bus.settings.bootstrap_servers, {AUDIT: TOPICS}).read)
        return Profile(**json.loads(file.read_text("utf-8")))


def page(measured: Sequence[Measurement], profile: Profile, about: Mapping[str, str]) -> Iterator[str]:
    """What is printed and kept in RESULTS.md."""
    yield f"{len(measured)} runs; " + ", ".join(f"{name} {value}" for name, value in about.items())
    yield ""
    verdict = "met" if median(one.per_s for one in measured) >= TARGET_PER_S else "**missed**"
    row = (
        middle(measured, "records", ",.0f"),
        *rate(measured),
        middle(measured, "cpu_us", ".1f"),
        middle(measured, "peak_rss_mb", ".0f"),
        f"≥ {TARGET_PER_S:,}/s: {verdict}",
    )
    heads = ("records", "records/s until signed", "lowest-highest", "CPU µs a record", "peak MB", "target")
    yield from markdown(heads, [row])
    yield ""
    yield "Every offset was then found to be a leaf exactly once (`xiezhi audit check`)."
    yield from ("", "```", *report.profile("audit service", profile), "```")


if __name__ == "__main__":
    enter("bench-audit", bench)
