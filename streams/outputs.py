"""Statements on the alert and relation topics: how the judge writes them, and reads back what was said.

One header, `xz_said`, repeats what the said-memory needs (view, owner, position, digest), so that a withdrawal of a
relation, which has a null value, can be understood without any other state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from streams.evaluation import OutputKind
from streams.facts import view_name
from streams.judge import Output, Said
from streams.records import JURISDICTION_UNKNOWN
from xiezhi.contracts.bus import ALERT, RELATION
from xiezhi.envelope import Envelope
from xiezhi.errors import BadRecordError, RecordRefusedError, UnknownSchemaError
from xiezhi.log import RawRecord
from xiezhi.telemetry.alert_spans import alert_context

SAID_HEADER = "xz_said"
JUDGED_HEADER = "xz_judged"
SOURCE = "urn:xiezhi:judge"
CONTRACTS = {OutputKind.ALERT: ALERT, OutputKind.RELATION: RELATION}

Encode = Callable[[str, Mapping[str, Any]], bytes]
Decode = Callable[[str, bytes], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class OutgoingStatement:
    """One record for the alert or relation topic."""

    topic: str
    key: bytes
    value: bytes | None
    headers: list[tuple[str, bytes]]


def encode_output(output: Output, encode: Encode, judged_ms: int) -> OutgoingStatement:
    """The record for one statement. A withdrawn relation is a null value; a withdrawn alert repeats its content."""
    said = output.said
    contract = CONTRACTS[said.kind]
    envelope = _envelope(output.id, said, output.content, output.occurred_ms, _traceparent(output))
    memory = {"view": output.view, "owner": said.owner, "position": said.position, "digest": said.digest}
    stages = {"routed_ms": output.routed_ms, "judged_ms": judged_ms}
    headers = [
        *envelope.to_headers(),
        (SAID_HEADER, json.dumps(memory).encode()),
        (JUDGED_HEADER, json.dumps(stages).encode()),
    ]
    value = None
    if said.kind is OutputKind.ALERT:
        value = encode(contract.subject, _alert_value(output, judged_ms))
    elif said.stands:
        value = encode(contract.subject, _value(output))
    return OutgoingStatement(contract.topic, output.id.encode(), value, headers)


def _traceparent(output: Output) -> str:
    """Of an alert: its own span, the parent of all that happens to it later. A relation goes on with what caused it."""
    if output.said.kind is OutputKind.ALERT:
        return alert_context(output.id, output.said.position).traceparent()
    return output.traceparent


def _envelope(
    output_id: str, said: Said, content: Mapping[str, Any], occurred_ms: int, traceparent: str = ""
) -> Envelope:
    return Envelope.create(
        source=SOURCE,
        type=CONTRACTS[said.kind].topic,
        subject=output_id,
        occurred_ms=occurred_ms,
        version=said.position,
        jurisdiction=content["jurisdiction"] or JURISDICTION_UNKNOWN,
        traceparent=traceparent,
    )


def read_memory(raw: RawRecord) -> tuple[str, str, Said]:
    """(id, view, said without its content) of a record on an output topic; raises BadRecordError."""
    header = next((value for name, value in raw.headers if name == SAID_HEADER), None)
    try:
        memory = json.loads(header or b"")
        view, owner, digest = view_name(str(memory["view"])), str(memory["owner"]), str(memory["digest"])
        position, output_id = int(memory["position"]), (raw.key or b"").decode()
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise BadRecordError("malformed_header", f"the header {SAID_HEADER} is not one: {error}") from error
    kind = OutputKind.ALERT if raw.topic == ALERT.topic else OutputKind.RELATION
    return output_id, view, Said(kind, owner, position, digest, "")


def read_output(raw: RawRecord, decode: Decode) -> tuple[str, str, Said]:
    """(id, view, said) of a record on an output topic; raises BadRecordError."""
    output_id, view, said = read_memory(raw)
    if said.stands:
        if raw.value is None:
            raise BadRecordError("null_value", "a statement that stands has a value")
        value = _decoded(raw.topic, raw.value, decode)
        evidence = value.pop("evidence")
        for added in ("record_id", "state", "content_digest", "position", "times"):
            value.pop(added, None)
        _require_withdrawable(output_id, said, value, evidence)
        said = replace(said, content=json.dumps({"content": value, "evidence": evidence}))
    return output_id, view, said


def _require_withdrawable(
    output_id: str, said: Said, content: Mapping[str, Any], evidence: Sequence[Mapping[str, Any]]
) -> None:
    """What a judge could not take back was said by none, and would stop the one that tries. Raises BadRecordError."""
    try:
        _envelope(output_id, said, content, max((one["occurred_ms"] for one in evidence), default=0))
    except RecordRefusedError as error:
        raise BadRecordError("wrong_value", str(error)) from error


def _decoded(topic: str, data: bytes, decode: Decode) -> dict[str, Any]:
    try:
        return dict(decode(topic, data))
    except UnknownSchemaError as error:
        raise BadRecordError("unknown_schema", str(error)) from error


def _value(output: Output) -> dict[str, Any]:
    return {
        **output.content,
        "record_id": output.id,
        "evidence": list(output.evidence),
        "content_digest": output.digest,
        "position": output.said.position,
    }


def _alert_value(output: Output, judged_ms: int) -> dict[str, Any]:
    times = {"occurred_ms": output.occurred_ms, "ingested_ms": output.ingested_ms, "judged_ms": judged_ms}
    return {**_value(output), "state": output.state, "times": times}
