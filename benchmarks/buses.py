"""Where scenarios get their buses: a full run gives each measurement a new one, a short run one to several scenarios.

Starting a bus takes longer than a short measurement on it; but what is published must not depend on what ran before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from benchmarks.bus import Bus
from benchmarks.scenario import scratch

Say = Callable[[str], None]


class Buses:
    """Starts buses and makes each ready with `begin`; a shared one is stopped with `opened`."""

    def __init__(self, begin: Callable[[Bus], None], opened: ExitStack, *, is_shared: bool) -> None:
        self._begin, self._opened, self._is_shared = begin, opened, is_shared
        self._shared: Bus | None = None

    @contextmanager
    def bus(self, what: str, say: Say) -> Iterator[Bus]:
        """For one measurement, which may find the records of earlier ones on it."""
        if self._shared is not None:
            yield self._shared
        elif self._is_shared:
            self._shared = self._new(self._opened, what, say)
            yield self._shared
        else:
            with ExitStack() as opened:
                yield self._new(opened, what, say)

    def _new(self, opened: ExitStack, what: str, say: Say) -> Bus:
        say(f"{what}: starting a bus")
        bus = Bus.new(scratch(opened), opened)
        self._begin(bus)
        return bus
