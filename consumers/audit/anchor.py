"""The checkpoints on the bus: said after each publication, and read back when the audit service starts.

Whoever puts back an older copy of the log does not put back the bus with it, so the largest checkpoint found there says
how long the log must be before anything is signed. Only what the log's own key signed counts; foreign records on the
topic are passed over, and old checkpoints that somebody said again hide nothing: all are read that can be larger.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any, Protocol

from confluent_kafka import KafkaException
from pydantic import ValidationError

from consumers.audit.index import EPOCH_PREFIX
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.leaf import RecordLeaf, parse
from xiezhi.audit.note import Verifier
from xiezhi.audit.reader import AuditLogReader
from xiezhi.codec import Codec
from xiezhi.contracts.bus import CHECKPOINT
from xiezhi.contracts.checkpoint import Checkpoint
from xiezhi.envelope import Envelope
from xiezhi.errors import AuditError, BadRecordError, RegistryUnavailableError, UnknownSchemaError
from xiezhi.log import RawRecord

logger = logging.getLogger(__name__)

SOURCE = "urn:xiezhi:audit"
#: No place is responsible for a checkpoint.
JURISDICTION = "000000000000"
#: Records looked at together, from the end of the topic backwards. The last one is nearly always ours.
BLOCK_RECORDS = 500
PARTITION = 0
#: Leaves from the end of a log among which a record is looked for; before the first records there are some of topics.
TAIL_LEAVES = 1_000
#: By how much clocks of brokers may differ, whose times tell where on the topic a checkpoint can be.
CLOCKS_DIFFER_MS = 300_000


class CheckpointLog(Protocol):
    """What is read of Kafka; see `xiezhi.log.LogReader`."""

    def partitions(self, topic: str) -> int: ...
    def range(self, topic: str, partition: int) -> tuple[int, int]: ...
    def offset_at(self, topic: str, partition: int, instant_ms: int) -> int: ...
    def read(
        self, topic: str, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[RawRecord]]: ...


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


def latest_said(
    log: CheckpointLog, codec: Codec, verifier: Verifier, *, since_ms: int
) -> SignedCheckpoint | None:
    """The largest checkpoint of this key that was said since an instant (`signed_after_ms`); None when there is none.

    Reads everything from there to the end and keeps one checkpoint. Raises BrokerUnavailableError, DeliveryError,
    RegistryUnavailableError.
    """
    if not log.partitions(CHECKPOINT.topic):
        return None
    start = log.offset_at(CHECKPOINT.topic, PARTITION, max(0, since_ms - CLOCKS_DIFFER_MS))
    low, high = log.range(CHECKPOINT.topic, PARTITION)
    largest: SignedCheckpoint | None = None
    for chunk in log.read(CHECKPOINT.topic, PARTITION, max(low, start), high):
        for record in chunk:
            largest = _larger(largest, record, codec, verifier)
    return largest


def _larger(
    largest: SignedCheckpoint | None, record: RawRecord, codec: Codec, verifier: Verifier
) -> SignedCheckpoint | None:
    try:
        said = _read(record, codec)
        if largest is not None and said.size <= largest.size:
            return largest  # a signature costs more than the rest
        signed = SignedCheckpoint.open(said.note.encode(), verifier)
    except (AuditError, BadRecordError):
        return largest  # of an earlier log of this site, or of nobody
    return signed if largest is None or signed.size > largest.size else largest


def signed_after_ms(reader: AuditLogReader) -> int:
    """An instant, by the broker's clock, before the log as it is here was signed; 0 when nothing in it tells.

    Its last records had been ingested when they were signed. A larger checkpoint was signed later still, also if this
    log is an old copy: then the instant is as old, and more is read.
    """
    try:
        size = reader.latest().size
        leaves = [
            parse(entry)
            for entry in reader.entries(max(0, size - TAIL_LEAVES), size)
            if not entry.startswith(EPOCH_PREFIX)
        ]
    except AuditError:
        return 0  # whoever opens it for writing says what is wrong with it
    return min((leaf.ingested_ms for leaf in leaves if isinstance(leaf, RecordLeaf)), default=0)


def origins_said(log: CheckpointLog, codec: Codec) -> set[str]:
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


def _blocks_from_the_end(log: CheckpointLog) -> Iterator[list[RawRecord]]:
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
