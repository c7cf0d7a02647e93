"""What is printed and kept of processes on a backlog: medians side by side, verdicts, where the CPU time went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.measuring import Measurement
from benchmarks.sampling import Profile

#: What we hold ourselves to per process, records or facts a second.
TARGET_PER_S = {"router": 60_000, "judge": 60_000}
#: Files whose functions only hand everything on, so that they hold all of every profile.
FRAMES_ONLY = ("benchmarks/", "streams/app.py", "streams/agents.py")
LINES_SHOWN, FUNCTIONS_SHOWN, PACKAGES_SHOWN = 12, 16, 8

Runs = Mapping[str, Sequence[Measurement]]


def table(runs: Runs) -> Iterator[str]:
    """One line per process measured: medians over the runs; what does not count is told below it."""
    yield "| alone | records | a second | lowest-highest | CPU µs each | others' CPU s | peak MB | start s |"
    yield "|---|---|---|---|---|---|---|---|"
    for name, found in runs.items():
        rates = [one.per_s for one in found]
        yield (
            f"| {name} | {_median(found, 'records'):,.0f} | {median(rates):,.0f} | "
            f"{min(rates):,.0f}-{max(rates):,.0f} | {_median(found, 'cpu_us'):.1f} | "
            f"{_median(found, 'others_cpu_s'):.1f} | {_median(found, 'peak_rss_mb'):.0f} | "
            f"{_median(found, 'start_up_s'):.1f} |"
        )
    yield ""
    yield (
        "Between the first and the last commit; the records of the first commit, and *start*, the time up to it, do "
        "not count. *Others*: the rest of the machine meanwhile, the broker among it."
    )


def verdicts(runs: Runs) -> Iterator[str]:
    """Each process beside what we hold ourselves to."""
    for name, target in TARGET_PER_S.items():
        rate = _median(runs[name], "per_s")
        said = "met" if rate >= target else f"**missed**, {rate / target:.0%} of it"
        yield f"- {name} ≥ {target:,} a second: {said}"


def profile(name: str, found: Profile) -> Iterator[str]:
    """The top of one profile."""
    whole = found.cpu_s
    yield (
        f"profile of the {name}: {whole:.1f} CPU s, {found.native_s / whole:.0%} in native threads, "
        f"{found.gc_s / whole:.0%} collecting garbage"
    )
    packages = [f"{package} {spent / whole:.0%}" for package, spent in found.packages[:PACKAGES_SHOWN]]
    yield f"  by package: {', '.join(packages)}"
    yield "  functions, with all they call:"
    functions = [one for one in found.functions if not one[0].startswith(FRAMES_ONLY)]
    for function, spent in functions[:FUNCTIONS_SHOWN]:
        yield f"    {spent / whole:6.1%}  {function}"
    yield "  lines, themselves:"
    for line, spent in found.lines[:LINES_SHOWN]:
        yield f"    {spent / whole:6.1%}  {line}"


def _median(found: Sequence[Measurement], field: str) -> float:
    values: list[Any] = [getattr(one, field) for one in found]
    return float(median(values))
