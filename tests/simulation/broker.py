"""A broker in memory: partitioned logs, a clock that stamps what is appended, and what groups have committed.

A commit names the generation of its group, and a stale one is refused, as a coordinator does; whoever lost its
partitions may still append.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence

from streams.facts import TICK_AHEAD_MAX_MS, TICK_KEY
from streams.pipeline import Outgoing
from xiezhi.contracts.naming import ACTIVATION
from xiezhi.log import RawRecord
from xiezhi.partitioner import partition_of

Place = tuple[str, int]  # topic, partition


class Broker:
    """What survives everything. `clock` is its own, in milliseconds since 1970, asked at every append."""

    def __init__(self, partitions: int, clock: Callable[[], int]) -> None:
        self.partitions, self._clock = partitions, clock
        self.logs: dict[Place, list[RawRecord]] = defaultdict(list)
        self.committed: dict[tuple[str, str, int], int] = {}
        self.generations: dict[str, int] = defaultdict(int)
        self._listeners: dict[Place, list[Callable[[], None]]] = defaultdict(list)

    def append(self, record: Outgoing) -> RawRecord:
        """Like a broker with LogAppendTime and a client that hashes keys."""
        partition = record.partition
        if partition is None:
            partition = self.partition_of(record.topic, record.key)
        log = self.logs[record.topic, partition]
        raw = RawRecord(
            record.topic, partition, len(log), self._clock(), record.key, record.value, record.headers
        )
        log.append(raw)
        for hear in self._listeners[record.topic, partition]:
            hear()
        return raw

    def forget(self, topic: str, groups: Collection[str]) -> None:
        """Delete a topic, and what groups have committed of anything. Nobody of them is left."""
        for partition in range(self.partitions):
            self.logs.pop((topic, partition), None)
        for place in [one for one in self.committed if one[0] in groups]:
            del self.committed[place]

    def listen(self, topic: str, partition: int, hear: Callable[[], None]) -> None:
        """Call `hear` after every append to a partition, as a fetch that was waiting returns."""
        self._listeners[topic, partition].append(hear)

    def hush(self, topic: str, partition: int, hear: Callable[[], None]) -> None:
        self._listeners[topic, partition].remove(hear)

    def commit(self, group: str, generation: int, offsets: Mapping[Place, int]) -> bool:
        """Whether the coordinator took it; what is of an older generation it refuses."""
        if generation != self.generations[group]:
            return False
        for (topic, partition), offset in offsets.items():
            self.committed[group, topic, partition] = offset
        return True

    def committed_of(self, group: str, topic: str, partition: int) -> int:
        return self.committed.get((group, topic, partition), 0)

    def partition_of(self, topic: str, key: bytes) -> int:
        return 0 if topic == ACTIVATION else partition_of(key, self.partitions)

    def read(self, topic: str, partition: int, start: int, end: int | None = None) -> Sequence[RawRecord]:
        return self.logs[topic, partition][start:end]

    def end(self, topic: str, partition: int) -> int:
        return len(self.logs[topic, partition])

    def all(self, topic: str) -> list[RawRecord]:
        return [raw for partition in range(self.partitions) for raw in self.logs[topic, partition]]

    def latest_tick_ms(self, fact_topic: str) -> int:
        """The largest tick on any partition of those that are not ahead of the broker; 0 before the first."""
        ticks = (
            (json.loads(raw.value or b"")["now_ms"], raw.ingested_ms)
            for raw in self.all(fact_topic)
            if raw.key == TICK_KEY
        )
        return max((now_ms for now_ms, at_ms in ticks if now_ms <= at_ms + TICK_AHEAD_MAX_MS), default=0)
