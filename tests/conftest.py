"""Fixtures shared by every suite.

`stack` is a real Kafka and a real registry, started when the first test asks for them.
"""

from __future__ import annotations

import itertools
import os
import random
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from xiezhi.local.settings import LOOPBACK, LocalSettings, Ports, StackSettings
from xiezhi.local.stack import LocalStack

# A busy machine is no defect of the code under test, and a run that fails must fail again.
hypothesis.settings.register_profile("suite", deadline=None, derandomize=True)
hypothesis.settings.load_profile("suite")

# Whoever starts the suite in the background (`make test &`, a job runner) makes it ignore Ctrl-C, and so every process
# that it starts: tests that press it would wait in vain.
signal.signal(signal.SIGINT, signal.default_int_handler)


def free_ports() -> Ports:
    """Four ports that nobody uses now, below the range from which outgoing connections take theirs.

    Suites that run beside each other choose from halves of their own, since a broker binds only a while later.
    """
    half = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2
    candidates = random.SystemRandom().sample(range(20_000 + 6_000 * half, 26_000 + 6_000 * half), 100)
    return Ports(*itertools.islice(filter(_is_free, candidates), 4))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def stack_settings(home: Path) -> StackSettings:
    return StackSettings(home=home, ports=free_ports(), local=LocalSettings())


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A running stack for the whole session. Tests use topics, groups and subjects with names of their own.

    A test that breaks it (`kill_broker`, `stop_registry`) brings it back before it ends.
    """
    with LocalStack(stack_settings(tmp_path_factory.mktemp("bus") / "stack"), say=print) as running:
        yield running


@pytest.fixture
def new_ports() -> Ports:
    """Ports for a test that starts a stack of its own."""
    return free_ports()
