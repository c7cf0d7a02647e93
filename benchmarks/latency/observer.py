"""Notes when each probe is seen: alerts and relations as any subscriber reads them, decoded, with the time of that."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from schemas import catalogue
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ALERT, RELATION
from xiezhi.errors import XiezhiError
from xiezhi.log import LogReader
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings

#: (record id of the probe, hops) → Unix time in nanoseconds at which its effect was first read.
Sights = dict[tuple[str, int], int]

_CHUNK, _WAIT_S = 500, 0.05
_PROBED = (catalogue.ALLOWANCE.topic, catalogue.OWNERSHIP.topic)


class Observer:
    """Reads what is said from now on, in a thread of its own, until it is closed."""

    def __init__(self, settings: Settings, probes: Collection[str]) -> None:
        self._codec, self._probes = Codec(ConfluentRegistry(settings.registry_url)), probes
        self.seen: Sights = {}
        self._failed: Exception | None = None
        self._stopping = threading.Event()
        self._consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": "benchmark-observer",  # required by the client, never joined or committed to
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )
        with LogReader(settings.bootstrap_servers) as log:
            self._consumer.assign(
                [
                    TopicPartition(topic, number, log.range(topic, number)[1])
                    for topic in (ALERT, RELATION)
                    for number in range(log.partitions(topic))
                ]
            )
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait(self, sights: int, timeout_s: float) -> None:
        """Until so many were seen. Raises XiezhiError after `timeout_s`, and what the thread raised."""
        deadline = time.monotonic() + timeout_s
        while len(self.seen) < sights:
            if self._failed is not None:
                raise self._failed
            if time.monotonic() > deadline:
                raise XiezhiError(
                    f"{len(self.seen)} of {sights} effects of probes were seen in {timeout_s:.0f} s"
                )
            time.sleep(0.1)

    def close(self) -> None:
        self._stopping.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                first = self._consumer.poll(_WAIT_S)
                if first is None:
                    continue
                for message in (first, *self._consumer.consume(_CHUNK, 0)):  # it would wait for a whole chunk
                    if message.error() is not None:
                        raise XiezhiError(f"reading what was said failed: {message.error()}")
                    said = message.value()
                    if said is not None:  # a relation that was withdrawn
                        self._note(message.topic(), self._codec.decode(said))
        except Exception as error:  # noqa: BLE001 -- raised again where it is waited for
            self._failed = error

    def _note(self, topic: str, said: Mapping[str, Any]) -> None:
        now = time.time_ns()
        for sight in effects(topic, said, self._probes):
            self.seen.setdefault(sight, now)


def effects(topic: str, said: Mapping[str, Any], probes: Collection[str]) -> Iterator[tuple[str, int]]:
    """(probe, hops) of every probe that a statement rests on: an alert after one hop, a relation after its depth."""
    hops = 1 if topic == ALERT else int(said["depth"])
    for evidence in said["evidence"]:
        if evidence["topic"] in _PROBED and evidence["record_id"] in probes:
            yield evidence["record_id"], hops
