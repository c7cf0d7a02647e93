"""Waiting for a process to answer: until it does, until it has ended, or until a deadline."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xiezhi.errors import StackError
from xiezhi.local.process import Process, tail

POLL_S = 0.1


@dataclass(frozen=True)
class Deadline:
    """A moment on the monotonic clock."""

    at: float
    timeout_s: float

    @classmethod
    def after(cls, timeout_s: float) -> Deadline:
        return cls(time.monotonic() + timeout_s, timeout_s)

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self.at


def wait_ready(process: Process, answers: Callable[[], bool], deadline: Deadline, *, log: Path) -> None:
    """Returns once `answers()`; raises StackError with the end of the log when that will not happen."""
    while not answers():
        if not process.is_running:
            raise StackError(
                f"{process.name} ended with exit code {process.exit_code} while starting; the end of {log}:\n"
                f"{tail(log, 5) or process.log_tail()}"
            )
        if deadline.is_over:
            raise StackError(
                f"{process.name} did not answer within {deadline.timeout_s:.0f} s; see {log}, and give it more "
                "time with XIEZHI_START_TIMEOUT_S if this machine is slow"
            )
        time.sleep(POLL_S)


def is_listening(host: str, port: int) -> bool:
    """Whether a TCP connection succeeds: a cheap question before an expensive one."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0
