"""Spans kept in memory, and alerts whose evidence comes from several departments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers.alerts.statement import Statement
from tests.alert_statements import alert, statement
from xiezhi.contracts.evidence import EvidenceRef
from xiezhi.telemetry.alert_spans import alert_context
from xiezhi.telemetry.setup import Tracing
from xiezhi.telemetry.span import StageSpan

START_MS = 1_776_664_992_000
JUDGED_MS = START_MS + 1_000


class Spans:
    """What a process would have exported."""

    def __init__(self, patch: pytest.MonkeyPatch, *modules: Any) -> None:
        """`modules` make spans with a tracer of their own called `_tracer`."""
        self._exporter = InMemorySpanExporter()
        processor = SimpleSpanProcessor(self._exporter)
        provider = TracerProvider()
        provider.add_span_processor(processor)
        self.tracing = Tracing(processor)
        for module in modules:
            patch.setattr(module, "_tracer", provider.get_tracer("test"))

    @property
    def finished(self) -> tuple[ReadableSpan, ...]:
        return self._exporter.get_finished_spans()

    def ids(self) -> list[tuple[str, int, int]]:
        """(name, trace, span) of each."""
        return [(one.name, one.context.trace_id, one.context.span_id) for one in self.finished if one.context]


def evidence(topic: str, offset: int, **changes: Any) -> EvidenceRef:
    """An event that its publisher sent unrecorded, 10 ms before it was ingested, and that was routed 30 ms later."""
    ingested_ms = changes.pop("ingested_ms", START_MS + offset)
    told = {
        "record_type": topic,
        "topic": topic,
        "partition": 1,
        "offset": offset,
        "event_id": f"019db2b0-0000-7000-8000-{offset:012d}",
        "ingested_ms": ingested_ms,
        "sent_ms": ingested_ms - 10,
        "routed_ms": ingested_ms + 30,
        "traceparent": f"00-{offset + 1:032x}-{offset + 1:016x}-00",
    }
    return alert().evidence[0].model_copy(update={**told, **changes})


def said(
    events: Sequence[EvidenceRef], alert_id: str = "a1" * 16, position: int = 7, **changes: Any
) -> Statement:
    """A statement that rests on these events, as the judge says it, with the context of its own span."""
    times = alert().times.model_copy(update={"judged_ms": JUDGED_MS})
    one = statement(alert_id, position, evidence=list(events), times=times, **changes)
    return replace(one, traceparent=alert_context(alert_id, position).traceparent(), said_ms=JUDGED_MS + 20)


def by_stage(spans: Sequence[StageSpan], stage: str) -> StageSpan:
    [found] = [span for span in spans if span.stage == stage]
    return found
