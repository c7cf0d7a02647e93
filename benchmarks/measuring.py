"""Measures one service process on a backlog, from outside: committed offsets, CPU seconds, peak memory.

A service is measured between the first and the last commit that its group makes, so that starting up, joining the
group and opening stores do not count; they are told apart. Commits come about twice a second, which bounds how exact
this is: give it work for ten seconds or more.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from xiezhi.errors import StackError, XiezhiError
from xiezhi.lag import PartitionLag
from xiezhi.local.process import Process

LOOK_INTERVAL_S = 0.1
#: A stage slower than this, or stuck, ends the measurement.
RECORDS_PER_S_MIN = 200.0
START_UP_MAX_S = 90.0

#: One look at how far the process's group is behind on everything that it reads.
Look = Callable[[], Sequence[PartitionLag]]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one process did: `records` in `seconds`, and what it took."""

    name: str
    records: int
    seconds: float
    cpu_s: float  # of the process, all its threads
    peak_rss_mb: float
    start_up_s: float = 0.0  # from start to the first commit
    started_with: int = 0  # records of that first commit, which are not counted
    others_cpu_s: float = 0.0  # of everything else on the machine in that time, the broker among it

    @property
    def per_s(self) -> float:
        return self.records / self.seconds

    @property
    def cpu_us(self) -> float:
        """CPU microseconds per record."""
        return 1e6 * self.cpu_s / self.records


@dataclass(frozen=True, slots=True)
class _Seen:
    """Everything that is read at one moment."""

    at: float
    committed: int
    behind: int
    cpu_s: float
    machine_cpu_s: float


def measure_process(name: str, process: Process, look: Look) -> Measurement:
    """Starts `process`, waits until `look` shows that it has committed everything, and stops it.

    Raises StackError when it ends by itself, XiezhiError when it is too slow or the backlog too small to tell.
    """
    backlog = sum(one.end for one in look())
    deadline = time.monotonic() + START_UP_MAX_S + backlog / RECORDS_PER_S_MIN
    process.start()
    try:
        begun = time.monotonic()
        first = _wait(process, look, deadline, lambda seen: seen.committed > 0)
        last = _wait(process, look, deadline, lambda seen: seen.behind == 0)
        peak_mb = peak_rss_mb(process.pid)
    finally:
        process.stop()
    if last.committed == first.committed:
        raise XiezhiError(
            f"{name} committed all {backlog} records at once: too few to measure, ask for more records"
        )
    return Measurement(
        name=name,
        records=last.committed - first.committed,
        seconds=last.at - first.at,
        cpu_s=last.cpu_s - first.cpu_s,
        peak_rss_mb=peak_mb,
        start_up_s=first.at - begun,
        started_with=first.committed,
        others_cpu_s=last.machine_cpu_s - first.machine_cpu_s - (last.cpu_s - first.cpu_s),
    )


def wait_for_file(process: Process, file: Path, timeout_s: float) -> None:
    """Runs `process` until it has written `file`, then stops it. Raises as `measure_process` does."""
    deadline = time.monotonic() + timeout_s
    process.start()
    try:
        while not file.exists():
            _require_alive(process, deadline)
            time.sleep(LOOK_INTERVAL_S)
    finally:
        process.stop()


def _wait(process: Process, look: Look, deadline: float, reached: Callable[[_Seen], bool]) -> _Seen:
    while True:
        _require_alive(process, deadline)
        seen = _see(process, look)
        if reached(seen):
            return seen
        time.sleep(LOOK_INTERVAL_S)


def _see(process: Process, look: Look) -> _Seen:
    read = look()
    at, committed = time.monotonic(), sum(one.committed for one in read)
    used, machine = psutil.Process(process.pid).cpu_times(), psutil.cpu_times()
    busy = sum(machine) - machine.idle - machine.iowait - machine.guest - machine.guest_nice
    return _Seen(at, committed, sum(one.records for one in read), used.user + used.system, busy)


def _require_alive(process: Process, deadline: float) -> None:
    if not process.is_running:
        raise StackError(f"{process.name} ended while it was measured:\n{process.log_tail(10)}")
    if time.monotonic() > deadline:
        raise XiezhiError(
            f"{process.name} is not through with its backlog in time; log: {process.command.log}"
        )


def peak_rss_mb(pid: int | None) -> float:
    """The kernel's own high-water mark of a running process."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0
