"""Fixtures of the integration suite."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.running_bus import RunningBus, running_bus

#: Above what the tests plant on one topic on purpose, below what the test of the limit floods it with.
DEAD_LETTERS_PER_MINUTE_MAX = 60
#: Short, so that a record from the future becomes usable while a test waits.
FUTURE_TOLERANCE_S = 2.0


@pytest.fixture(scope="session")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBus]:
    """The whole bus, shared by tests that can live with each other's records.

    A test that stops a part of it brings it back before it ends.
    """
    with running_bus(
        tmp_path_factory.mktemp("bus") / "stack",
        dead_letters_per_minute_max=DEAD_LETTERS_PER_MINUTE_MAX,
        future_tolerance_s=FUTURE_TOLERANCE_S,
    ) as running:
        yield running
