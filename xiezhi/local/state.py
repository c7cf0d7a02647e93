"""What runs in a stack's folder, written down for other terminals: a lock and a small JSON file.

The lock (`stack.lock`, an flock that ends with its process) says *that* a stack runs; the file (`stack.json`)
says what belongs to it. A process is known by id *and* start time, because ids are given out again.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO

from xiezhi.errors import ConfigurationError

#: The process table derives start times from the wall clock, which may be set; ids do not come round so quickly.
CLOCK_STEP_S = 5.0


@dataclass(frozen=True)
class ProcessRecord:
    """One process of the stack. `pid` is None when it has ended and is not being restarted."""

    name: str
    pid: int | None
    started_s: float  # as the process table says; tells a process from a later one with the same id
    log: str
    restarts: int = 0
    zone: str = ""
    note: str = ""  # e.g. why it ended
    metrics_port: int = 0  # where it serves its metrics; 0: nowhere

    @classmethod
    def of(cls, name: str, pid: int | None, log: Path, **more: Any) -> ProcessRecord:
        """A process as it is now; a `pid` of None stays None."""
        return cls(name, pid, _started_s(pid), str(log), **more)

    @property
    def is_alive(self) -> bool:
        now_s = _started_s(self.pid)
        return now_s > 0 and abs(now_s - self.started_s) < CLOCK_STEP_S


@dataclass(frozen=True)
class StackState:
    """Content of `stack.json`."""

    supervisor: ProcessRecord
    bootstrap_servers: str
    registry_url: str
    processes: tuple[ProcessRecord, ...]


def write_state(home: Path, state: StackState) -> None:
    """Replaces the file in one step: readers see the old state or the new one."""
    partial = home / "stack.json.partial"
    partial.write_text(json.dumps(asdict(state), indent=2), "utf-8")
    partial.replace(home / "stack.json")


def read_state(home: Path) -> StackState | None:
    """The last state written, None when no stack was ever started here."""
    try:
        content = json.loads((home / "stack.json").read_text("utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigurationError(f"{home / 'stack.json'} is not readable ({error}); remove it") from error
    processes = tuple(ProcessRecord(**process) for process in content.pop("processes"))
    supervisor = ProcessRecord(**content.pop("supervisor"))
    return StackState(supervisor=supervisor, processes=processes, **content)


class StackLock:
    """Held by the one stack that may use a folder; the kernel releases it however its process ends."""

    def __init__(self, home: Path) -> None:
        self._home, self._file = home, home / "stack.lock"
        self._held: TextIO | None = None

    def acquire(self) -> None:
        """Raises ConfigurationError when another stack runs on the same data."""
        self._home.mkdir(parents=True, exist_ok=True)
        file = self._file.open("a")
        if not _locks_soon(file):
            file.close()
            raise ConfigurationError(
                f"another stack (process {self._file.read_text('utf-8').strip()}) already runs on {self._home}; "
                "stop it with `xiezhi down`, or give this one a folder of its own with XIEZHI_DATA_DIR"
            )
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        self._held = file

    def release(self) -> None:
        if self._held is not None:
            self._held.truncate(0)
            self._held.close()
            self._held = None

    def owner(self) -> int | None:
        """Process id of the stack that runs on this folder now, None when none does."""
        if not self._file.exists():
            return None
        with self._file.open("r") as file:
            if _locks(file, fcntl.LOCK_SH):
                return None
            written = file.read().strip()
        return int(written) if written else None


def _locks(file: TextIO, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _locks_soon(file: TextIO) -> bool:
    """Tries for half a second, because `xiezhi status` holds the lock for a moment while it looks."""
    deadline = time.monotonic() + 0.5
    while not _locks(file, fcntl.LOCK_EX):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.02)
    return True


def _started_s(pid: int | None) -> float:
    """Start time of a process, 0.0 when there is none with this id (a zombie counts as none)."""
    import psutil

    if pid is None:
        return 0.0
    try:
        process = psutil.Process(pid)
        return 0.0 if process.status() == psutil.STATUS_ZOMBIE else float(process.create_time())
    except psutil.NoSuchProcess:
        return 0.0
