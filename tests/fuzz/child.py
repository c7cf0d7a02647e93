"""The process in which one target meets inputs; forked from a warm parent (`tests/fuzz/warm.py`), it may die of them.

Before an input is tried it stands in the file CURRENT, so that the parent has it if this process dies of it. Ends with
0 when the time is up, with FOUND when an input did what none may do: what it did is then in the file SAID, the input in
CURRENT. Address space is limited.
"""

from __future__ import annotations

import importlib
import mmap
import os
import resource
import signal
import sys
import time
import tracemalloc
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import NoReturn

from tests.fuzz.catalogue import target_of
from tests.fuzz.inputs import BYTES_MAX, mutilated
from tests.fuzz.probe import FindingError, probe
from tests.fuzz.targets import Target

FOUND = 3
#: A reader that computes so long over one input never returns.
HANG_S = 30.0
#: Beyond this an allocation fails: far more than the bounds of a probe, far less than a machine has.
ADDRESS_SPACE_BYTES = 4 * 1024**3
#: How long a finding is made smaller, which nobody needs for ever.
SHRINK_S = 5.0


@dataclass(frozen=True)
class Run:
    """One target for so many seconds. Another seed tries other inputs."""

    target: str
    seconds: float
    seed: int = 0
    engine: str = "mutation"


class Current:
    """The input under way, in a file that survives this process."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 8 + 8 + BYTES_MAX)
        self.tried = 0

    def put(self, data: bytes) -> None:
        self.tried += 1
        data = data[:BYTES_MAX]
        self._map[: 16 + len(data)] = self.tried.to_bytes(8) + len(data).to_bytes(8) + data

    @staticmethod
    def make(file: Path) -> None:
        file.write_bytes(bytes(16 + BYTES_MAX))

    @staticmethod
    def read(file: Path) -> tuple[int, bytes]:
        """How many inputs were tried, and the last of them."""
        raw = file.read_bytes()
        return int.from_bytes(raw[:8]), raw[16 : 16 + int.from_bytes(raw[8:16])]


def explore(run: Run, target: Target, current: Current) -> FindingError | None:
    """Try inputs until the time is up or one is found out; that one is made small."""
    deadline, chance = time.monotonic() + run.seconds, Random(f"{run.target}/{run.seed}")
    while time.monotonic() < deadline:
        data = mutilated(chance, target.seeds)
        try:
            attempt(target, current, data)
        except FindingError as found:
            return found if found.slow else shrink(target, current, data, found)
    return None


def shrink(target: Target, current: Current, data: bytes, found: FindingError) -> FindingError:
    """Leave out ever smaller parts while the same kind of thing is found. Leaves the smallest input in `current`."""
    deadline, length = time.monotonic() + SHRINK_S, len(data) // 2
    while length and time.monotonic() < deadline:
        start = 0
        while start < len(data) and time.monotonic() < deadline:
            shorter = data[:start] + data[start + length :]
            try:
                attempt(target, current, shorter)
            except FindingError as again:
                if again.kind == found.kind:
                    data, found = shorter, again
                    continue
            start += length
        length //= 2
    current.put(data)
    return found


def attempt(target: Target, current: Current, data: bytes) -> None:
    """Raises FindingError. A hang ends the process: the timer's signal has no handler, so it does so inside C code."""
    current.put(data)
    signal.setitimer(signal.ITIMER_PROF, HANG_S)
    probe(target, data)


def follow_coverage(run: Run, target: Target, current: Current) -> FindingError | None:
    """The same with atheris, which ends the process by itself: what is found it reports as a crash."""
    atheris = importlib.import_module("atheris")  # not among our requirements
    arguments = [
        sys.argv[0],
        f"-max_total_time={int(run.seconds)}",
        f"-seed={run.seed + 1}",
        f"-max_len={BYTES_MAX}",
    ]
    atheris.instrument_all()
    atheris.Setup(arguments, lambda data: attempt(target, current, data))
    atheris.Fuzz()
    return None


def live(run: Run, current_file: Path, said_file: Path) -> NoReturn:
    """The whole life of a forked process. Never returns to what the parent was doing."""
    code = 1
    try:
        resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        target, current = target_of(run.target), Current(current_file)
        tracemalloc.start()
        search = follow_coverage if run.engine == "atheris" else explore
        found = search(run, target, current)
        if found is not None:
            said_file.write_text(str(found), "utf-8", "replace")
        code = 0 if found is None else FOUND
    finally:
        os._exit(code)
