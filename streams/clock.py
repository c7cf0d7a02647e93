"""The clock: puts time and rule activations into the log, on every fact partition.

Ticks are the only `now` a judge knows, so that a replay sees the same one. Activations are copied from their own topic,
with their offset there, so that repeats and a second clock change nothing. On start the last activation of every rule
is sent again.
"""

from __future__ import annotations

import json
import logging
import signal
import threading
from collections.abc import Callable
from typing import Any

from confluent_kafka import Producer

from streams.facts import ACTIVATION_KEY, SEQUENCE_HEADER, TICK_KEY
from streams.stage import now_ms, producer_options
from xiezhi.contracts.naming import ACTIVATION, fact_topic
from xiezhi.errors import DeliveryError
from xiezhi.log import LogReader, RawRecord
from xiezhi.settings import Settings

logger = logging.getLogger(__name__)

#: How soon an activation is broadcast after it was published.
LOOK_INTERVAL_S = 0.5
FLUSH_TIMEOUT_S = 60.0


class Clock:
    """Broadcasts to all partitions of the live fact topic. `clock` gives milliseconds since 1970 UTC."""

    def __init__(self, settings: Settings, log: LogReader, producer: Any, clock: Callable[[], int]) -> None:
        self._log, self._producer, self._clock = log, producer, clock
        self._topic = fact_topic(settings.generation)
        self._interval_ms = int(settings.tick_interval_s * 1000)
        self._next_activation = 0
        self._next_tick_ms = 0
        self._failed: list[str] = []

    def step(self) -> None:
        """Broadcast what is due: new activations, then a tick. Raises DeliveryError; nothing half-sent is forgotten."""
        latest: dict[bytes, RawRecord] = {}
        for chunk in self._log.read(ACTIVATION, 0, self._next_activation):
            for raw in chunk:
                latest[raw.key or b""] = raw
                self._next_activation = raw.offset + 1
        for raw in sorted(latest.values(), key=lambda one: one.offset):
            if raw.value is not None:
                sequence = [(SEQUENCE_HEADER, b"%d" % raw.offset)]
                self._broadcast(ACTIVATION_KEY, raw.value, sequence)
        now = self._clock()
        if now >= self._next_tick_ms:
            self._broadcast(TICK_KEY, json.dumps({"now_ms": now}).encode(), [])
            self._next_tick_ms = now - now % self._interval_ms + self._interval_ms
        self._deliver()

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

    def _deliver(self) -> None:
        if self._producer.flush(FLUSH_TIMEOUT_S) or self._failed:
            raise DeliveryError(
                f"the clock could not reach every fact partition: {self._failed or 'timeout'}"
            )


def run(settings: Settings) -> None:
    """Tick until TERM or Ctrl-C."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with LogReader(settings.bootstrap_servers) as log:
        clock = Clock(settings, log, Producer(producer_options(settings)), now_ms)
        logger.info("ticking every %s s", settings.tick_interval_s)
        while not stop.wait(LOOK_INTERVAL_S):
            clock.step()
