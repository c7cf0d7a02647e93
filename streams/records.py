"""From raw Kafka records to statements: the one guard that router, judge and oracle share.

Whatever breaks its contract raises BadRecordError with a stable reason; a registry that cannot be reached raises
RegistryUnavailableError, which is nobody's bad record.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from streams.kernel import Selector, Source, Statement, Value
from xiezhi.contracts.naming import RELATION
from xiezhi.envelope import Envelope
from xiezhi.errors import BadRecordError, UnknownSchemaError
from xiezhi.log import RawRecord
from xiezhi.partitioner import partition_of

Decode = Callable[[str, bytes], Value]

#: Longest join key in bytes, ample for two identifiers. A key names a view, is part of every row under it and of
#: every fact; one of megabytes, out of a single hostile record, could not be stored and would stop its partition.
KEY_BYTES_MAX = 4_000
#: Longest text in a record, ample for every contract. An alert quotes texts, of several records and in two languages:
#: without a bound one made of what no publisher of ours would send fits into no message and stops its partition.
TEXT_BYTES_MAX = 4_000
_CONTROL_OR_BAR = bytes(range(32)) + b"|"
#: What the envelope of a relation or alert says when the records behind it name no jurisdiction.
JURISDICTION_UNKNOWN = "000000000000"


def source_of(raw: RawRecord) -> Source:
    """The address of a raw record."""
    return Source(raw.topic, raw.partition, raw.offset, raw.ingested_ms)


@dataclass(frozen=True, slots=True)
class Guard:
    """Admits records: envelope, key, partition, time and value must agree with the contract of the topic.

    `partitions` is the number of partitions by topic, of every topic that is read here but relations: those stand where
    the facts that caused them do.
    """

    decode: Decode
    future_tolerance_ms: int
    partitions: Mapping[str, int]

    def admit(self, raw: RawRecord) -> Statement | Withdrawal:
        """The statement or withdrawal that `raw` carries; raises BadRecordError."""
        envelope = self._envelope(raw)
        if raw.value is None:
            return Withdrawal(
                raw.topic,
                envelope.subject,
                envelope.version,
                envelope.occurred_ms,
                envelope.event_id,
                source_of(raw),
            )
        try:
            value = self.decode(raw.topic, raw.value)
        except UnknownSchemaError as error:
            raise BadRecordError("unknown_schema", str(error)) from error
        if len(raw.value) > TEXT_BYTES_MAX and _has_long_text(value):
            raise BadRecordError("oversized_text", f"a text of more than {TEXT_BYTES_MAX} bytes")
        if value.get("record_id") != envelope.subject:
            raise BadRecordError("wrong_key", "the record_id in the value is not the key")
        return Statement(
            record_type=raw.topic,
            record_id=envelope.subject,
            version=envelope.version,
            occurred_ms=envelope.occurred_ms,
            event_id=envelope.event_id,
            digest=digest(raw.value),
            value=value,
            source=source_of(raw),
            jurisdiction=envelope.jurisdiction,
            traceparent=envelope.traceparent,
        )

    def _envelope(self, raw: RawRecord) -> Envelope:
        if raw.key is None:
            raise BadRecordError("null_key", "a record needs its record_id as key")
        envelope = Envelope.from_headers(raw.headers)
        if envelope.type != raw.topic:
            raise BadRecordError("wrong_type", f"ce_type {envelope.type!r} on topic {raw.topic!r}")
        if envelope.subject.encode() != raw.key:
            raise BadRecordError("wrong_key", "the key is not the record_id in ce_subject")
        if raw.topic != RELATION:
            self._is_in_place(raw.key, raw)
        if envelope.occurred_ms > raw.ingested_ms + self.future_tolerance_ms:
            ahead_s = (envelope.occurred_ms - raw.ingested_ms) // 1000
            raise BadRecordError(
                "time_ahead", f"ce_time is {ahead_s} s after ingestion; check the sender's clock"
            )
        return envelope

    def _is_in_place(self, key: bytes, raw: RawRecord) -> None:
        """All versions of a record must meet in one partition, or none could take back what another caused."""
        partitions = self.partitions[raw.topic]
        place = partition_of(key, partitions)
        if place != raw.partition:
            raise BadRecordError(
                "wrong_partition",
                f"murmur2 of the key says partition {place} of {partitions}; mend the sender's partitioner",
            )


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """A department takes a record back: the record is gone, as of this version."""

    record_type: str
    record_id: str
    version: int
    occurred_ms: int
    event_id: str
    source: Source

    @property
    def digest(self) -> str:
        return EMPTY_DIGEST

    @property
    def rank(self) -> tuple[int, int, str, str]:
        return (self.version, self.occurred_ms, self.event_id, EMPTY_DIGEST)


def filing_keys(select: Selector, statement: Statement) -> list[str]:
    """Keys under which `select` files a statement.

    Raises BadRecordError when one of them cannot name a view: then the version counts as never published. Not so for
    a relation, which takes the place of what the judge said before: it is filed under those of its keys that can.
    """
    keys = list(select(statement.value))
    if all(map(_names_a_view, keys)):
        return keys
    if statement.record_type != RELATION:
        raise BadRecordError(
            "wrong_key", "a join key must have 1 to 4000 bytes without control characters and |"
        )
    return [key for key in keys if _names_a_view(key)]


def _names_a_view(key: str) -> bool:
    raw = key.encode()
    return 0 < len(raw) <= KEY_BYTES_MAX and len(raw.translate(None, _CONTROL_OR_BAR)) == len(raw)


def _has_long_text(value: object) -> bool:
    if isinstance(value, str):
        return len(value.encode()) > TEXT_BYTES_MAX
    if isinstance(value, dict):
        return any(map(_has_long_text, value)) or any(map(_has_long_text, value.values()))
    return isinstance(value, list) and any(map(_has_long_text, value))


def digest(value: bytes) -> str:
    """SHA-256, hex."""
    return hashlib.sha256(value).hexdigest()


EMPTY_DIGEST = digest(b"")
