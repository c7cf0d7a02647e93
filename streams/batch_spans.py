"""Spans of a stage's batches, for whoever looks at the stages themselves; the spans of an alert need none of them.

Recorded only where an endpoint is set, and a few a second: live traffic makes thousands of tiny batches, whose spans
would cost more than their work. A batch has no one parent: it links to the publish calls of its first records.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import monotonic

from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, SpanKind, TraceFlags

from xiezhi.log import RawRecord
from xiezhi.telemetry.span import parse

#: Links of a batch of thousands would cost more than its work.
LINKS_MAX = 8
#: Between two spans of a process.
INTERVAL_S = 0.1
_tracer = trace.get_tracer("streams")


class BatchSpans:
    """Makes the batch spans of one process. `clock` gives seconds that only grow."""

    def __init__(self, group: str, clock: Callable[[], float] = monotonic) -> None:
        self._group, self._clock = group, clock
        self._next_s = 0.0

    def start(self, records: Sequence[RawRecord]) -> Span:
        """A started span for a batch of one partition, unless one was made just before; whoever finishes ends it."""
        if not records or self._clock() < self._next_s:
            return trace.INVALID_SPAN
        self._next_s = self._clock() + INTERVAL_S
        first = records[0]
        span = _tracer.start_span(f"process {first.topic}", kind=SpanKind.CONSUMER)
        if span.is_recording():
            span.set_attributes(
                {
                    "messaging.system": "kafka",
                    "messaging.operation.name": "process",
                    "messaging.operation.type": "process",
                    "messaging.destination.name": first.topic,
                    "messaging.destination.partition.id": str(first.partition),
                    "messaging.consumer.group.name": self._group,
                    "messaging.batch.message_count": len(records),
                    "messaging.kafka.offset": first.offset,
                }
            )
            for record in records[:LINKS_MAX]:
                context = _publish_context(record)
                if context is not None:
                    span.add_link(context)
        return span


def _publish_context(record: RawRecord) -> SpanContext | None:
    """A stranger's bytes: whatever is no traceparent is passed over."""
    raw = next((value for name, value in record.headers if name == "traceparent"), None) or b""
    try:
        parsed = parse(raw.decode("ascii"))
        if parsed is None:
            return None
        context, sampled = parsed
        trace_id, span_id = int(context.trace_id, 16), int(context.span_id, 16)
    except ValueError:
        return None
    return SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(int(sampled)))
