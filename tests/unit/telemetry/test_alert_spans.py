"""The spans of an alert follow from its record: complete, with true times, the same whenever they are computed."""

from __future__ import annotations

import pytest

from schemas.catalogue import DEATH, KINSHIP, PANEL
from tests.tracing import JUDGED_MS, START_MS, by_stage, evidence, said
from xiezhi.contracts.alert import Alert
from xiezhi.telemetry.alert_spans import (
    EVENTS_MAX,
    OLD_MS,
    SENT_BEFORE_MAX_MS,
    AlertTrace,
    Known,
    alert_context,
    trace_of,
)
from xiezhi.telemetry.span import Context, parse


def traced(*events: object, **changes: object) -> AlertTrace:
    one = said(events, **changes)  # type: ignore[arg-type]
    return trace_of(one.alert, one.said)


def test_an_event_is_published_routed_and_judged_in_its_publishers_trace() -> None:
    [event] = traced(evidence(DEATH.topic, 4)).events
    publish, route, _ = event.spans
    assert publish.context == Context(f"{5:032x}", f"{5:016x}")
    assert [span.context.trace_id for span in event.spans] == [f"{5:032x}"] * 3
    assert [span.parent_id for span in event.spans] == ["", publish.context.span_id, route.context.span_id]
    ms = [(span.start_ns // 1_000_000, span.end_ns // 1_000_000) for span in event.spans]
    ingested = START_MS + 4
    assert ms == [(ingested - 10, ingested), (ingested, ingested + 30), (ingested + 30, JUDGED_MS)]
    assert [(span.stage, span.service) for span in event.spans] == [
        ("publish", "civil"),
        ("route", "xiezhi-router"),
        ("judge", "xiezhi-judge"),
    ]
    assert publish.attributes["messaging.kafka.offset"] == 4
    assert publish.attributes["messaging.destination.partition.id"] == "1"


def test_the_alert_links_to_the_publish_call_of_every_event() -> None:
    trace = traced(evidence(DEATH.topic, 4), evidence(PANEL.topic, 2), evidence(KINSHIP.topic, 9))
    assert [event.evidence.offset for event in trace.events] == [2, 4, 9]  # as the log took them
    assert [link.context for link in trace.alert.links] == [event.context for event in trace.events]
    assert trace.alert.context == alert_context("a1" * 16, 7)
    assert (trace.alert.start_ns, trace.alert.end_ns) == (JUDGED_MS * 1_000_000, (JUDGED_MS + 20) * 1_000_000)


def test_computed_again_the_spans_are_the_same() -> None:
    events = evidence(DEATH.topic, 4), evidence(PANEL.topic, 2)
    assert traced(*events) == traced(*reversed(events))


def test_each_statement_has_identifiers_of_its_own_and_an_event_is_routed_once() -> None:
    first, second = (traced(evidence(DEATH.topic, 4), position=position) for position in (7, 8))
    assert first.alert.context != second.alert.context
    assert by_stage(first.spans, "judge").context != by_stage(second.spans, "judge").context
    assert by_stage(first.spans, "route") == by_stage(second.spans, "route")
    assert len({span.context for span in (*first.spans, *second.spans)}) == 6


def test_a_publisher_that_recorded_its_span_keeps_it() -> None:
    [event] = traced(evidence(DEATH.topic, 4, traceparent=f"00-{5:032x}-{5:016x}-01")).events
    assert event.known is Known.ELSEWHERE
    assert [span.stage for span in event.spans] == ["route", "judge"]
    assert event.spans[0].parent_id == f"{5:016x}"


def test_without_trace_context_a_trace_is_restarted_from_the_place_in_the_log() -> None:
    one, same, other = (traced(evidence(DEATH.topic, at, traceparent="")).events[0] for at in (4, 4, 5))
    assert one.is_restarted
    assert one.context == same.context != other.context
    assert [span.stage for span in one.spans] == ["publish", "route", "judge"]
    assert parse(one.context.traceparent()) == (one.context, True)


def test_an_event_of_long_ago_is_linked_to_and_no_more() -> None:
    at_the_edge = evidence(DEATH.topic, 4, ingested_ms=JUDGED_MS - OLD_MS)
    older = evidence(PANEL.topic, 5, ingested_ms=JUDGED_MS - OLD_MS - 1)
    old, recent = traced(at_the_edge, older).events
    assert (old.known, old.spans) == (Known.LINK_ONLY, ())
    assert recent.known is Known.WHOLE
    assert len(traced(at_the_edge, older).alert.links) == 2


@pytest.mark.parametrize("sent_ms", [0, START_MS + 5, START_MS + 4 - SENT_BEFORE_MAX_MS - 1])
def test_a_send_time_that_cannot_be_is_unknown(sent_ms: int) -> None:
    publish = by_stage(traced(evidence(DEATH.topic, 4, sent_ms=sent_ms)).spans, "publish")
    assert publish.start_ns == publish.end_ns == (START_MS + 4) * 1_000_000


def test_a_record_of_an_earlier_version_has_no_time_of_routing() -> None:
    [event] = traced(evidence(DEATH.topic, 4, routed_ms=0)).events
    publish, judge = event.spans
    assert (publish.stage, judge.stage, judge.parent_id) == ("publish", "judge", publish.context.span_id)
    assert judge.start_ns == (START_MS + 4) * 1_000_000


def test_clocks_that_disagree_make_no_span_that_ends_before_it_begins() -> None:
    for event in traced(evidence(DEATH.topic, 4, routed_ms=JUDGED_MS + 500)).events:
        assert all(span.start_ns <= span.end_ns for span in event.spans)


def test_of_very_many_events_the_newest_are_told() -> None:
    trace = traced(*(evidence(DEATH.topic, at) for at in range(EVENTS_MAX + 3)))
    assert (len(trace.events), trace.left_out) == (EVENTS_MAX, 3)
    assert trace.events[0].evidence.offset == 3


@pytest.mark.parametrize("traceparent", ["", "00", "01-" + "1" * 52, "00-" + "1" * 52])
def test_what_is_no_traceparent_names_nothing(traceparent: str) -> None:
    assert parse(traceparent) is None


def test_an_alert_without_evidence_still_has_its_own_span() -> None:
    one: Alert = said([]).alert
    assert trace_of(one, said([]).said).spans == (trace_of(one, said([]).said).alert,)
