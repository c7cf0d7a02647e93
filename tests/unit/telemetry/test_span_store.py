"""The local store is bounded, survives torn lines and full disks, and reads back what was written."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from opentelemetry.sdk.trace.export import SpanExportResult

from schemas.catalogue import DEATH, PANEL
from tests.tracing import evidence, said
from xiezhi.telemetry.alert_spans import trace_of
from xiezhi.telemetry.otlp_json import from_line, to_line
from xiezhi.telemetry.setup import readable
from xiezhi.telemetry.span import StageSpan
from xiezhi.telemetry.span_store import SpanStore, read_spans, segments

ONE = said([evidence(DEATH.topic, 4), evidence(PANEL.topic, 5)])
SPANS = trace_of(ONE.alert, ONE.said).spans
ALERT = SPANS[-1]


def export(store: SpanStore, *spans: StageSpan) -> SpanExportResult:
    return store.export([readable(span) for span in spans])


def read(folder: Path) -> list[StageSpan]:
    return list(read_spans(folder, ALERT.context.trace_id))


def test_a_span_reads_back_as_it_was_written() -> None:
    assert [from_line(to_line(readable(span))) for span in SPANS] == list(SPANS)


def test_a_line_is_otlp_json() -> None:
    """As a collector's otlpjsonfile receiver takes it: ids in hexadecimal, 64-bit integers as text."""
    document = json.loads(to_line(readable(ALERT)))
    [span] = document["resourceSpans"][0]["scopeSpans"][0]["spans"]
    assert (span["traceId"], span["spanId"], span["kind"]) == (*ALERT.context, 4)
    assert span["startTimeUnixNano"] == str(ALERT.start_ns)
    assert {"key": "messaging.kafka.offset", "value": {"intValue": "0"}} in span["attributes"]
    assert [link["traceId"] for link in span["links"]] == [link.context.trace_id for link in ALERT.links]


def test_several_processes_write_and_one_trace_is_found(tmp_path: Path) -> None:
    for service in ("a", "b"):
        assert export(SpanStore(tmp_path, service), *SPANS) is SpanExportResult.SUCCESS
    assert len(segments(tmp_path)) == 2
    assert read(tmp_path) == [ALERT, ALERT]


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert read(tmp_path / "never") == []


def test_what_a_crash_tore_is_passed_over(tmp_path: Path) -> None:
    export(SpanStore(tmp_path, "a"), ALERT)
    [segment] = segments(tmp_path)
    whole = segment.read_bytes()
    segment.write_bytes(whole + whole[: len(whole) // 2])
    assert read(tmp_path) == [ALERT]


@pytest.mark.parametrize(
    "line", [b"", b"{}", b"[]", b'{"resourceSpans":[]}', b'{"resourceSpans":[{"scopeSpans":1}]}']
)
def test_a_line_that_is_no_span_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 -- of JSON's own, too
        from_line(line)


def test_the_oldest_segments_make_room(tmp_path: Path) -> None:
    line = len(to_line(readable(ALERT)))
    store = SpanStore(tmp_path, "a", segment_bytes_max=line * 3, folder_bytes_max=line * 12)
    for _ in range(100):
        export(store, ALERT)
    assert sum(path.stat().st_size for path in segments(tmp_path)) <= line * 12
    assert len(read(tmp_path)) >= 8
    assert store.dropped == 0


def test_segments_are_bounded_in_number(tmp_path: Path) -> None:
    for _ in range(12):
        export(SpanStore(tmp_path, "a", segments_max=5), ALERT)
    assert len(segments(tmp_path)) == 5


def test_a_segment_that_another_process_deleted_swallows_nothing(tmp_path: Path) -> None:
    store = SpanStore(tmp_path, "a")
    export(store, ALERT)
    segments(tmp_path)[0].unlink()
    export(store, ALERT)
    assert read(tmp_path) == [ALERT]


def test_a_full_disk_drops_spans_and_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    full = True

    def write(file: int, data: bytes) -> int:
        if full:
            os.write(file, data[:10])  # what still fitted
            raise OSError(errno.ENOSPC, "No space left on device")
        return os.write(file, data)

    store = SpanStore(tmp_path, "a", write=write)
    assert export(store, *SPANS) is SpanExportResult.FAILURE
    assert export(store, *SPANS) is SpanExportResult.FAILURE
    assert store.dropped == 2 * len(SPANS)
    assert [record.getMessage() for record in caplog.records] == [
        f"7 spans dropped so far: {tmp_path}: No space left on device; free some space there; nothing but traces "
        "is missing"
    ]
    full = False
    assert export(store, ALERT) is SpanExportResult.SUCCESS
    assert read(tmp_path) == [ALERT]


def test_a_folder_that_cannot_be_made_drops_spans(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    store = SpanStore(tmp_path / "file", "a")
    assert export(store, ALERT) is SpanExportResult.FAILURE
    assert store.dropped == 1
