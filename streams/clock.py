"""The clock: puts time and rule activations into the log, on every fact partition.

Ticks are the only `now` a judge knows, so that a replay sees the same one. A tick does not say what a wall clock shows
but a low watermark: the instant up to which everything that was ingested has been routed and judged, and every relation
that came of it, too. So a settle time or a deadline never runs out while the record that would excuse somebody is still
on its way through the bus.

Activations are copied from their own topic, with their offset there, so that repeats and a second clock change nothing.
On start the last activation of every rule is sent again.

The clock of a generation beyond the first also tells its judges that they may speak, once nobody of an earlier one does
and everything said and published until then is filed in this one.
"""

from __future__ import annotations

import json
import logging
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Producer

from schemas.catalogue import CONTRACTS
from streams.facts import ACTIVATION_KEY, SEQUENCE_HEADER, TAKE_OVER_KEY, TICK_AHEAD_MAX_MS, TICK_KEY
from xiezhi.contracts.naming import ACTIVATION, RELATION, fact_topic
from xiezhi.errors import BrokerUnavailableError, ClockAheadError, DeliveryError
from xiezhi.groups import JUDGE, ROUTER, inputs_of_groups, of_generation
from xiezhi.ingestion import Ingestion
from xiezhi.lag import Lags
from xiezhi.log import LogReader, RawRecord
from xiezhi.service import producer_options, stop_signals
from xiezhi.settings import Settings
from xiezhi.telemetry import catalogue
from xiezhi.telemetry.meters import Meters
from xiezhi.wall_clock import now_ms

logger = logging.getLogger(__name__)

#: How soon an activation is broadcast after it was published.
LOOK_INTERVAL_S = 0.5
FLUSH_TIMEOUT_S = 60.0
#: The longest chain of relations that rest on one another, as the joins allow: six of control, one to the bid, one for
#: the violation. A tick must not be ahead of the last of them.
RELATION_HOPS_MAX = 8


Place = tuple[str, str, int]  # group, topic, partition


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """Where every partition ended when it was taken."""

    taken_ms: int
    ends: Mapping[Place, int]

    @property
    def relations(self) -> Mapping[Place, int]:
        return {place: end for place, end in self.ends.items() if place[1] == RELATION}


class LowWatermark:
    """The instant up to which everything ingested has passed the groups that `lags` watches, with all that came of it.

    A snapshot of all ends is reached once every group has committed up to it; then a new one is taken. What was
    ingested before a snapshot is routed when it is reached, and judged when the next one is. If no relation was said
    from the one until then, nothing came of it that is still on its way. While relations keep being said, it is as many
    snapshots as the longest chain of relations takes, two for each. `clock` and the brokers are taken to agree on time
    to within the shortest settle time in use.
    """

    def __init__(self, lags: Lags, clock: Callable[[], int]) -> None:
        self._lags, self._clock = lags, clock
        self._snapshots: deque[_Snapshot] = deque(maxlen=2 * RELATION_HOPS_MAX + 3)
        self._passed_ms = 0

    def read(self) -> int:
        """Look once; milliseconds since 1970 UTC, 0 before the first instant has passed."""
        looked_ms = self._clock()
        now = {(one.group, one.topic, one.partition): one for one in self._lags.read()}
        before = self._snapshots[-1].ends if self._snapshots else {}
        if all(place in now and now[place].committed >= end for place, end in before.items()):
            self._snapshots.append(_Snapshot(looked_ms, {place: one.end for place, one in now.items()}))
            self._passed_ms = max(self._passed_ms, self._newly_passed_ms())
        return self._passed_ms

    def _newly_passed_ms(self) -> int:
        taken = self._snapshots
        if len(taken) >= 3 and taken[-3].relations == taken[-1].relations:
            return taken[-3].taken_ms
        return taken[0].taken_ms if len(taken) == taken.maxlen else 0


class Clock:
    """Broadcasts to all partitions of the live fact topic. `clock` gives milliseconds since 1970 UTC."""

    def __init__(
        self,
        settings: Settings,
        log: LogReader,
        watermark: LowWatermark,
        producer: Any,
        clock: Callable[[], int],
        meters: Meters | None = None,
        earlier_speak: Callable[[], bool] = lambda: False,
    ) -> None:
        """`earlier_speak`: whether anybody still works for an earlier generation."""
        self._earlier_speak = earlier_speak
        self._waits_to_take_over = settings.generation > 1
        self._silent_since_ms: int | None = None  # when the last of the earlier ones had gone
        self._log, self._watermark, self._producer, self._clock = log, watermark, producer, clock
        self._meters = meters or Meters()
        self.said_ms = 0  # the watermark of the last tick
        self._topic = fact_topic(settings.generation)
        self._interval_ms = int(settings.tick_interval_s * 1000)
        self._next_activation = 0
        self._next_tick_ms = 0
        self._failed: list[str] = []
        self._ahead_ms = 0  # how far a tick was ahead of the broker's clock

    def step(self) -> None:
        """Broadcast what is due: new activations, then a tick. Raises DeliveryError; nothing half-sent is forgotten.

        Raises ClockAheadError once judges refuse its ticks. What it takes for passed only grows, so it must start over.
        """
        latest: dict[bytes, RawRecord] = {}
        next_activation = self._next_activation
        for chunk in self._log.read(ACTIVATION, 0, next_activation):
            for raw in chunk:
                latest[raw.key or b""] = raw
                next_activation = raw.offset + 1
        for raw in sorted(latest.values(), key=lambda one: one.offset):
            if raw.value is not None:
                sequence = [(SEQUENCE_HEADER, b"%d" % raw.offset)]
                self._broadcast(ACTIVATION_KEY, raw.value, sequence)
        self._next_activation = (
            next_activation  # not before: a broker that is away in between makes us start over
        )
        now, passed_ms = self._clock(), self._watermark.read()
        if now >= self._next_tick_ms:
            self._tick(passed_ms)
            self._next_tick_ms = now - now % self._interval_ms + self._interval_ms
        self._deliver()
        if self._may_take_over(now, passed_ms):
            # A tick first: without a present nothing has settled, and all that waited would be withdrawn.
            self._tick(passed_ms)
            self._deliver()  # one that judges refuse ends it here
            self._broadcast(TAKE_OVER_KEY, b"{}", [])
            self._deliver()
            self._waits_to_take_over = False
            logger.info("told the judges of %s that they may speak", self._topic)

    def _tick(self, passed_ms: int) -> None:
        self.said_ms = passed_ms
        self._broadcast(TICK_KEY, json.dumps({"now_ms": self.said_ms}).encode(), [])
        self._meters.count(catalogue.TICKS, 1)

    def _may_take_over(self, now_ms: int, passed_ms: int) -> bool:
        """Once everything is filed that was ingested until the earlier generations had gone. Repeats change nothing."""
        if not self._waits_to_take_over:
            return False
        if self._earlier_speak():
            self._silent_since_ms = None
        elif self._silent_since_ms is None:
            self._silent_since_ms = now_ms
        return self._silent_since_ms is not None and passed_ms > self._silent_since_ms

    def _broadcast(self, key: bytes, value: bytes, headers: list[tuple[str, bytes]]) -> None:
        for partition in range(self._log.partitions(self._topic)):
            self._producer.produce(
                self._topic,
                key=key,
                value=value,
                headers=headers,
                partition=partition,
                on_delivery=self._delivered,
            )

    def _delivered(self, error: Any, message: Any) -> None:
        if error is not None:
            self._failed.append(str(error))
        elif message.key() == TICK_KEY:
            _, appended_ms = message.timestamp()
            self._ahead_ms = max(self._ahead_ms, self.said_ms - appended_ms)

    def _deliver(self) -> None:
        if self._producer.flush(FLUSH_TIMEOUT_S) or self._failed:
            raise DeliveryError(
                f"the clock could not reach every fact partition: {self._failed or 'timeout'}"
            )
        if self._ahead_ms > TICK_AHEAD_MAX_MS:
            raise ClockAheadError(
                f"this machine's clock is {self._ahead_ms // 1000} s ahead of the broker's, and judges refuse its "
                "ticks; set the time on both (NTP). Until then nothing settles"
            )


def passed_by(settings: Settings) -> dict[str, list[str]]:
    """The groups that a record passes before an answer takes it into account, and what each reads."""
    inputs = inputs_of_groups((contract.topic for contract in CONTRACTS), settings.generation)
    groups = (of_generation(group, settings.generation) for group in (ROUTER, JUDGE))
    return {group: list(inputs[group]) for group in groups}


def earlier_groups(generation: int) -> list[str]:
    """The groups of routers and judges of all generations before this one."""
    return [of_generation(group, number) for number in range(1, generation) for group in (ROUTER, JUDGE)]


def run(settings: Settings, meters: Meters) -> None:
    """Tick until TERM or Ctrl-C."""
    stop = stop_signals()
    with LogReader(settings.bootstrap_servers) as log:
        watermark = LowWatermark(Lags(settings.bootstrap_servers, passed_by(settings)), now_ms)
        ingestion, earlier = Ingestion(settings.bootstrap_servers), earlier_groups(settings.generation)

        def earlier_speak() -> bool:
            return any(ingestion.members(earlier).values())

        producer = Producer(producer_options(settings, name="clock"))
        clock = Clock(settings, log, watermark, producer, now_ms, meters, earlier_speak)
        meters.read(catalogue.WATERMARK, lambda: [(clock.said_ms / 1000, ())] if clock.said_ms else [])
        logger.info("ticking every %s s", settings.tick_interval_s)
        while not stop.wait(LOOK_INTERVAL_S):
            try:
                clock.step()
            except BrokerUnavailableError as error:
                logger.warning("no tick: %s", error)
