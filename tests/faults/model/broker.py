"""A broker in memory: partitioned logs, committed offsets, and a clock of its own that stamps what is appended."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

from streams.facts import TICK_KEY
from streams.pipeline import Outgoing
from tests.faults.model.world import START_MS
from xiezhi.contracts.naming import ACTIVATION
from xiezhi.log import RawRecord
from xiezhi.partitioner import partition_of


class Broker:
    """What survives everything. Time passes only when somebody says so."""

    def __init__(self, partitions: int, now_ms: int = START_MS) -> None:
        self.partitions, self.now_ms = partitions, now_ms
        self.logs: dict[tuple[str, int], list[RawRecord]] = defaultdict(list)
        self.committed: dict[tuple[str, str, int], int] = {}

    def append(self, record: Outgoing) -> RawRecord:
        """Like a broker with LogAppendTime and a client that hashes keys."""
        partition = record.partition
        if partition is None:
            partition = self.partition_of(record.topic, record.key)
        log = self.logs[record.topic, partition]
        self.now_ms += 1
        raw = RawRecord(
            record.topic, partition, len(log), self.now_ms, record.key, record.value, record.headers
        )
        log.append(raw)
        return raw

    def partition_of(self, topic: str, key: bytes) -> int:
        return 0 if topic == ACTIVATION else partition_of(key, self.partitions)

    def read(self, topic: str, partition: int, start: int, end: int | None = None) -> Sequence[RawRecord]:
        return self.logs[topic, partition][start:end]

    def end(self, topic: str, partition: int) -> int:
        return len(self.logs[topic, partition])

    def all(self, topic: str) -> list[RawRecord]:
        return [raw for partition in range(self.partitions) for raw in self.logs[topic, partition]]

    def latest_tick_ms(self, fact_topic: str) -> int:
        """The largest tick on any partition; 0 before the first."""
        ticks = (
            json.loads(raw.value or b"")["now_ms"] for raw in self.all(fact_topic) if raw.key == TICK_KEY
        )
        return max(ticks, default=0)


class ClockLog:
    """What the clock uses of `LogReader`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def partitions(self, topic: str) -> int:
        return self._broker.partitions

    def read(self, topic: str, partition: int, start: int) -> Iterator[list[RawRecord]]:
        records = self._broker.read(topic, partition, start)
        if records:
            yield list(records)


class ClockDiedError(Exception):
    """The clock was killed in the middle of a broadcast."""


class ClockProducer:
    """What the clock uses of a producer; dies before its `lives`-th record."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self.lives: int | None = None

    def produce(self, topic: str, **record: Any) -> None:
        if self.lives is not None:
            if self.lives == 0:
                raise ClockDiedError
            self.lives -= 1
        outgoing = Outgoing(topic, record["key"], record["value"], record["headers"], record["partition"])
        self._broker.append(outgoing)
        record["on_delivery"](None, None)

    def flush(self, timeout_s: float) -> int:
        return 0
