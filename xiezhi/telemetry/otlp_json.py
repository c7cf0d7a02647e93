"""Spans as OTLP/JSON, one document a line: what the local store holds.

The encoding is that of the OpenTelemetry protocol 1.x for JSON (ids in hexadecimal, 64-bit integers as text), which a
collector's otlpjsonfile receiver reads, so that a local store can be handed on as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind

from xiezhi.telemetry.span import Attribute, Context, Kind, Link, StageSpan

_KINDS: dict[Kind, int] = {"INTERNAL": 1, "PRODUCER": 4, "CONSUMER": 5, "CLIENT": 3}
_KIND_OF = {number: kind for kind, number in _KINDS.items()}
_NUMBER_OF = {
    SpanKind.INTERNAL: 1,
    SpanKind.SERVER: 2,
    SpanKind.CLIENT: 3,
    SpanKind.PRODUCER: 4,
    SpanKind.CONSUMER: 5,
}


def to_line(span: ReadableSpan) -> bytes:
    """One line, its end included."""
    scope = span.instrumentation_scope
    document = {
        "resourceSpans": [
            {
                "resource": {"attributes": _attributes(span.resource.attributes)},
                "scopeSpans": [{"scope": {"name": scope.name if scope else ""}, "spans": [_span(span)]}],
            }
        ]
    }
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def from_line(line: bytes) -> StageSpan:
    """Raises ValueError for what `to_line` did not write, such as a line torn by a crash."""
    try:
        resource_spans = json.loads(line)["resourceSpans"][0]
        span = resource_spans["scopeSpans"][0]["spans"][0]
        return StageSpan(
            name=span["name"],
            kind=_KIND_OF[span["kind"]],
            service=str(_read(resource_spans["resource"]["attributes"]).get("service.name", "")),
            context=Context(span["traceId"], span["spanId"]),
            parent_id=span.get("parentSpanId", ""),
            start_ns=int(span["startTimeUnixNano"]),
            end_ns=int(span["endTimeUnixNano"]),
            attributes=_read(span["attributes"]),
            links=tuple(
                Link(Context(one["traceId"], one["spanId"]), _read(one["attributes"]))
                for one in span["links"]
            ),
        )
    except (KeyError, IndexError, TypeError, AttributeError) as error:
        raise ValueError(f"no span: {error!r}") from error


def _span(span: ReadableSpan) -> dict[str, Any]:
    context = span.context
    assert context is not None
    return {
        "traceId": f"{context.trace_id:032x}",
        "spanId": f"{context.span_id:016x}",
        **({"parentSpanId": f"{span.parent.span_id:016x}"} if span.parent else {}),
        "name": span.name,
        "kind": _NUMBER_OF[span.kind],
        "startTimeUnixNano": str(span.start_time),
        "endTimeUnixNano": str(span.end_time),
        "attributes": _attributes(span.attributes or {}),
        "links": [
            {
                "traceId": f"{link.context.trace_id:032x}",
                "spanId": f"{link.context.span_id:016x}",
                "attributes": _attributes(link.attributes or {}),
            }
            for link in span.links
        ],
        "status": {"code": span.status.status_code.value},
    }


def _attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in attributes.items()]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if isinstance(value, str):
        return {"stringValue": value}
    return {"arrayValue": {"values": [_value(one) for one in value]}}


def _read(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Attribute]:
    """Lists, of which no span of ours has one, are left aside."""
    found: dict[str, Attribute] = {}
    for one in attributes:
        for kind, value in one["value"].items():
            if kind != "arrayValue":
                found[one["key"]] = int(value) if kind == "intValue" else value
    return found
