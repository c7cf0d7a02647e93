"""`make bench-audit`: the audit log at one million leaves: publishing, full re-verification, proofs. No broker.

Leaves are as long as those of a record. Verification and proofs run in one process on one core; publishing waits for
the disk's fsyncs, so its figure is of this disk too. Medians over the runs; proofs also at the 99th percentile. CPU
time is told beside: on a machine with other work the rest is waiting for a core.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median, quantiles

import click

from benchmarks.entry import enter
from benchmarks.machine import machine, versions
from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer
from xiezhi.audit.reader import AuditLogReader

ORIGIN = "bench.xiezhi/audit"
#: A leaf of a record: topic, partition, offset, time and three digests of 64 hexadecimal digits.
LEAF_BYTES = 330
#: The first leaves of a live log arrive in publications of a second each.
LIVE_PER_S = 10_000
LIVE_S = 10
BATCH = 50_000
PROOFS = 2_000

Figures = dict[str, float]


@click.command()
@click.option("--leaves", default=1_000_000, show_default=True, help="Size of the log.")
@click.option("--runs", default=3, show_default=True, help="Runs; figures are medians over them.")
@click.option(
    "--folder", type=click.Path(path_type=Path), help="Where to put the logs; a temporary folder otherwise."
)
def bench(leaves: int, runs: int, folder: Path | None) -> None:
    """Measure the audit log."""
    about = {"machine": machine(), "versions": versions()}
    measured = []
    for number in range(runs):
        with tempfile.TemporaryDirectory(prefix="xiezhi-audit-", dir=folder) as scratch:
            measured.append(run(Path(scratch) / "log", leaves))
        click.echo(f"run {number + 1} of {runs}: {json.dumps(measured[-1])}")
    for title, entries in about.items():
        click.echo(f"{title}: " + ", ".join(f"{name} {value}" for name, value in entries.items()))
    for line in table(measured):
        click.echo(line)


def run(folder: Path, leaves: int) -> Figures:
    """One log of `leaves` leaves, written, verified and proven from."""
    signer = Signer.create(ORIGIN)
    figures: Figures = {}
    with AuditLog.create(folder, ORIGIN, signer) as log:
        figures |= _live(log)
        figures |= _bulk(log, leaves)
    reader = AuditLogReader(folder, signer.verifier)
    begun, cpu = time.perf_counter(), time.process_time()
    checked = reader.verify()
    figures["verify, leaves/s"] = checked.size / (time.perf_counter() - begun)
    figures["verify, leaves per CPU s"] = checked.size / (time.process_time() - cpu)
    choose = random.Random(1)  # noqa: S311 - chooses leaves to prove, not secrets
    size = checked.size
    inclusion = [(choose.randrange(size), size) for _ in range(PROOFS)]
    consistency = [(choose.randrange(1, size), size) for _ in range(PROOFS)]
    figures |= _timed("inclusion proof", reader.inclusion_proof, inclusion)
    figures |= _timed("consistency proof", reader.consistency_proof, consistency)
    cold = [(choose.randrange(size), size) for _ in range(PROOFS // 10)]
    figures |= _timed(
        "inclusion proof, nothing cached",
        lambda index, of: AuditLogReader(folder, signer.verifier).inclusion_proof(index, of),
        cold,
    )
    return figures


def _live(log: AuditLog) -> Figures:
    """Publications of a second's records; how long each one takes of the second it has."""
    took = []
    for _ in range(LIVE_S):
        entries, salts = _batch(LIVE_PER_S)
        begun = time.perf_counter()
        log.append(entries, salts)
        log.publish()
        took.append(time.perf_counter() - begun)
    return {"append and publish 10,000, s": median(took), "append and publish 10,000, slowest, s": max(took)}


def _bulk(log: AuditLog, leaves: int) -> Figures:
    """The rest in large publications: what the appender can do at most."""
    seconds = cpu = 0.0
    published = 0
    while log.size < leaves:
        entries, salts = _batch(min(BATCH, leaves - log.size))
        begun, begun_cpu = time.perf_counter(), time.process_time()
        log.append(entries, salts)
        log.publish()
        seconds += time.perf_counter() - begun
        cpu += time.process_time() - begun_cpu
        published += len(entries)
    return {
        "append and publish 50,000, entries/s": published / seconds,
        "the same, per CPU s": published / cpu,
    }


def _batch(count: int) -> tuple[list[bytes], list[bytes]]:
    noise = os.urandom(16 * count)
    salts = [noise[at : at + 16] for at in range(0, len(noise), 16)]
    return [salt + bytes(LEAF_BYTES - 16) for salt in salts], salts


def _timed(name: str, prove: Callable[[int, int], object], asked: Sequence[tuple[int, int]]) -> Figures:
    took, cpu = [], []
    for arguments in asked:
        begun, begun_cpu = time.perf_counter(), time.process_time()
        prove(*arguments)
        took.append((time.perf_counter() - begun) * 1_000)
        cpu.append((time.process_time() - begun_cpu) * 1_000)
    return {
        f"{name}, median ms": median(took),
        f"{name}, p99 ms": quantiles(took, n=100)[-1],
        f"{name}, p99 CPU ms": quantiles(cpu, n=100)[-1],
    }


def table(measured: Sequence[Mapping[str, float]]) -> Iterator[str]:
    """One line per figure: median over the runs, and the range."""
    for name in measured[0]:
        values = [each[name] for each in measured]
        shown = [_shown(value) for value in (median(values), min(values), max(values))]
        yield f"{name:42} {shown[0]:>12}   ({shown[1]}-{shown[2]})"


def _shown(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3f}"


if __name__ == "__main__":
    enter("bench-audit", bench)
