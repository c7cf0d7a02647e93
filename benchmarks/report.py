"""What is printed and kept: medians side by side, ratios to the yardstick, and where the CPU time went."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.measuring import Measurement
from benchmarks.sampling import Profile

#: What we hold ourselves to per process, records or facts a second.
TARGET_PER_S = {"router": 60_000, "judge": 60_000}
STOCK = "stock Faust, decodes only"
#: Files whose functions only hand everything on, so that they hold all of every profile.
FRAMES_ONLY = ("benchmarks/", "streams/app.py", "streams/agents.py")
LINES_SHOWN, FUNCTIONS_SHOWN, PACKAGES_SHOWN = 12, 16, 8

Runs = Mapping[str, Sequence[Measurement]]


def heading(about: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """What the figures rest on."""
    for title, entries in about.items():
        yield f"{title}: " + ", ".join(f"{name} {value}" for name, value in entries.items())


def table(runs: Runs) -> Iterator[str]:
    """One line per process measured: medians over the runs; the columns are explained below it."""
    yield (
        f"{'one process, alone':28} {'records':>9} {'per s':>8} {'(lowest-highest)':>16} {'CPU µs each':>11} "
        f"{'CPU s':>7} {'others':>7} {'peak MB':>8} {'start s':>8}"
    )
    for name, found in runs.items():
        rates = [one.per_s for one in found]
        yield (
            f"{name:28} {_median(found, 'records'):9,.0f} {median(rates):8,.0f} "
            f"{f'{min(rates):,.0f}-{max(rates):,.0f}':>16} {_median(found, 'cpu_us'):11.1f} "
            f"{_median(found, 'cpu_s'):7.1f} {_median(found, 'others_cpu_s'):7.1f} "
            f"{_median(found, 'peak_rss_mb'):8.0f} {_median(found, 'start_up_s'):8.1f}"
        )
    yield (
        "records: between the first and the last commit; those of the first commit and start s, the time up to it, "
        "do not count. others: CPU s of the rest of the machine meanwhile, the broker's among it."
    )


def ratios(runs: Runs) -> Iterator[str]:
    """Each process beside the yardstick and beside what we hold ourselves to."""
    stock = _median(runs[STOCK], "per_s")
    for name, target in TARGET_PER_S.items():
        rate = _median(runs[name], "per_s")
        cpu = _median(runs[STOCK], "cpu_us") / _median(runs[name], "cpu_us")
        yield (
            f"{name}/stock {rate / stock:.2f} (by CPU time {cpu:.2f}); "
            f"{rate / target:.0%} of the {target:,} a second that we hold ourselves to"
        )


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
