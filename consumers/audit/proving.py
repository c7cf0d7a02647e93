"""Gathers what a receipt is made of: the leaves of an alert, of its evidence and of its rule's activation, with proofs.

Reads the logs, the index and Kafka; changes nothing. What is not a leaf yet is MissingLeafError, worth waiting for;
what can never be proven is AuditError with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from consumers.audit.index import LeafIndex
from consumers.audit.topics import RESTRICTED
from xiezhi.alert_log import read_alert
from xiezhi.audit.epoch import Opening as OpeningLeaf
from xiezhi.audit.leaf import RecordLeaf, field_salt, parse
from xiezhi.audit.reader import AuditLogReader
from xiezhi.audit.receipt import Case, Evidence, LoggedLeaf, LoggedRecord, Opening
from xiezhi.codec import Codec
from xiezhi.contracts import golden
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.avro import same_schema
from xiezhi.contracts.base import Contract
from xiezhi.contracts.bus import ACTIVATION, ALERT
from xiezhi.errors import AuditError, BadRecordError, UnknownSchemaError
from xiezhi.log import KafkaLog, RawRecord
from xiezhi.registry import Registry


class MissingLeafError(AuditError):
    """A record that the receipt needs is not under a checkpoint yet."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a record is in Kafka."""

    topic: str
    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}/{self.offset}"


class Prover:
    """Makes the case for alerts. Blocking; belongs to one thread."""

    def __init__(
        self, logs: Mapping[int, AuditLogReader], index: LeafIndex, kafka: KafkaLog, registry: Registry
    ) -> None:
        self._logs, self._index, self._kafka, self._registry = logs, index, kafka, registry
        self._codec = Codec(registry)

    def case(self, place: Address) -> tuple[Case, int]:
        """What proves the statement at this place of the alert topic, and the number of the log whose key proves it.

        Raises MissingLeafError, AuditError, BrokerUnavailableError, DeliveryError, RegistryUnavailableError.
        """
        self._index.follow(self._logs)
        record = self._record(place)
        try:
            alert, _ = read_alert(record, self._codec)
        except BadRecordError as error:
            raise AuditError(f"{place} is no alert, so there is no receipt of it: {error}") from error
        activated = self._activation(alert, record)
        evidence = [Address(each.topic, each.partition, each.offset) for each in alert.evidence]
        found = {
            each: self._leaf_of(each) for each in (place, _address(activated), *evidence)
        }  # fails before anything is read
        newest = max(log for log, _ in found.values())
        under = _Under.of(self._logs, newest, min(log for log, _ in found.values()))
        leaves = {each: under.leaf(*where, str(each)) for each, where in found.items()}
        for ref, address in zip(alert.evidence, evidence, strict=True):
            _require_unchanged(ref.digest, leaves[address], address)
        case = Case(
            checkpoint=under.checkpoint,
            earlier=under.openings,
            alert=LoggedRecord(record, leaves[place]),
            activation=LoggedRecord(activated, leaves[_address(activated)]),
            evidence=[Evidence(leaves[each], each.topic in RESTRICTED) for each in evidence],
            schemas={
                ALERT.topic: self._schema(ALERT, record),
                ACTIVATION.topic: self._schema(ACTIVATION, activated),
            },
        )
        return case, newest

    def _record(self, place: Address) -> RawRecord:
        for chunk in self._kafka.read(place.topic, place.partition, place.offset, place.offset + 1):
            return chunk[0]
        raise AuditError(f"Kafka has no record at {place}, so nobody can show what it said")

    def _leaf_of(self, place: Address) -> tuple[int, int]:
        found = self._index.find(place.topic, place.partition, place.offset)
        if found is None:
            raise MissingLeafError(f"{place} is not under a checkpoint of the audit log yet")
        return found

    def _activation(self, alert: Alert, said: RawRecord) -> RawRecord:
        """The last record before the alert that activated its rule with the card and code that the alert quotes."""
        activated = None
        for chunk in self._kafka.read(ACTIVATION.topic, 0, 0):
            for record in chunk:
                if record.ingested_ms <= said.ingested_ms and self._is_quoted(record, alert):
                    activated = record
        if activated is None:
            raise AuditError(
                f"no activation {alert.activation} of rule {alert.rule_id} is in {ACTIVATION.topic}"
            )
        return activated

    def _is_quoted(self, record: RawRecord, alert: Alert) -> bool:
        try:
            value = self._codec.decode_as(record.topic, record.value or b"")
        except (BadRecordError, UnknownSchemaError):
            return False
        quoted = sha256(f"{value['card']}\x1f{value['code_hash']}".encode()).hexdigest()
        return bool(value["enabled"]) and (value["rule_id"], quoted) == (alert.rule_id, alert.activation)

    def _schema(self, contract: Contract, record: RawRecord) -> Mapping[str, Any]:
        """The published version of the contract that the value was written with: verifiers know those alone."""
        text = self._registry.schema(Codec.schema_id(record.value or b""))
        for published in golden.load(contract).values():
            if same_schema(text, published.schema):
                return published.schema
        raise AuditError(
            f"{_address(record)} was written with a schema that no version of {contract.name} has"
        )


@dataclass(frozen=True, slots=True)
class _Under:
    """The logs that a receipt spans, newest first: how many leaves of each the checkpoint vouches for."""

    logs: Mapping[int, AuditLogReader]
    newest: int
    checkpoint: bytes
    sizes: Mapping[int, int]
    openings: tuple[Opening, ...]

    @classmethod
    def of(cls, logs: Mapping[int, AuditLogReader], newest: int, oldest: int) -> _Under:
        """Raises AuditError when a log does not continue the one before."""
        latest = logs[newest].latest()
        sizes, openings = {newest: latest.size}, []
        for number in range(newest, oldest, -1):
            entry = next(logs[number].entries(0, 1))
            openings.append(Opening(entry, tuple(logs[number].inclusion_proof(0, sizes[number]))))
            sizes[number - 1] = OpeningLeaf.parse(entry).last.size
        return cls(logs, newest, latest.note, sizes, tuple(openings))

    def leaf(self, log: int, index: int, name: str) -> LoggedLeaf:
        """A leaf with salt and proof. Raises AuditError."""
        reader = self.logs[log]
        salt = reader.salt(index)
        if salt is None:
            raise AuditError(f"the salt of {name} was erased, so that nobody can prove what it said any more")
        entry = next(reader.entries(index, index + 1))
        proof = reader.inclusion_proof(index, self.sizes[log])
        return LoggedLeaf(self.newest - log, index, entry, salt, tuple(proof))


def _address(record: RawRecord) -> Address:
    return Address(record.topic, record.partition, record.offset)


def _require_unchanged(digest: str, leaf: LoggedLeaf, address: Address) -> None:
    """The judge saw what was logged. Raises AuditError."""
    found = sha256(field_salt(leaf.salt, b"value") + bytes.fromhex(digest)).hexdigest()
    logged = parse(leaf.entry)
    if not isinstance(logged, RecordLeaf) or logged.value != found:
        raise AuditError(
            f"{address}: the alert rests on other bytes than those that were logged; run `xiezhi audit check`"
        )
