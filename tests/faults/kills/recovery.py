"""How long what was killed takes to work again, seen from outside: by the progress of its group, or its open port."""

from __future__ import annotations

import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from xiezhi.groups import group_of
from xiezhi.lag import PartitionLag
from xiezhi.local.settings import LOOPBACK
from xiezhi.local.stack import LocalStack
from xiezhi.local.state import read_state

BROKER = "broker"


@dataclass
class _Killed:
    """A service that was killed and has not worked since: when, and how far its group was."""

    at: float
    committed: int


@dataclass
class Recoveries:
    """Told of every kill and of every look at the lags; keeps the seconds from the one to the other."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    killed_again: int = 0
    _waiting: dict[str, _Killed] = field(default_factory=dict)

    @property
    def names(self) -> set[str]:
        """Those that have not recovered yet."""
        return set(self._waiting)

    def killed(self, name: str, lags: Sequence[PartitionLag]) -> None:
        self.killed_again += name in self._waiting
        self._waiting[name] = _Killed(time.monotonic(), _committed(name, lags))

    def look(self, stack: LocalStack, lags: Sequence[PartitionLag]) -> None:
        """`lags` was just read, so the broker answers."""
        for name, killed in list(self._waiting.items()):
            has_group = any(one.group == group_of(name) for one in lags)
            works = _committed(name, lags) > killed.committed if has_group else _answers(stack, name)
            if works or name == BROKER:
                self.seconds[name].append(round(time.monotonic() - killed.at, 2))
                del self._waiting[name]


def _committed(name: str, lags: Sequence[PartitionLag]) -> int:
    return sum(one.committed for one in lags if one.group == group_of(name))


def _answers(stack: LocalStack, name: str) -> bool:
    state = read_state(stack.home)
    port = next((one.metrics_port for one in state.processes if one.name == name), 0) if state else 0
    with socket.socket() as probe:
        probe.settimeout(0.2)
        return port != 0 and probe.connect_ex((LOOPBACK, port)) == 0
