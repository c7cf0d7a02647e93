"""The whole trace of one statement: what follows from its record, and what the local store holds of the time since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from consumers.alerts.statement import Stored
from xiezhi.settings import Settings
from xiezhi.telemetry.alert_spans import AlertTrace, EventTrace, Known, alert_context, trace_of
from xiezhi.telemetry.setup import endpoint
from xiezhi.telemetry.span import Link, StageSpan
from xiezhi.telemetry.span_store import folder_of, read_spans

_NOTED_MISSING = {"store": "not_stored", "deliver": "not_delivered", "acknowledge": "not_acknowledged"}


@dataclass(frozen=True, slots=True)
class WholeTrace:
    """One statement's trace. `since` is what happened after it was said, `endpoint` where such spans go if not here."""

    stored: Stored
    trace: AlertTrace
    since: tuple[StageSpan, ...]
    endpoint: str

    def notes(self) -> list[str]:
        """What is missing, by the names of the catalogue's texts."""
        if not _carries_own_context(self.stored):
            return ["earlier_version"]
        if self.endpoint:
            return ["at_endpoint"]
        seen = {span.stage for span in self.since}
        return [note for stage, note in _NOTED_MISSING.items() if stage not in seen]


def whole_trace(stored: Stored, settings: Settings) -> WholeTrace:
    """Reads the local store's folder; neither broker nor registry is asked."""
    trace = trace_of(stored.alert, stored.statement.said)
    found: dict[str, StageSpan] = {}
    if _carries_own_context(stored):
        context = trace.alert.context
        for span in read_spans(folder_of(settings), context.trace_id):
            if span.parent_id == context.span_id:
                found[span.context.span_id] = span
    since = tuple(sorted(found.values(), key=lambda span: (span.start_ns, span.end_ns)))
    return WholeTrace(stored, trace, since, endpoint())


def notes_on(event: EventTrace) -> list[str]:
    """What is missing of one event's way, by the names of the catalogue's texts."""
    if event.known is Known.LINK_ONLY:
        return ["link_only"]
    notes = ["elsewhere"] if event.known is Known.ELSEWHERE else []
    if event.is_restarted:
        notes.append("restarted")
    elif event.known is Known.WHOLE and event.spans[0].start_ns == event.spans[0].end_ns:
        notes += [] if event.evidence.sent_ms else ["no_send_time"]
    return notes + ([] if event.evidence.routed_ms else ["no_route_time"])


def to_object(whole: WholeTrace) -> dict[str, Any]:
    """For programs. Opaque like the spans: no record's id, key, subject or text."""
    alert, trace = whole.stored.alert, whole.trace
    return {
        "alert_id": alert.record_id,
        "position": alert.position,
        "state": alert.state,
        "rule_id": alert.rule_id,
        "trace_id": trace.alert.context.trace_id,
        "events": [_event(event) for event in trace.events],
        "events_left_out": trace.left_out,
        "alert": _span(trace.alert),
        "since": [_span(span) for span in whole.since],
        "notes": whole.notes(),
    }


def _event(event: EventTrace) -> dict[str, Any]:
    evidence = event.evidence
    return {
        "number": event.number,
        "topic": evidence.topic,
        "partition": evidence.partition,
        "offset": evidence.offset,
        "event_id": evidence.event_id,
        "trace_id": event.context.trace_id,
        "span_id": event.context.span_id,
        "notes": notes_on(event),
        "spans": [_span(span) for span in event.spans],
    }


def _span(span: StageSpan) -> dict[str, Any]:
    return {
        "name": span.name,
        "stage": span.stage,
        "service": span.service,
        "trace_id": span.context.trace_id,
        "span_id": span.context.span_id,
        "parent_span_id": span.parent_id,
        "start_ms": span.start_ns // 1_000 / 1_000,
        "end_ms": span.end_ns // 1_000 / 1_000,
        "attributes": dict(span.attributes),
        "links": list(map(_link, span.links)),
    }


def _link(link: Link) -> dict[str, Any]:
    return {
        "trace_id": link.context.trace_id,
        "span_id": link.context.span_id,
        "attributes": dict(link.attributes),
    }


def all_spans(whole: WholeTrace) -> Iterator[StageSpan]:
    yield from whole.trace.spans
    yield from whole.since


def _carries_own_context(stored: Stored) -> bool:
    """Not so for statements of earlier versions, which repeated the context of the last event."""
    own = alert_context(stored.alert.record_id, stored.alert.position)
    return stored.statement.traceparent == own.traceparent()
