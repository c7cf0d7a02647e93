"""One look at the whole bus: how far every group is, what is newest on every topic, who answers.

Only asks; it joins no group and writes nothing. Each part is asked for itself: one that does not answer leaves its part
of the sight empty, never the rest, and what was seen earlier is not repeated as if it were still so.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from xiezhi.errors import BrokerUnavailableError, ConfigurationError, RegistryUnavailableError
from xiezhi.groups import AUDIT, Inputs
from xiezhi.ingestion import Ingestion, Place
from xiezhi.lag import Lags, PartitionLag
from xiezhi.local.state import read_state
from xiezhi.registry import Registry
from xiezhi.settings import Settings

#: Longer than a broker needs that is well, shorter than two looks.
TIMEOUT_S = 4.0


@dataclass(frozen=True)
class Sight:
    """What was seen. `complete` is whether the broker answered every question."""

    looked_ms: int
    complete: bool = False
    lags: Sequence[PartitionLag] = ()
    waiting_since_ms: Mapping[tuple[str, str, int], int] = field(default_factory=dict)
    members: Mapping[str, int] = field(default_factory=dict)
    ends: Mapping[Place, int] = field(default_factory=dict)
    newest_ms: Mapping[str, int] = field(default_factory=dict)
    registry_answers: bool = False
    disk_free_bytes: int | None = None
    restarts: Mapping[str, int] = field(default_factory=dict)


class Lookout:
    """Looks at one bus. `topics` are all of its topics, `inputs` what its groups read, `clock` gives ms since 1970."""

    def __init__(
        self,
        settings: Settings,
        *,
        topics: Sequence[str],
        inputs: Inputs,
        registry: Registry,
        clock: Callable[[], int],
    ) -> None:
        self._settings, self._topics, self._inputs = settings, topics, inputs
        self._registry, self._clock = registry, clock
        self._lags: Lags | None = None
        self._watched: set[str] = set()
        self._ingestion = Ingestion(settings.bootstrap_servers, timeout_s=TIMEOUT_S)

    def look(self) -> Sight:
        """Blocks for some seconds at most. Raises nothing that a look later could mend."""
        seen = Sight(
            self._clock(),
            registry_answers=self._registry_answers(),
            disk_free_bytes=self._disk_free(),
            restarts=self._restarts(),
        )
        try:
            return self._log(seen)
        except BrokerUnavailableError:
            return seen

    def _log(self, seen: Sight) -> Sight:
        members = self._ingestion.members(list(self._inputs))
        inputs = {group: topics for group, topics in self._inputs.items() if members[group] or group != AUDIT}
        if self._lags is None or inputs.keys() != self._watched:
            self._lags, self._watched = self._lags_of(inputs), set(inputs)
        lags = self._lags.read()
        ends = self._ingestion.ends(self._topics)
        return Sight(
            seen.looked_ms,
            True,
            lags,
            self._ingestion.waiting_since(lags),
            {group: members[group] for group in inputs},
            ends,
            self._ingestion.newest(ends),
            seen.registry_answers,
            seen.disk_free_bytes,
            seen.restarts,
        )

    def _lags_of(self, inputs: Inputs) -> Lags:
        """Kept from look to look: it learns that what is left of a partition holds no record."""
        return Lags(self._settings.bootstrap_servers, inputs, timeout_s=TIMEOUT_S)

    def _registry_answers(self) -> bool:
        try:
            self._registry.compatibility(None)
        except RegistryUnavailableError:
            return False
        return True

    def _disk_free(self) -> int | None:
        try:
            return shutil.disk_usage(self._settings.data_dir).free
        except OSError:
            return None

    def _restarts(self) -> dict[str, int]:
        """Of the local stack; empty where another supervisor runs the services."""
        try:
            state = read_state(self._settings.data_dir / "stack")
        except (ConfigurationError, OSError):
            return {}
        return {process.name: process.restarts for process in state.processes} if state else {}
