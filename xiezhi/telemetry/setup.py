"""Where the spans of a process go: to an OTLP/HTTP endpoint if one is set, else to the local store.

Called by services' mains and commands, and by whoever writes a subscriber; libraries only use the API. The standard
variables hold: OTEL_EXPORTER_OTLP_ENDPOINT (or …_TRACES_ENDPOINT) and its kin, OTEL_SDK_DISABLED, OTEL_TRACES_EXPORTER
(none), OTEL_BSP_*, OTEL_RESOURCE_ATTRIBUTES. Spans are handed over by a thread of the SDK; its queue is bounded, and
what does not fit is dropped: no stage waits for telemetry.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler, SamplingResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags

from xiezhi import __version__
from xiezhi.settings import Settings
from xiezhi.telemetry.span import Context, StageSpan
from xiezhi.telemetry.span_store import SpanStore, folder_of

#: How long spans may wait in the process before they are in the local store: whoever draws a trace waits for it.
LOCAL_DELAY_MS = 500
#: How long the end of a process may wait for its last spans; less than a supervisor waits before it kills.
SHUTDOWN_MS = 5_000
_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope("xiezhi.telemetry", __version__)


def endpoint(environ: Mapping[str, str] = os.environ) -> str:
    """The OTLP endpoint that is set; "" when there is none, or telemetry is off."""
    return "" if is_off(environ) else next((environ[name] for name in _ENDPOINTS if environ.get(name)), "")


def is_off(environ: Mapping[str, str] = os.environ) -> bool:
    return (
        environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        or environ.get("OTEL_TRACES_EXPORTER", "").strip().lower() == "none"
    )


class Tracing:
    """The way out for the spans of a process. Without a processor they go nowhere."""

    def __init__(self, processor: SpanProcessor | None = None) -> None:
        self._processor = processor

    def tell(self, spans: Iterable[StageSpan]) -> None:
        """Hand over spans that were made after the fact. Does not block."""
        if self._processor is not None:
            for span in spans:
                self._processor.on_end(readable(span))


@contextmanager
def tracing(service: str, settings: Settings, *, to_store: bool = True) -> Iterator[Tracing]:
    """Record the spans of this process until the block ends. Once per process.

    `to_store` False: without an endpoint nothing is recorded, for stages whose own spans explain no single alert.
    """
    exporter = _exporter(service, settings, to_store=to_store)
    if exporter is None:
        yield Tracing()
        return
    delay_ms = LOCAL_DELAY_MS if isinstance(exporter, SpanStore) else None
    processor = BatchSpanProcessor(exporter, schedule_delay_millis=delay_ms)
    provider = TracerProvider(resource=_own_resource(service), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    provider.sampler = switch = _Switch(provider.sampler)
    trace.set_tracer_provider(provider)
    try:
        yield Tracing(processor)
    finally:
        switch.on = False
        processor._batch_processor.shutdown(SHUTDOWN_MS)  # the public call would wait six times as long


class _Switch(Sampler):
    """Lets spans be recorded while somebody takes them: a provider cannot be taken back, and a publisher that says of a
    span that it was recorded must be right."""

    def __init__(self, inner: Sampler) -> None:
        self._inner, self.on = inner, True

    def should_sample(self, *arguments: Any, **named: Any) -> SamplingResult:
        return (self._inner if self.on else ALWAYS_OFF).should_sample(*arguments, **named)

    def get_description(self) -> str:
        return self._inner.get_description()


def _exporter(service: str, settings: Settings, *, to_store: bool) -> SpanExporter | None:
    if endpoint():
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        return OTLPSpanExporter()
    if to_store and not is_off():
        return SpanStore(folder_of(settings), service)
    return None


def _own_resource(service: str) -> Resource:
    return Resource.create(
        {"service.name": service, "service.version": __version__, "service.instance.id": str(uuid.uuid4())}
    )


@lru_cache(256)  # as many as there are departments, and two stages
def _resource_of(service: str) -> Resource:
    """Of a span made after the fact: which process it was is not in the log."""
    return Resource({"service.name": service})


def readable(span: StageSpan) -> ReadableSpan:
    """The span as exporters take it."""
    return ReadableSpan(
        name=span.name,
        context=_context(span.context),
        parent=_context(Context(span.context.trace_id, span.parent_id)) if span.parent_id else None,
        resource=_resource_of(span.service),
        attributes=dict(span.attributes),
        links=[trace.Link(_context(link.context), dict(link.attributes)) for link in span.links],
        kind=SpanKind[span.kind],
        start_time=span.start_ns,
        end_time=span.end_ns,
        instrumentation_scope=_SCOPE,
    )


def _context(context: Context) -> SpanContext:
    return SpanContext(
        int(context.trace_id, 16), int(context.span_id, 16), is_remote=True, trace_flags=_SAMPLED
    )
