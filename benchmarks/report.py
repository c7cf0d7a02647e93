"""What is printed and kept of processes on a backlog: medians side by side, verdicts, where the CPU time went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median

from benchmarks.measuring import Measurement
from benchmarks.sampling import Profile
from benchmarks.tables import markdown, middle, rate

#: What we hold ourselves to per process, records or facts a second.
TARGET_PER_S = {"router": 60_000, "judge": 60_000}
#: Files whose functions only hand everything on, so that they hold all of every profile.
FRAMES_ONLY = ("benchmarks/", "streams/app.py", "streams/agents.py")
LINES_SHOWN, FUNCTIONS_SHOWN, PACKAGES_SHOWN = 12, 16, 8

Runs = Mapping[str, Sequence[Measurement]]


def table(runs: Runs) -> Iterator[str]:
    """One line per process measured: medians over the runs; what does not count is told below it."""
    heads = (
        "alone",
        "records",
        "a second",
        "lowest-highest",
        "CPU µs each",
        "others' CPU s",
        "peak MB",
        "start s",
    )
    yield from markdown(heads, (_row(name, found) for name, found in runs.items()))
    yield ""
    yield (
        "Between the first and the last commit; the records of the first commit, and *start*, the time up to it, do "
        "not count. *Others*: the rest of the machine meanwhile, the broker among it."
    )


def _row(name: str, found: Sequence[Measurement]) -> Sequence[str]:
    return (
        name,
        middle(found, "records", ",.0f"),
        *rate(found),
        middle(found, "cpu_us", ".1f"),
        middle(found, "others_cpu_s", ".1f"),
        middle(found, "peak_rss_mb", ".0f"),
        middle(found, "start_up_s", ".1f"),
    )


def verdicts(runs: Runs) -> Iterator[str]:
    """Each process beside what we hold ourselves to."""
    for name, target in TARGET_PER_S.items():
        reached = median(one.per_s for one in runs[name])
        said = "met" if reached >= target else f"**missed**, {reached / target:.0%} of it"
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
