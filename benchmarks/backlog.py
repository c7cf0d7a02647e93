"""S5: router and judge, each alone, on a backlog, and a shorter run of both under a sampling profiler.

Every round has a broker, a registry and data of its own and publishes the same backlog. A figure counts only if all
that was published was routed and exactly the planted alerts were said.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict

from benchmarks import report
from benchmarks.bus import bus_with_backlog
from benchmarks.buses import Buses
from benchmarks.measuring import Measurement, measure_process
from benchmarks.sampling import Profile
from benchmarks.scenario import Report
from benchmarks.size import Size
from benchmarks.workload import planted

TITLE = "S5 replay of a backlog"
STAGES = ("router", "judge")
#: Commits come twice a second: with fewer records than this there would be too few of them to measure between.
RECORDS_MIN = 60_000
#: Enough samples for a profile; more would only take longer.
PROFILED_RECORDS_MAX = 50_000

Say = Callable[[str], None]


def measure(size: Size, buses: Buses, say: Say) -> Report:
    records = max(size.records, RECORDS_MIN)
    measured: dict[str, list[Measurement]] = {stage: [] for stage in STAGES}
    for number in range(size.rounds):
        for one in _run(records, buses, f"S5 round {number + 1}", say):
            say(f"  {one.name}: {one.per_s:,.0f} a second, {one.cpu_us:.1f} CPU µs each")
            measured[one.name].append(one)
    profiled = _profile(min(records, PROFILED_RECORDS_MAX), say) if size.is_full else {}
    lines = [*report.table(measured), "", *report.verdicts(measured)]
    for name, found in profiled.items():
        lines += ["", "```", *report.profile(name, found), "```"]
    raw = {
        "rounds": {name: [asdict(one) for one in found] for name, found in measured.items()},
        "profiles": {name: asdict(found) for name, found in profiled.items()},
    }
    return Report(TITLE, lines, raw)


def _run(records: int, buses: Buses, what: str, say: Say) -> Iterator[Measurement]:
    with buses.bus(what, say) as bus:
        bus.publish(records)
        yield measure_process(
            "router", bus.process("router", "streams.app", "router"), bus.lags("router").read
        )
        bus.require_routed()
        yield measure_process("judge", bus.process("judge", "streams.app", "judge"), bus.lags("judge").read)
        bus.require_alerts(planted(records))


def _profile(records: int, say: Say) -> dict[str, Profile]:
    """A run of its own: a profiler slows what it looks at."""
    profiles = {}
    with bus_with_backlog(records, "S5 profiles", say) as (bus, folder):
        for stage in STAGES:
            file = folder / f"{stage}.profile"
            process = bus.process(stage, "benchmarks.profiled", stage, str(file))
            measure_process(stage, process, bus.lags(stage).read)
            profiles[stage] = Profile(**json.loads(file.read_text("utf-8")))
            if stage == "router":
                bus.require_routed()
        bus.require_alerts(planted(records))
    return profiles
