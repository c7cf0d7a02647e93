"""The checkpoints on the bus: said after each publication, and read back when the audit service starts.

Whoever puts back an older copy of the log does not put back the bus with it, so the largest checkpoint found there says
how long the log must be before anything is signed. Only what the log's own key signed counts; foreign records on the
topic are passed over.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from confluent_kafka import KafkaException
from pydantic import ValidationError

from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.note import Verifier
from xiezhi.codec import Codec
from xiezhi.contracts.bus import CHECKPOINT
from xiezhi.contracts.checkpoint import Checkpoint
from xiezhi.envelope import Envelope
from xiezhi.errors import AuditError, BadRecordError, RegistryUnavailableError, UnknownSchemaError
from xiezhi.log import LogReader, RawRecord

logger = logging.getLogger(__name__)

SOURCE = "urn:xiezhi:audit"
#: No place is responsible for a checkpoint.
JURISDICTION = "000000000000"
#: Records looked at together, from the end of the topic backwards. The last one is nearly always ours.
BLOCK_RECORDS = 500
PARTITION = 0


class Announcer:
    """Says checkpoints on the bus. The log does not wait for it: what could not be said is said with the next one."""

    def __init__(self, producer: Any, codec: Codec) -> None:
        self._producer, self._codec = producer, codec
        self._said = -1  # leaves under the largest checkpoint that the broker has

    def say(self, signed: SignedCheckpoint, signed_ms: int) -> None:
        """Hand a checkpoint to the client. Never blocks for long and never raises for a bus that is away."""

        def delivered(error: Any, _message: Any) -> None:
            if error is None:
                self._said = max(self._said, signed.size)
            else:
                logger.warning("the checkpoint over %d leaves is not on the bus: %s", signed.size, error)

        if signed.size <= self._said:
            return
        try:
            self._send(signed, signed_ms, delivered)
        except (KafkaException, BufferError, RegistryUnavailableError) as error:
            delivered(error, None)

    def serve(self) -> None:
        """Take delivery reports."""
        self._producer.poll(0)

    def finish(self, timeout_s: float) -> None:
        """Wait until the broker has what was said."""
        self._producer.flush(timeout_s)

    def _send(self, signed: SignedCheckpoint, signed_ms: int, delivered: Any) -> None:
        record_id = f"{signed.origin}@{signed.size}"
        value = {
            "record_id": record_id,
            "origin": signed.origin,
            "size": signed.size,
            "root": signed.root.hex(),
            "note": signed.note.decode(),
            "signed_ms": signed_ms,
        }
        envelope = Envelope.create(
            source=SOURCE,
            type=CHECKPOINT.topic,
            subject=record_id,
            occurred_ms=signed_ms,
            version=signed.size,
            jurisdiction=JURISDICTION,
        )
        self._producer.produce(
            CHECKPOINT.topic,
            partition=PARTITION,
            key=record_id.encode(),
            value=self._codec.encode(CHECKPOINT.subject, value),
            headers=envelope.to_headers(),
            on_delivery=delivered,
        )


def latest_said(log: LogReader, codec: Codec, verifier: Verifier) -> SignedCheckpoint | None:
    """The largest checkpoint of this key in the last block of the topic that has any; None when there is none.

    A log says its checkpoints in order, so none before is larger. Raises BrokerUnavailableError, DeliveryError,
    RegistryUnavailableError.
    """
    found: list[SignedCheckpoint] = []
    for block in _blocks_from_the_end(log):
        for record in block:
            try:
                found.append(SignedCheckpoint.open(_read(record, codec).note.encode(), verifier))
            except (AuditError, BadRecordError):
                continue  # of an earlier log of this site, or of nobody
        if found:
            return max(found, key=lambda signed: signed.size)
    return None


def origins_said(log: LogReader, codec: Codec) -> set[str]:
    """Names of logs that have checkpoints in the last block of the topic, none of them verified."""
    for block in _blocks_from_the_end(log):
        names = set()
        for record in block:
            try:
                names.add(_read(record, codec).origin)
            except BadRecordError:
                continue
        if names:
            return names
    return set()


def _blocks_from_the_end(log: LogReader) -> Iterator[list[RawRecord]]:
    low, high = log.range(CHECKPOINT.topic, PARTITION) if log.partitions(CHECKPOINT.topic) else (0, 0)
    while high > low:
        start = max(low, high - BLOCK_RECORDS)
        yield [record for chunk in log.read(CHECKPOINT.topic, PARTITION, start, high) for record in chunk]
        high = start


def _read(record: RawRecord, codec: Codec) -> Checkpoint:
    try:
        return Checkpoint.model_validate(codec.decode_as(record.topic, record.value or b""), extra="ignore")
    except (UnknownSchemaError, ValidationError) as error:
        raise BadRecordError("no_checkpoint", f"offset {record.offset} is no checkpoint") from error
