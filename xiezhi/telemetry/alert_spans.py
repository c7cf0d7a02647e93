"""The spans of an alert, computed from its record: publish, route and judge of every event, then the alert itself.

Stages that handle every event make no span for each: nearly all would be about records that no alert ever rests on.
Instead the log carries what is needed (the publisher's trace context, when it was sent, ingested, routed and judged),
and once an alert is said its spans follow from it. They are a pure function of the record: whoever computes them again
gets the same identifiers, so that a replay repeats a history instead of inventing a second one.

Nothing here names a record, key or subject: spans hold hashes, places in the log and names of topics and rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from xiezhi.contracts.alert import Alert
from xiezhi.contracts.evidence import EvidenceRef
from xiezhi.telemetry.span import STAGE, Attribute, Context, Link, Stage, StageSpan, parse

#: Events that were in the log for longer when the alert was said are linked to, without spans: a trace that lasts for
#: months fits into no window of any trace store, and their publishers' traces are long gone.
OLD_MS = 3_600_000
#: A publisher's send time that lies further before ingestion is taken as unknown: a wrong clock, or a made-up header.
SENT_BEFORE_MAX_MS = 86_400_000
#: Events of one alert that are told, the newest; OpenTelemetry's own default for the links of a span. A sum may rest on
#: thousands of records: nobody reads such a trace, and telling them would crowd out the traces of others.
EVENTS_MAX = 128
ROUTER, JUDGE = "xiezhi-router", "xiezhi-judge"


@dataclass(frozen=True, slots=True)
class Said:
    """Where and when the alert topic holds the statement."""

    topic: str
    partition: int
    offset: int
    event_id: str
    said_ms: int  # append time


class Known(StrEnum):
    """How much of an event's way is told by spans."""

    WHOLE = "whole"  # publish, route and judge
    ELSEWHERE = "elsewhere"  # the publisher recorded its own publish span, so it is not made a second time
    LINK_ONLY = "link_only"  # more than OLD_MS in the log before the alert was said


@dataclass(frozen=True, slots=True)
class EventTrace:
    """One event that the alert rests on. `context` is that of its publish span; `number` counts from 1."""

    number: int
    evidence: EvidenceRef
    context: Context
    known: Known
    spans: tuple[StageSpan, ...]

    @property
    def is_restarted(self) -> bool:
        """Whether the publisher sent no usable trace context, so that one was derived from the place in the log."""
        return not self.evidence.traceparent


@dataclass(frozen=True, slots=True)
class AlertTrace:
    """Everything that follows from one statement about an alert."""

    events: tuple[EventTrace, ...]
    alert: StageSpan
    left_out: int = 0  # older events, past EVENTS_MAX

    @property
    def spans(self) -> tuple[StageSpan, ...]:
        return (*(span for event in self.events for span in event.spans), self.alert)


def alert_context(alert_id: str, position: int) -> Context:
    """The context that a statement carries: parent of whatever happens to it later.

    A trace of its own, since its events come from several departments' traces and none of them is more its parent than
    another.
    """
    identity = ("alert", alert_id, str(position))
    return Context(_hash("trace", *identity)[:32], _hash("span", *identity)[:16])


def trace_of(alert: Alert, said: Said) -> AlertTrace:
    """The spans of one statement. Events come in the order in which the log took them."""
    ordered = sorted(alert.evidence, key=lambda one: (one.ingested_ms, one.topic, one.partition, one.offset))
    events = tuple(_event(number, one, alert) for number, one in enumerate(ordered[-EVENTS_MAX:], 1))
    return AlertTrace(events, _alert_span(alert, said, events), len(ordered) - len(events))


def _event(number: int, evidence: EvidenceRef, alert: Alert) -> EventTrace:
    sent = parse(evidence.traceparent)
    context, sampled = sent if sent is not None else (_restarted(evidence), False)
    if alert.times.judged_ms - evidence.ingested_ms > OLD_MS:
        return EventTrace(number, evidence, context, Known.LINK_ONLY, ())
    route, judge = _route(evidence, context), _judge(evidence, context, alert)
    spans = (
        [route, judge] if evidence.routed_ms else [judge]
    )  # a statement of an earlier version does not say when
    if sampled:
        return EventTrace(number, evidence, context, Known.ELSEWHERE, tuple(spans))
    return EventTrace(number, evidence, context, Known.WHOLE, (_publish(evidence, context), *spans))


def _publish(evidence: EvidenceRef, context: Context) -> StageSpan:
    end_ms = evidence.ingested_ms
    plausible = 0 <= end_ms - evidence.sent_ms <= SENT_BEFORE_MAX_MS
    return _span(
        "publish",
        f"send {evidence.topic}",
        service=department(evidence.topic),
        context=context,
        times_ms=(evidence.sent_ms if plausible else end_ms, end_ms),
        attributes=_messaging("send", "send", evidence.topic, evidence.partition, evidence.offset)
        | {"messaging.message.id": evidence.event_id},
    )


def _route(evidence: EvidenceRef, publish: Context) -> StageSpan:
    """The same whatever alert it is asked for: one event is routed once."""
    attributes = _messaging("route", "process", evidence.topic, evidence.partition, evidence.offset)
    return _span(
        "route",
        f"route {evidence.topic}",
        service=ROUTER,
        context=Context(publish.trace_id, _route_id(evidence)),
        parent_id=publish.span_id,
        times_ms=(evidence.ingested_ms, evidence.routed_ms),
        attributes=attributes
        | {"messaging.message.id": evidence.event_id, "messaging.consumer.group.name": ROUTER},
    )


def _judge(evidence: EvidenceRef, publish: Context, alert: Alert) -> StageSpan:
    """From the filing of the event to the alert: in between it waited for the other events, and for settle times."""
    place = _place(evidence)
    return _span(
        "judge",
        f"judge {alert.rule_id}",
        service=JUDGE,
        context=Context(
            publish.trace_id,
            _hash("judge", alert.record_id, str(alert.position), place, evidence.event_id)[:16],
        ),
        parent_id=_route_id(evidence) if evidence.routed_ms else publish.span_id,
        times_ms=(evidence.routed_ms or evidence.ingested_ms, alert.times.judged_ms),
        attributes={
            "messaging.message.id": evidence.event_id,
            "xiezhi.rule.id": alert.rule_id,
            "xiezhi.alert.id": alert.record_id,
        },
    )


def _alert_span(alert: Alert, said: Said, events: Sequence[EventTrace]) -> StageSpan:
    return _span(
        "alert",
        f"send {said.topic}",
        service=JUDGE,
        context=alert_context(alert.record_id, alert.position),
        times_ms=(alert.times.judged_ms, said.said_ms),
        attributes=_messaging("send", "send", said.topic, said.partition, said.offset)
        | {
            "messaging.message.id": said.event_id,
            "xiezhi.alert.id": alert.record_id,
            "xiezhi.alert.position": alert.position,
            "xiezhi.alert.state": alert.state,
            "xiezhi.rule.id": alert.rule_id,
            "xiezhi.rule.version": alert.rule_version,
        },
        links=tuple(_link(event) for event in events),
    )


def _link(event: EventTrace) -> Link:
    return Link(
        event.context,
        {
            "xiezhi.evidence": event.number,
            "messaging.destination.name": event.evidence.topic,
            "messaging.message.id": event.evidence.event_id,
        },
    )


def _span(
    stage: Stage,
    name: str,
    *,
    service: str,
    context: Context,
    times_ms: tuple[int, int],
    attributes: Mapping[str, Attribute],
    parent_id: str = "",
    links: tuple[Link, ...] = (),
) -> StageSpan:
    """Clocks of several machines are involved: a span that would end before it began has no length."""
    start_ms, end_ms = times_ms
    return StageSpan(
        name=name,
        kind="PRODUCER" if stage in ("publish", "alert") else "CONSUMER" if stage == "route" else "INTERNAL",
        service=service,
        context=context,
        parent_id=parent_id,
        start_ns=start_ms * 1_000_000,
        end_ns=max(start_ms, end_ms) * 1_000_000,
        attributes={STAGE: stage, "xiezhi.from_log": True, **attributes},
        links=links,
    )


def _messaging(operation: str, kind: str, topic: str, partition: int, offset: int) -> dict[str, Attribute]:
    return {
        "messaging.system": "kafka",
        "messaging.operation.name": operation,
        "messaging.operation.type": kind,
        "messaging.destination.name": topic,
        "messaging.destination.partition.id": str(partition),
        "messaging.kafka.offset": offset,
    }


def department(topic: str) -> str:
    """The owner in a topic's name."""
    return topic.partition(".")[0]


def _restarted(evidence: EvidenceRef) -> Context:
    """What stands for trace context that was missing or broken (W3C: restart the trace)."""
    place = _place(evidence)
    return Context(_hash("trace", "publish", place)[:32], _hash("span", "publish", place)[:16])


def _route_id(evidence: EvidenceRef) -> str:
    return _hash("route", _place(evidence), evidence.event_id)[:16]


def _place(evidence: EvidenceRef) -> str:
    return f"{evidence.topic}/{evidence.partition}/{evidence.offset}"


def _hash(*parts: str) -> str:
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()
