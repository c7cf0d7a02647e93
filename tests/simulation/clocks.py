"""The clock's process on a simulated broker, and machines whose clocks jump.

The clock and the watermark are the real ones; the lag of groups is read from the broker as it is. A clock that dies in
the middle of a broadcast reaches some partitions only, and some of what it sent arrives when its successor has long
begun.
"""

from __future__ import annotations

import json
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, cast

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from streams.clock import LowWatermark
from streams.facts import TAKE_OVER_KEY, TICK_KEY
from streams.pipeline import Outgoing
from tests.simulation.broker import Broker, Place
from tests.simulation.parts import Parts
from tests.simulation.processes import LATE_MS_MAX, Site, arrive_late
from xiezhi.lag import Lags, PartitionLag
from xiezhi.log import LogReader, RawRecord
from xiezhi.settings import Settings

LOOK_INTERVAL_MS = 200


class MachineClock:
    """What a machine's clock shows: virtual time, but for a mistake that may jump both ways."""

    def __init__(self, site: Site) -> None:
        self._timeline = site.timeline
        self.mistake_ms = 0

    def __call__(self) -> int:
        return int(self._timeline.now_ms) + self.mistake_ms


class BrokerLog:
    """What the clock uses of `LogReader`."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker

    def partitions(self, topic: str) -> int:
        return self._broker.partitions

    def read(self, topic: str, partition: int, start: int) -> Iterator[list[RawRecord]]:
        records = self._broker.read(topic, partition, start)
        if records:
            yield list(records)


class BrokerLags:
    """What the watermark uses of `Lags`."""

    def __init__(self, broker: Broker, groups: Mapping[str, Sequence[str]]) -> None:
        self._broker, self._groups = broker, groups

    def read(self) -> tuple[PartitionLag, ...]:
        broker = self._broker
        return tuple(
            PartitionLag(group, topic, p, broker.committed_of(group, topic, p), broker.end(topic, p))
            for group, topics in self._groups.items()
            for topic in topics
            for p in range(broker.partitions)
        )


class ClockDiedError(Exception):
    """The clock was killed in the middle of a broadcast."""


class Delivered:
    """What the clock asks a delivered message."""

    def __init__(self, raw: RawRecord) -> None:
        self._raw = raw

    def key(self) -> bytes | None:
        return self._raw.key

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, self._raw.ingested_ms


class ClockProducer:
    """What the clock uses of a producer; one that dies delivers `lives` records at once, and others late or never."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._sent: list[tuple[Outgoing, Any]] = []
        self.lives: int | None = None

    def produce(self, topic: str, **record: Any) -> None:
        outgoing = Outgoing(topic, record["key"], record["value"], record["headers"], record["partition"])
        self._sent.append((outgoing, record["on_delivery"]))

    def flush(self, timeout_s: float) -> int:
        sent, self._sent = self._sent, []
        reached = len(sent) if self.lives is None else self.lives
        for outgoing, on_delivery in sent[:reached]:
            self._site.timeline.note("clock", "sends", (outgoing.topic, outgoing.partition, outgoing.key))
            on_delivery(None, Delivered(self._site.broker.append(outgoing)))
        if self.lives is not None:
            self._leave_on_the_wire([outgoing for outgoing, _ in sent[reached:]])
            raise ClockDiedError
        return 0

    def _leave_on_the_wire(self, rest: Sequence[Outgoing]) -> None:
        chance, queues = self._site.chance, defaultdict[Place, deque[Outgoing]](deque)
        for outgoing in rest:
            assert outgoing.partition is not None
            queues[outgoing.topic, outgoing.partition].append(outgoing)
        for target, queue in queues.items():
            late = deque(list(queue)[: chance.randint(0, len(queue))])
            if late:
                arrives = partial(arrive_late, self._site, target, late, LATE_MS_MAX)
                self._site.timeline.after(chance.random() * LATE_MS_MAX, arrives)


class BoldWatermark(LowWatermark):
    """Takes what the clock shows for what has passed."""

    def read(self) -> int:
        return self._clock()


class ClockProcess:
    """Looks again and again until the run is over."""

    def __init__(
        self,
        site: Site,
        parts: Parts,
        settings: Settings,
        groups: Mapping[str, Sequence[str]],
        shows: MachineClock,
        earlier_speak: Callable[[], bool] = lambda: False,
    ) -> None:
        self._site, self._parts, self._settings, self._groups = site, parts, settings, groups
        self._shows, self._earlier_speak = shows, earlier_speak
        self._dies = self._has_ended = False
        self.is_silent = False
        self._start()
        self._look_later()

    def kill(self) -> None:
        """At its next look, in the middle of what it sends."""
        self._dies = True

    def calm(self) -> None:
        self._dies = False

    def end(self) -> None:
        """It does not look any more."""
        self._has_ended = True

    def _start(self) -> None:
        self._producer = ClockProducer(self._site)
        log = cast(LogReader, BrokerLog(self._site.broker))
        watermark = self._parts.watermark(
            cast(Lags, BrokerLags(self._site.broker, self._groups)), self._shows
        )
        self._clock = self._parts.clock(
            self._settings,
            log,
            watermark,
            self._producer,
            self._shows,
            earlier_speak=self._earlier_speak,
        )

    def _look_later(self) -> None:
        self._site.timeline.after(LOOK_INTERVAL_MS, self._look, is_background=True)

    def _look(self) -> None:
        if self._has_ended:
            return
        self._look_later()
        if self.is_silent:
            return
        self._producer.lives = self._site.chance.randrange(6) if self._dies else None
        try:
            self._clock.step()
        except ClockDiedError:
            self._site.timeline.note("clock", "is killed")
            self._start()
        self._dies = False


def ticks_of(broker: Broker, fact_topic: str) -> dict[int, int]:
    """Partition -> the largest tick on it; 0 before the first."""
    partitions = range(broker.partitions)
    return {number: max(map(_now_ms, broker.read(fact_topic, number, 0)), default=0) for number in partitions}


def has_taken_over(broker: Broker, fact_topic: str) -> bool:
    """Whether all partitions hold a take-over."""
    logs = (broker.read(fact_topic, number, 0) for number in range(broker.partitions))
    return all(any(raw.key == TAKE_OVER_KEY for raw in log) for log in logs)


def _now_ms(raw: RawRecord) -> int:
    return int(json.loads(raw.value or b"")["now_ms"]) if raw.key == TICK_KEY else 0
