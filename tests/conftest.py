"""Fixtures shared by every suite.

`stack` is a real Kafka and a real registry, started when the first test asks for them.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from xiezhi.local.settings import LOOPBACK, LocalSettings, Ports, StackSettings
from xiezhi.local.stack import LocalStack


def free_ports() -> Ports:
    """Four ports that nobody uses now; held together so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(4)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return Ports(*(int(each.getsockname()[1]) for each in sockets))


def stack_settings(home: Path) -> StackSettings:
    return StackSettings(home=home, ports=free_ports(), local=LocalSettings())


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A running stack for the whole session. Tests use topics, groups and subjects with names of their own.

    A test that breaks it (`kill_broker`, `stop_registry`) brings it back before it ends.
    """
    with LocalStack(stack_settings(tmp_path_factory.mktemp("bus") / "stack"), say=print) as running:
        yield running
