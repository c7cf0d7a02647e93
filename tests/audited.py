"""A small bus without a broker, audited as the service does it: for tests of logs, checks and receipts.

Its Kafka is a dictionary of partitions. One alert rests on a payment and on a restricted kinship record, and quotes the
activation of a real rule card.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any

from fastavro import schemaless_writer

from consumers.audit.folder import AuditFolder
from consumers.audit.index import LeafIndex
from consumers.audit.proving import Address, Prover
from consumers.audit.sequencer import Sequencer
from streams.cards import load_pack
from tests.alert_statements import alert, envelope
from xiezhi.audit.receipt import Case
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.avro import parse
from xiezhi.contracts.base import Contract
from xiezhi.contracts.bus import ACTIVATION, ALERT, CHECKPOINT
from xiezhi.errors import DeliveryError
from xiezhi.log import Headers, RawRecord
from xiezhi.registry import InMemoryRegistry

PAYMENTS, KINSHIP = "finance.payment.v1", "civil.kinship.v1"
CLUSTER, TOPIC_ID = "cluster-1", "topic-id+/=="
ORIGIN = "xiezhi-test"
CODE_HASH = "ab" * 32
CARD = next(card for card in load_pack("generic") if card.id == "S01")
#: What no redacted receipt may hold; it is in keys, values and texts of the alert.
SECRETS = ("person-4711", "pay-17", "kin-5", "suspicious-explanation", "join-key-99")
START_MS = 1_776_664_993_000


class FakeKafka:
    """Partitions as lists of records; offsets may begin anywhere and have holes."""

    def __init__(self) -> None:
        self.places: dict[tuple[str, int], list[RawRecord]] = {}
        self.lows: dict[tuple[str, int], int] = {}

    def put(
        self,
        topic: str,
        value: bytes | None,
        *,
        partition: int = 0,
        key: bytes | None = b"key",
        headers: Headers = (),
        offset: int | None = None,
    ) -> RawRecord:
        held = self.places.setdefault((topic, partition), [])
        if offset is None:
            offset = held[-1].offset + 1 if held else 0
        count = sum(map(len, self.places.values()))
        held.append(RawRecord(topic, partition, offset, START_MS + count, key, value, headers))
        return held[-1]

    def partitions(self, topic: str) -> int:
        return max((number + 1 for name, number in self.places if name == topic), default=0)

    def range(self, topic: str, partition: int) -> tuple[int, int]:
        if partition >= self.partitions(topic):
            raise DeliveryError(f"there is no {topic}/{partition}")
        held = self.places.get((topic, partition), [])
        return self.lows.get((topic, partition), 0), held[-1].offset + 1 if held else 0

    def offset_at(self, topic: str, partition: int, instant_ms: int) -> int:
        held = self.places.get((topic, partition), [])
        later = (record.offset for record in held if record.ingested_ms >= instant_ms)
        return next(later, self.range(topic, partition)[1])

    def read(
        self, topic: str, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[RawRecord]]:
        found = [
            r for r in self.places[topic, partition] if start <= r.offset and (end is None or r.offset < end)
        ]
        yield from ([record] for record in found)

    def everything(self) -> list[RawRecord]:
        return [record for held in self.places.values() for record in held]


class AuditedBus:
    """Kafka, the logs that audit it, and their index, below `path`."""

    def __init__(self, path: Path) -> None:
        self.kafka, self.registry = FakeKafka(), registry()
        self.folder = AuditFolder(path / "audit", path / "keys")
        self.folder.create_first(ORIGIN)

    def audit(self, records: Iterable[RawRecord] | None = None, *, checkpoint_every: int = 10_000) -> None:
        """What the service does from its start to its end: take what has no leaf yet, sign, stop."""
        records = list(self.kafka.everything() if records is None else records)
        number = self.folder.newest()
        index = self.index()
        index.follow(self.folder.readers())
        with self.folder.open(number) as log:
            sequencer = Sequencer(log, number, index, self.folder.readers(), lambda: START_MS)
            for topic in sorted({record.topic for record in records}):
                sequencer.audit_topic(topic, CLUSTER, TOPIC_ID)
            for start in range(0, len(records), checkpoint_every):
                sequencer.take(records[start : start + checkpoint_every])
                sequencer.publish()
            sequencer.publish()
        index.close()

    def index(self) -> LeafIndex:
        return LeafIndex.open(self.folder.index)

    def accuse(self, *, payments: int = 1, enabled: bool = True, **changes: Any) -> RawRecord:
        """Publish evidence, activate the rule, say an alert; returns the alert's record."""
        evidence = [self.kafka.put(PAYMENTS, f"payment {number}".encode()) for number in range(payments)]
        evidence.append(self.kafka.put(KINSHIP, b"a restricted record", partition=1))
        self.activate(enabled=enabled)
        return self.say(accusation(evidence, **changes))

    def activate(self, *, enabled: bool = True, **changes: Any) -> RawRecord:
        value = {
            "record_id": CARD.id,
            "rule_id": CARD.id,
            "rule_version": CARD.version,
            "enabled": enabled,
            "pack": "generic",
            "card": CARD.canonical_json(),
            "code_hash": CODE_HASH,
            "actor": "user:operator",
            "reason": "test",
            "activated_ms": START_MS,
        }
        return self.kafka.put(
            ACTIVATION.topic, self.encoded(ACTIVATION, {**value, **changes}), key=CARD.id.encode()
        )

    def say(self, said: Alert) -> RawRecord:
        headers: Headers = [
            *envelope(said).to_headers(),
            ("xz_said", b'{"view":"x|join-key-99"}'),
            ("empty", None),
        ]
        value = self.encoded(ALERT, said.model_dump())
        return self.kafka.put(ALERT.topic, value, key=said.record_id.encode(), headers=headers)

    def encoded(self, contract: Contract, value: dict[str, Any]) -> bytes:
        body = BytesIO()
        schemaless_writer(body, parse(contract.schema), value)
        return b"\0" + self.registry.latest(contract.subject).id.to_bytes(4, "big") + body.getvalue()

    def case(self, record: RawRecord) -> tuple[Case, str]:
        """What proves an alert, and the public key that it is to be checked with."""
        index = self.index()
        try:
            prover = Prover(self.folder.readers(), index, self.kafka, self.registry)
            case, number = prover.case(Address(record.topic, record.partition, record.offset))
        finally:
            index.close()
        return case, str(self.folder.verifier(number))


def accusation(evidence: Sequence[RawRecord], **changes: Any) -> Alert:
    """An alert about these records, with digests as the judge makes them."""
    refs = [
        {
            "record_type": record.topic,
            "record_id": ("kin-5" if record.topic == KINSHIP else f"pay-17-{number}"),
            "version": 0,
            "event_id": f"event-{number}",
            "digest": sha256(record.value or b"").hexdigest(),
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "ingested_ms": record.ingested_ms,
            "occurred_ms": record.ingested_ms,
            "fields": ["amount_minor"],
            "traceparent": "",
        }
        for number, record in enumerate(evidence)
    ]
    example = alert("al_1", 1)
    content = {
        **example.model_dump(),
        "rule_id": CARD.id,
        "rule_version": CARD.version,
        "activation": sha256(f"{CARD.canonical_json()}\x1f{CODE_HASH}".encode()).hexdigest(),
        "subject": {"person": "person-4711"},
        "join_key": "join-key-99",
        "explanation": {"zh": "suspicious-explanation 说明", "en": "suspicious-explanation"},
        "evidence": refs,
        **changes,
    }
    return Alert.model_validate({**content, "content_digest": content_digest(content)} | changes)


def content_digest(said: dict[str, Any]) -> str:
    """As `streams.evaluation` makes it: over the content by name, and over the evidence without places and times."""
    apart = ("record_id", "state", "evidence", "content_digest", "position", "times")
    content = {name: value for name, value in said.items() if name not in apart}
    names = ("record_type", "record_id", "version", "event_id", "digest", "fields")
    proven = [[ref[name] for name in names] for ref in said["evidence"]]
    text = json.dumps([content, proven], sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return sha256(text.encode()).hexdigest()


def registry() -> InMemoryRegistry:
    """A registry with the contracts that receipts and checkpoints need."""
    made = InMemoryRegistry()
    for contract in (ALERT, ACTIVATION, CHECKPOINT):
        made.register(contract.subject, json.dumps(contract.schema))
    return made
