"""A batch is one span with few links, and only where somebody takes spans."""

from __future__ import annotations

import pytest
from opentelemetry.trace import INVALID_SPAN

from streams import batch_spans
from streams.batch_spans import INTERVAL_S, LINKS_MAX, BatchSpans
from tests.simulation.world import ORDER, TRACEPARENT, record
from tests.tracing import Spans
from xiezhi.log import RawRecord


def test_a_batch_is_one_span_with_links_to_its_first_publish_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    spans = Spans(monkeypatch, batch_spans)
    BatchSpans("xiezhi-router").start([record(ORDER, f"o{n}", {}, offset=n) for n in range(50)]).end()
    [span] = spans.finished
    assert span.name == f"process {ORDER}"
    assert span.attributes is not None
    assert (span.attributes["messaging.batch.message_count"], len(span.links)) == (50, LINKS_MAX)
    assert f"{span.links[0].context.span_id:016x}" == TRACEPARENT.split("-")[2]


_NOT_HEXADECIMAL = b"00-" + b"x" * 32 + b"-" + b"y" * 16 + b"-zz"


@pytest.mark.parametrize("value", [None, b"", b"\xff" * 55, b"00-" + b"-" * 52, _NOT_HEXADECIMAL])
def test_what_is_no_traceparent_costs_a_batch_nothing(
    value: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = Spans(monkeypatch, batch_spans)
    BatchSpans("xiezhi-router").start([RawRecord(ORDER, 0, 1, 0, b"k", b"v", [("traceparent", value)])]).end()
    assert [len(span.links) for span in spans.finished] == [0]


def test_an_empty_batch_is_no_span() -> None:
    assert BatchSpans("xiezhi-router").start([]) is INVALID_SPAN


def test_many_small_batches_make_few_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    spans, now = Spans(monkeypatch, batch_spans), iter(range(10**6))
    ticking = BatchSpans("xiezhi-router", clock=lambda: next(now) * INTERVAL_S / 25)
    for offset in range(200):
        ticking.start([record(ORDER, "o", {}, offset=offset)]).end()
    assert 5 <= len(spans.finished) <= 10
