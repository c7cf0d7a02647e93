"""The last sight of the bus as metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from consumers.monitor.sight import Sight
from xiezhi.contracts.base import Contract
from xiezhi.groups import owner_of
from xiezhi.telemetry import catalogue
from xiezhi.telemetry.meters import Meters, Reading


class Gauges:
    """Hands the newest sight to whoever scrapes. `show` is called by the monitor, the rest by the endpoint's thread."""

    def __init__(self, meters: Meters, contracts: Sequence[Contract]) -> None:
        self._sight: Sight | None = None
        self._looked_ms = 0
        self._contracts = contracts
        readings: dict[catalogue.Metric, Callable[[Sight], Reading]] = {
            catalogue.GROUP_LAG: _lag,
            catalogue.GROUP_OFFSET: lambda sight: [
                (one.committed, (one.group, one.topic, str(one.partition))) for one in sight.lags
            ],
            catalogue.GROUP_LAG_TIME: _lag_time,
            catalogue.GROUP_MEMBERS: lambda sight: [(n, (group,)) for group, n in sight.members.items()],
            catalogue.TOPIC_RECORDS: _records,
            catalogue.LAST_INGESTED: lambda sight: [
                (ms / 1000, (owner_of(topic), topic)) for topic, ms in sight.newest_ms.items()
            ],
            catalogue.EXPECTED_EVERY: lambda _: self._rhythms(),
            catalogue.BROKER_UP: lambda sight: [(float(sight.complete), ())],
            catalogue.REGISTRY_UP: lambda sight: [(float(sight.registry_answers), ())],
            catalogue.LOOKED: lambda _: [(self._looked_ms / 1000, ())] if self._looked_ms else [],
            catalogue.DISK_FREE: lambda sight: (
                [] if sight.disk_free_bytes is None else [(sight.disk_free_bytes, ())]
            ),
            catalogue.RESTARTS: lambda sight: [(n, (name,)) for name, n in sight.restarts.items()],
        }
        for metric, reading in readings.items():
            meters.read(metric, self._reader(reading))

    def show(self, sight: Sight) -> None:
        self._sight = sight
        if sight.complete:
            self._looked_ms = sight.looked_ms

    def _reader(self, reading: Callable[[Sight], Reading]) -> Callable[[], Reading]:
        def read() -> Reading:
            sight = self._sight
            return [] if sight is None else reading(sight)

        return read

    def _rhythms(self) -> Reading:
        return [
            (one.expected_every.total_seconds(), (one.owner, one.topic))
            for one in self._contracts
            if one.expected_every is not None
        ]


def _lag(sight: Sight) -> Reading:
    return [(one.records, (one.group, one.topic, str(one.partition))) for one in sight.lags]


def _lag_time(sight: Sight) -> Reading:
    """Per group and topic the longest wait of its partitions."""
    waits: dict[tuple[str, str], float] = {(one.group, one.topic): 0.0 for one in sight.lags}
    for (group, topic, _), since_ms in sight.waiting_since_ms.items():
        waits[group, topic] = max(waits[group, topic], (sight.looked_ms - since_ms) / 1000)
    return [(wait, place) for place, wait in waits.items()]


def _records(sight: Sight) -> Reading:
    return [
        (sum(end for _, end in partitions), (owner_of(topic), topic))
        for topic, partitions in groupby(sorted(sight.ends.items()), key=lambda one: one[0][0])
    ]
