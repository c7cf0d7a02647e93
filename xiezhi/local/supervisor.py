"""Keeps processes running: restarts those that end, each after a growing pause, until it is told to stop.

A process that ends with exit code 78 says that a restart will not help; it is reported and left alone. The
supervisor has no thread: its owner calls `step` now and then, so that one place decides what happens when.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from xiezhi.errors import EXIT_WILL_NOT_HELP_TO_RESTART
from xiezhi.local.process import Process


@dataclass(frozen=True)
class RestartPolicy:
    """How long to wait before a restart: doubling from `first_s` to `max_s`, forgotten after `healthy_s`.

    Without the pause a service that dies at once would take a core; without the ceiling it would stay away for
    hours after a cause that lasted minutes.
    """

    first_s: float = 0.5
    max_s: float = 30.0
    healthy_s: float = 60.0

    def pause_s(self, failures: int) -> float:
        return float(min(self.first_s * 2 ** min(failures, 30), self.max_s))


DEFAULT = RestartPolicy()


class Supervised:
    """One process under supervision and what happened to it so far."""

    def __init__(self, process: Process, now: float) -> None:
        self.process = process
        self.restarts = 0
        self.given_up = ""  # why it is not restarted any more; empty while it is
        self._failures = 0  # in a row
        self._started_at = now
        self._restart_at: float | None = None

    def start(self, now: float) -> None:
        self.process.start()
        self._started_at, self._restart_at = now, None

    def step(self, now: float, policy: RestartPolicy) -> str:
        """Restarts it when that is due. Returns what happened in one sentence, "" when nothing did."""
        if self.given_up:
            return ""
        if self._restart_at is not None:
            return self._restart_when_due(now)
        if self.process.is_running:
            if now - self._started_at >= policy.healthy_s:
                self._failures = 0
            return ""
        return self._note_end(now, policy)

    def _restart_when_due(self, now: float) -> str:
        assert self._restart_at is not None
        if now < self._restart_at:
            return ""
        self.start(now)
        self.restarts += 1
        return f"{self.process.name} was restarted (process {self.process.pid})"

    def _note_end(self, now: float, policy: RestartPolicy) -> str:
        code, log = self.process.exit_code, self.process.command.log
        if code == EXIT_WILL_NOT_HELP_TO_RESTART:
            self.given_up = self.process.log_tail(1) or "no reason in its log"
            return f"{self.process.name} stopped and is not restarted: {self.given_up} (log: {log})"
        pause_s = policy.pause_s(self._failures)
        self._failures += 1
        self._restart_at = now + pause_s
        return f"{self.process.name} {how_it_ended(code)}; restarting in {pause_s:g} s (log: {log})"


class Supervisor:
    """Starts processes in order, keeps them running, stops them together."""

    def __init__(
        self,
        processes: Sequence[Process],
        say: Callable[[str], None],
        *,
        policy: RestartPolicy = DEFAULT,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.members = tuple(Supervised(process, clock()) for process in processes)
        self._say, self._policy, self._clock = say, policy, clock

    def start(self) -> None:
        for member in self.members:
            member.start(self._clock())

    def step(self) -> bool:
        """Looks at every process once; never blocks. True when something happened, which was said."""
        happened = [text for member in self.members if (text := member.step(self._clock(), self._policy))]
        for text in happened:
            self._say(text)
        return bool(happened)

    def stop(self) -> None:
        """TERM to all at once, each its grace, then KILL."""
        begun = self._clock()
        running = [member.process for member in self.members if member.process.is_running]
        for process in running:
            process.terminate()
        for process in running:
            if not process.wait(begun + process.command.stop_grace_s - self._clock()):
                grace_s = process.command.stop_grace_s
                self._say(f"{process.name} did not stop within {grace_s:g} s and was killed")
                process.kill()

    def kill(self) -> None:
        """Ends all at once without asking."""
        for member in self.members:
            member.process.kill()


def how_it_ended(code: int | None) -> str:
    """`ended with exit code 1` or `was killed by signal 9`."""
    if code is not None and code < 0:
        return f"was killed by signal {-code}"
    return f"ended with exit code {code}"
