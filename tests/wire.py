"""Kafka records as a stranger's client sends them: any bytes to any partition, nothing checked on the way."""

from __future__ import annotations

import asyncio
import itertools
import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c
from confluent_kafka import Producer

from tests.load import JURISDICTION
from xiezhi.codec import Codec
from xiezhi.contracts.base import Contract
from xiezhi.dead_letters import MESSAGE_BYTES_MAX
from xiezhi.envelope import Envelope
from xiezhi.log import RawRecord
from xiezhi.partitioner import partition_of
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings

SOURCE = "urn:xiezhi:synthetic:stranger"
DELIVERY_S = 30.0

Headers = Sequence[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class Wire:
    """One record before it is sent."""

    topic: str
    partition: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @classmethod
    def of(cls, raw: RawRecord) -> Wire:
        """The same record once more."""
        return cls(raw.topic, raw.partition, raw.key, raw.value, raw.headers)


class Stranger:
    """Sends wires; for good ones it knows the contracts."""

    def __init__(self, settings: Settings) -> None:
        self.codec = Codec(ConfluentRegistry(settings.registry_url))
        self._partitions = settings.partitions  # of every department's topic
        self._producer = Producer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "enable.idempotence": True,  # so that a partition holds them in the order given
                "message.max.bytes": MESSAGE_BYTES_MAX,
            },
            logger=logging.getLogger(__name__),
        )

    def good(
        self,
        contract: Contract,
        record_id: str,
        fields: dict[str, Any],
        *,
        occurred_ms: int,
        version: int = 0,
    ) -> Wire:
        """What a publisher would send, and where it would."""
        value = contract.model(record_id=record_id, **fields).model_dump()
        envelope = Envelope.create(
            source=SOURCE,
            type=contract.topic,
            subject=record_id,
            occurred_ms=occurred_ms,
            version=version,
            jurisdiction=JURISDICTION,
        )
        encoded = self.codec.encode(contract.subject, value)
        key = record_id.encode()
        partition = partition_of(key, self._partitions)
        return Wire(contract.topic, partition, key, encoded, envelope.to_headers())

    def named(self, name: str, partition: int) -> str:
        """A record id that begins like this and belongs into this partition."""
        ids = (f"{name}-{number}" for number in itertools.count())
        return next(one for one in ids if partition_of(one.encode(), self._partitions) == partition)

    def send(self, wires: Sequence[Wire]) -> list[str]:
        """The address of each, topic/partition/offset; all are on the broker when this returns."""
        places: dict[int, str] = {}
        for number, wire in enumerate(wires):

            def delivered(error: Any, message: Any, number: int = number) -> None:
                assert error is None, error
                places[number] = f"{message.topic()}/{message.partition()}/{message.offset()}"

            self._producer.produce(
                wire.topic,
                partition=wire.partition,
                key=wire.key,
                value=wire.value,
                headers=list(wire.headers),
                on_delivery=delivered,
            )
        assert self._producer.flush(DELIVERY_S) == 0
        return [places[number] for number in range(len(wires))]


def send_with_header_name(settings: Settings, wire: Wire, name: bytes) -> str:
    """Send a wire with one header more whose name is these bytes, and return its address.

    No client of Python's does that; one of C's does. So the bytes are put into the finished batch.
    """
    return asyncio.run(_send_with_header_name(settings, wire, name))


async def _send_with_header_name(settings: Settings, wire: Wire, name: bytes) -> str:
    async with AIOKafkaProducer(bootstrap_servers=settings.bootstrap_servers) as producer:
        batch = producer.create_batch()
        placeholder = "x" * len(name)
        batch._builder = _Renaming(batch._builder, placeholder.encode(), name)
        batch.append(
            key=wire.key, value=wire.value, timestamp=None, headers=[*wire.headers, (placeholder, b"")]
        )
        batch.close()
        sent = await producer.send_batch(batch, wire.topic, partition=wire.partition)
        delivered = await asyncio.wait_for(sent, DELIVERY_S)
    return f"{wire.topic}/{wire.partition}/{delivered.offset}"


class _Renaming:
    """Builds a batch and replaces the last name in it; mends the checksum (CRC-32C from byte 21 on)."""

    def __init__(self, builder: Any, old: bytes, new: bytes) -> None:
        self._builder, self._old, self._new = builder, old, new

    def __getattr__(self, name: str) -> Any:
        return getattr(self._builder, name)

    def build(self) -> bytearray:
        built = bytearray(self._builder.build())
        at = built.rindex(self._old)
        built[at : at + len(self._old)] = self._new
        struct.pack_into(">I", built, 17, calc_crc32c(bytes(built[21:])))
        return built
