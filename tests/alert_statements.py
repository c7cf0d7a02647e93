"""Statements about alerts for tests, made from the contract's own example."""

from __future__ import annotations

import json
from typing import Any

from consumers.alerts.statement import Statement
from xiezhi.codec import Codec
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.bus import ALERT, DEAD_LETTER
from xiezhi.contracts.examples import valid_record
from xiezhi.envelope import Envelope
from xiezhi.log import RawRecord
from xiezhi.registry import InMemoryRegistry
from xiezhi.telemetry.alert_spans import alert_context


def alert(alert_id: str = "al_1", position: int = 1, **changes: Any) -> Alert:
    example = valid_record(ALERT)
    assert isinstance(example, Alert)
    return example.model_copy(update={"record_id": alert_id, "position": position, **changes})


SAID_MS = 1_776_664_993_000


def statement(
    alert_id: str = "al_1", position: int = 1, *, offset: int = 0, said_ms: int = SAID_MS, **changes: Any
) -> Statement:
    said = alert(alert_id, position, **changes)
    return Statement.of(said, envelope(said), RawRecord(ALERT.topic, 0, offset, said_ms, b"", b""))


def envelope(said: Alert) -> Envelope:
    return Envelope.create(
        source="urn:xiezhi:judge",
        type=ALERT.topic,
        subject=said.record_id,
        occurred_ms=said.times.occurred_ms,
        version=said.position,
        jurisdiction=said.jurisdiction or "000000000000",
        traceparent=alert_context(said.record_id, said.position).traceparent(),
    )


def record(codec: Codec, said: Alert, *, partition: int = 0, offset: int = 0) -> RawRecord:
    """The record in which the judge would say it."""
    return RawRecord(
        topic=ALERT.topic,
        partition=partition,
        offset=offset,
        ingested_ms=SAID_MS,
        key=said.record_id.encode(),
        value=codec.encode(ALERT.subject, said.model_dump()),
        headers=envelope(said).to_headers(),
    )


def bus_registry() -> InMemoryRegistry:
    """A registry that knows the contracts of alerts and dead letters."""
    registry = InMemoryRegistry()
    for contract in (ALERT, DEAD_LETTER):
        registry.register(contract.subject, json.dumps(contract.schema))
    return registry
