"""The leaf: what the audit log keeps of one Kafka record, as text that an expert can make again by hand.

    xiezhi-leaf/v1
    kind record
    topic finance.payment.v1
    partition 0
    offset 12
    ingested 1776664993000
    key 5f3c…               the commitment to the bytes, or the word null
    value 91ab…
    headers 07de…

Every line ends with one LF. A commitment is SHA-256(field salt ‖ SHA-256(bytes)) in lower-case hexadecimal, where the
field salt is SHA-256(leaf salt ‖ name of the line in ASCII). So the text tells nothing about the record to whoever
lacks the leaf salt, and one field can be opened without opening the others. Two other kinds say what is known of the
topics themselves: `topic` (from here on this topic of this cluster is audited), `gap` (these offsets were never seen).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal, TypeAlias

from xiezhi.errors import AuditError
from xiezhi.log import Headers, RawRecord

SALT_BYTES = 16
#: An entry of the log may have 65,535 bytes; a leaf of the longest topic name stays far below this.
LEAF_BYTES_MAX = 1_024
_VERSION = b"xiezhi-leaf/v1\n"
NULL = "null"

#: Why offsets have no leaf.
GapReason: TypeAlias = Literal[
    "cut",  # the broker no longer has the records: retention, or records deleted by hand
    "hole",  # the broker has later records, but none at these offsets: markers of a transaction
]


@dataclass(frozen=True, slots=True)
class RecordLeaf:
    """One record of an audited topic. Commitments are 64 hexadecimal digits, or `null` for a null key or value."""

    topic: str
    partition: int
    offset: int
    ingested_ms: int
    key: str
    value: str
    headers: str

    def to_bytes(self) -> bytes:
        return (
            f"xiezhi-leaf/v1\nkind record\ntopic {self.topic}\npartition {self.partition}\noffset {self.offset}\n"
            f"ingested {self.ingested_ms}\nkey {self.key}\nvalue {self.value}\nheaders {self.headers}\n"
        ).encode()


@dataclass(frozen=True, slots=True)
class TopicLeaf:
    """From here on this topic is audited; another one of the same name, or of another cluster, is not this one."""

    topic: str
    cluster: str
    topic_id: str
    noticed_ms: int

    def to_bytes(self) -> bytes:
        return (
            f"xiezhi-leaf/v1\nkind topic\ntopic {self.topic}\ncluster {self.cluster}\ntopic_id {self.topic_id}\n"
            f"noticed {self.noticed_ms}\n"
        ).encode()


@dataclass(frozen=True, slots=True)
class GapLeaf:
    """The offsets from `offset` up to `until` (exclusive) of a partition have no leaf."""

    topic: str
    partition: int
    offset: int
    until: int
    reason: GapReason
    noticed_ms: int

    def to_bytes(self) -> bytes:
        return (
            f"xiezhi-leaf/v1\nkind gap\ntopic {self.topic}\npartition {self.partition}\noffset {self.offset}\n"
            f"until {self.until}\nreason {self.reason}\nnoticed {self.noticed_ms}\n"
        ).encode()


Leaf: TypeAlias = RecordLeaf | TopicLeaf | GapLeaf


def record_leaf(record: RawRecord, salt: bytes) -> RecordLeaf:
    """The leaf of a record under a salt of its own."""
    return RecordLeaf(
        record.topic,
        record.partition,
        record.offset,
        record.ingested_ms,
        NULL if record.key is None else commitment(record.key, salt, b"key"),
        NULL if record.value is None else commitment(record.value, salt, b"value"),
        commitment(header_bytes(record.headers), salt, b"headers"),
    )


def field_salt(salt: bytes, field: bytes) -> bytes:
    """What opens one field of a leaf and no other: 32 bytes."""
    return sha256(salt + field).digest()


def commitment(content: bytes, salt: bytes, field: bytes) -> str:
    """The line of `field` for these bytes."""
    return sha256(sha256(salt + field).digest() + sha256(content).digest()).hexdigest()


def header_bytes(headers: Headers) -> bytes:
    """The bytes of a record's headers: in their order, repeats kept, each a name and a value.

    Both are netstrings (`<length>:<bytes>,`); a null value is `-,`, which no netstring is.
    """
    parts = []
    for name, value in headers:
        raw = name.encode()
        parts.append(
            b"%d:%b,%d:%b," % (len(raw), raw, len(value), value)
            if value is not None
            else b"%d:%b,-," % (len(raw), raw)
        )
    return b"".join(parts)


_HASH = r"[0-9a-f]{64}"
_COUNT = r"(?:0|[1-9][0-9]{0,18})"
_TOPIC = r"topic ([a-z][a-z0-9.-]{0,248})\n"
_PLACE = rf"{_TOPIC}partition ({_COUNT})\noffset ({_COUNT})\n"
_RECORD = re.compile(
    rf"kind record\n{_PLACE}ingested (-?{_COUNT})\nkey ({_HASH}|null)\nvalue ({_HASH}|null)\nheaders ({_HASH})\n"
)
_TOPIC_LEAF = re.compile(
    rf"kind topic\n{_TOPIC}cluster ([A-Za-z0-9_-]{{1,64}})\ntopic_id ([A-Za-z0-9+/=_-]{{1,64}})\nnoticed ({_COUNT})\n"
)
_GAP = re.compile(rf"kind gap\n{_PLACE}until ({_COUNT})\nreason (cut|hole)\nnoticed ({_COUNT})\n")


def parse(entry: bytes) -> Leaf:
    """The leaf in an entry of the log. Raises AuditError unless these are the bytes that `to_bytes` gives."""
    if len(entry) > LEAF_BYTES_MAX or not entry.startswith(_VERSION):
        raise AuditError(f"an entry of {len(entry)} bytes is no leaf of this version: {entry[:40]!r}")
    text = entry[len(_VERSION) :].decode("ascii", "replace")
    if match := _RECORD.fullmatch(text):
        topic, partition, offset, ingested, *commitments = match.groups()
        leaf: Leaf = RecordLeaf(topic, int(partition), int(offset), int(ingested), *commitments)
    elif match := _GAP.fullmatch(text):
        topic, partition, offset, until, reason, noticed = match.groups()
        leaf = GapLeaf(
            topic, int(partition), int(offset), int(until), "cut" if reason == "cut" else "hole", int(noticed)
        )
    elif match := _TOPIC_LEAF.fullmatch(text):
        topic, cluster, topic_id, noticed = match.groups()
        leaf = TopicLeaf(topic, cluster, topic_id, int(noticed))
    else:
        raise AuditError(f"an entry is no leaf: {entry[:80]!r} …")
    if leaf.to_bytes() != entry:
        raise AuditError(f"an entry spells its leaf differently: {entry[:80]!r} …")
    return leaf
