"""One child process: started in a group of its own, logged to a file, ended for certain.

Ctrl-C in a terminal does not reach it (its group is not the foreground one), so that whoever started it decides
the order in which things stop. When the starting process dies without a word, the kernel kills the child.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

LAUNCHER = Path(__file__).with_name("launch.py")

#: A log grown past this is moved aside at the next start; without it years of restarts fill the disk.
LOG_BYTES_MAX = 10_000_000

POLL_S = 0.02

#: Linux delivers the parent-death signal when the *thread* that forked ends, so one thread that lives as long
#: as this process starts all children.
_spawner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="spawner")


@dataclass(frozen=True)
class Command:
    """What to run, where, and how long it may take to stop."""

    name: str
    argv: tuple[str, ...]  # the program by its full path
    cwd: Path
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)  # added to this process's own
    stop_grace_s: float = 20.0


class Process:
    """A running or ended command. Not thread-safe: one owner starts and stops it."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def name(self) -> str:
        return self.command.name

    @property
    def pid(self) -> int | None:
        """Process id, also its group's; None before the first start."""
        return self._popen.pid if self._popen else None

    @property
    def exit_code(self) -> int | None:
        """None while it runs or before it was started; negative: killed by that signal.

        Noticing the end also kills what it left in its group, before its process id can be given to another.
        """
        child = self._popen
        if child is None:
            return None
        if child.returncode is None and _has_ended(child.pid):
            signal_group(child.pid, signal.SIGKILL)
            child.wait()
        return child.returncode

    @property
    def is_running(self) -> bool:
        return self._popen is not None and self.exit_code is None

    def start(self) -> None:
        """Starts it and returns at once. Raises OSError when the log cannot be opened."""
        if self.is_running:
            return
        command = self.command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        _rotate(command.log)
        with command.log.open("ab") as log:
            self._popen = _spawner.submit(self._spawn, log.fileno()).result()

    def _spawn(self, log: int) -> subprocess.Popen[bytes]:
        launcher = (sys.executable, "-I", "-S", str(LAUNCHER), str(os.getpid()))
        return subprocess.Popen(
            [*launcher, *self.command.argv],
            cwd=self.command.cwd,
            env={**os.environ, **self.command.environment},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def terminate(self) -> None:
        """Asks its whole group to end (TERM); returns at once."""
        self._signal(signal.SIGTERM)

    def kill(self) -> int | None:
        """Ends its whole group without asking (KILL) and waits for it."""
        self._signal(signal.SIGKILL)
        return self._popen.wait() if self._popen else None

    def wait(self, timeout_s: float) -> bool:
        """True when it has ended within the time."""
        deadline = time.monotonic() + timeout_s
        while self.is_running and time.monotonic() < deadline:
            time.sleep(POLL_S)
        return not self.is_running

    def stop(self) -> int | None:
        """TERM, the command's grace, then KILL."""
        self.terminate()
        self.wait(self.command.stop_grace_s)
        return self.kill()

    def log_tail(self, lines: int = 5) -> str:
        """The last non-empty lines of its log."""
        return tail(self.command.log, lines)

    def _signal(self, number: signal.Signals) -> None:
        if self._popen is not None and self.is_running:
            signal_group(self._popen.pid, number)


def _has_ended(pid: int) -> bool:
    """Whether a child has ended, leaving it to be waited for."""
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def signal_group(group: int, number: signal.Signals) -> None:
    """Signals a process group; one that has no member left is fine."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def tail(log: Path, lines: int) -> str:
    """The last non-empty lines of a log file, "" when there is none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - 65_536))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    return "\n".join([line for line in text.splitlines() if line.strip()][-lines:])


def _rotate(log: Path) -> None:
    if log.exists() and log.stat().st_size > LOG_BYTES_MAX:
        log.replace(log.with_name(log.name + ".1"))
