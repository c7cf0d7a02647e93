"""Batches in flight: sent, counted as their deliveries are reported, finished in the order they were submitted.

A batch is committed to its store and acknowledged only after every record it gave rise to is on the broker. Several
batches may be under way, so that the event loop never waits for a flush; how many is bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

from xiezhi.errors import DeliveryError

#: More batches under way than this would only move the queue from the broker into memory.
BATCHES_IN_FLIGHT_MAX = 16
#: How often deliveries are collected while batches are under way; latency against CPU.
POLL_INTERVAL_S = 0.002
#: The client's own word for it (RD_KAFKA_PARTITION_UA): the key chooses.
_ANY_PARTITION = -1
#: How often the client is served while nothing is under way.
IDLE_INTERVAL_S = 0.1


class Outgoing(NamedTuple):
    """One record to send; `partition` None leaves the choice to the key (murmur2)."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[Any]
    partition: int | None = None


class Producer(Protocol):
    """What is used of `confluent_kafka.Producer`."""

    def produce(self, topic: str, **record: Any) -> None: ...
    def poll(self, timeout: float) -> int: ...


class Batch:
    """Deliveries that one input batch waits for. `delivered` is handed to the client as delivery callback."""

    __slots__ = ("error", "finish", "waiting")

    def __init__(self, finish: Callable[[], None]) -> None:
        self.finish = finish
        self.waiting = 0
        self.error: str | None = None

    def delivered(self, error: Any, message: Any) -> None:
        self.waiting -= 1
        if error is not None:
            self.error = f"{message.topic()}/{message.partition()}: {error}"


class Pipeline:
    """The batches of one process that are under way. All calls come from the event loop's thread."""

    def __init__(self, producer: Producer, waited: Callable[[float], None] = lambda _: None) -> None:
        """`waited` is told the seconds for which the client had no room."""
        self._producer, self._waited = producer, waited
        self._batches: deque[Batch] = deque()
        self._submitted = asyncio.Event()

    @property
    def batches(self) -> int:
        """How many are under way."""
        return len(self._batches)

    async def send(self, batch: Batch, records: Iterable[Outgoing]) -> None:
        """Hand records to the client for `batch`; waits only while the client's queue is full."""
        produce = self._producer.produce
        for topic, key, value, headers, partition in records:
            to = _ANY_PARTITION if partition is None else partition
            while True:
                try:
                    produce(
                        topic,
                        key=key,
                        value=value,
                        headers=headers,
                        partition=to,
                        on_delivery=batch.delivered,
                    )
                    break
                except BufferError:
                    self._producer.poll(0)
                    await asyncio.sleep(POLL_INTERVAL_S)
                    self._waited(POLL_INTERVAL_S)
            batch.waiting += 1

    async def submit(self, batch: Batch) -> None:
        """Let `batch` finish once all before it have and its deliveries are in; waits while too many are under way."""
        self._batches.append(batch)
        self._submitted.set()
        while len(self._batches) > BATCHES_IN_FLIGHT_MAX:
            await asyncio.sleep(POLL_INTERVAL_S)

    async def run(self) -> None:
        """Serve the client and finish batches, forever. Raises DeliveryError when a record was not accepted."""
        while True:
            self._producer.poll(0)
            while self._batches and self._batches[0].waiting == 0:
                batch = self._batches.popleft()
                if batch.error is not None:
                    raise DeliveryError(f"a record was not delivered: {batch.error}")
                batch.finish()
            if self._batches:
                await asyncio.sleep(POLL_INTERVAL_S)
            else:
                self._submitted.clear()
                await _wait(self._submitted, IDLE_INTERVAL_S)


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        return
