"""Spans of what happens to an alert after it was said: stored, delivered, acknowledged. Real spans, by the API alone.

They are children of the context that the alert record carries. Without an SDK in the process they cost next to nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from opentelemetry import trace
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, TraceFlags, set_span_in_context

from xiezhi.contracts.alert import Alert
from xiezhi.telemetry.alert_spans import Said
from xiezhi.telemetry.span import STAGE, Attribute, parse

_TYPES = {"store": "process", "deliver": "process", "acknowledge": "settle"}
_tracer = trace.get_tracer("xiezhi.telemetry")

AlertStage = Literal["store", "deliver", "acknowledge"]


def record_stage(
    stage: AlertStage, alert: Alert, said: Said, traceparent: str, *, start_ns: int, reader: str = ""
) -> None:
    """One span from `start_ns` until now. `reader` names a cursor or group; only a hash of it is recorded."""
    with _span(stage, alert, said, traceparent, reader, start_ns):
        return


@contextmanager
def stage(
    stage: AlertStage, alert: Alert, said: Said, traceparent: str, *, reader: str = ""
) -> Iterator[None]:
    """A span around the block."""
    with _span(stage, alert, said, traceparent, reader, None):
        yield


@contextmanager
def _span(
    stage: AlertStage, alert: Alert, said: Said, traceparent: str, reader: str, start_ns: int | None
) -> Iterator[None]:
    parent = parse(traceparent)
    if parent is None:  # a statement without context: nothing could ever be found by a span of its own
        yield
        return
    context, sampled = parent
    remote = SpanContext(
        int(context.trace_id, 16),
        int(context.span_id, 16),
        is_remote=True,
        trace_flags=TraceFlags(int(sampled)),
    )
    with _tracer.start_as_current_span(
        f"{stage} {said.topic}",
        set_span_in_context(NonRecordingSpan(remote)),
        kind=SpanKind.CLIENT if stage == "acknowledge" else SpanKind.CONSUMER,
        start_time=start_ns,
        record_exception=False,  # its text may hold anything
        set_status_on_exception=False,  # likewise
    ) as span:
        if span.is_recording():
            span.set_attributes(_attributes(stage, alert, said, reader))
        yield


def _attributes(stage: AlertStage, alert: Alert, said: Said, reader: str) -> dict[str, Attribute]:
    attributes: dict[str, Attribute] = {
        STAGE: stage,
        "messaging.system": "kafka",
        "messaging.operation.name": stage,
        "messaging.operation.type": _TYPES[stage],
        "messaging.destination.name": said.topic,
        "messaging.destination.partition.id": str(said.partition),
        "messaging.kafka.offset": said.offset,
        "messaging.message.id": said.event_id,
        "xiezhi.alert.id": alert.record_id,
        "xiezhi.alert.position": alert.position,
    }
    if reader:
        attributes["xiezhi.reader"] = hashlib.sha256(reader.encode()).hexdigest()[:12]
    return attributes
