"""`xiezhi trace`, what is told when a statement takes effect, and the spans of following."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from consumers.alerts.cli import trace as command
from consumers.alerts.follow import Follow, Reader, follow
from consumers.alerts.statement import Filter, Stored
from consumers.alerts.store import AlertStore
from consumers.alerts.telling import teller
from consumers.alerts.texts import LANGS, Lang
from consumers.alerts.traces import WholeTrace, whole_trace
from consumers.alerts.waterfall import page
from schemas.catalogue import APPOINTMENT, KINSHIP, OWNERSHIP, PANEL
from tests.tracing import JUDGED_MS, Spans, evidence, said
from xiezhi.cli.terminal import width
from xiezhi.contracts.bus import ALERT
from xiezhi.settings import Settings
from xiezhi.telemetry import alert_stages
from xiezhi.telemetry.alert_spans import OLD_MS, trace_of
from xiezhi.telemetry.span import Context, StageSpan
from xiezhi.telemetry.span_store import SpanStore, folder_of

#: One of each kind: told whole, recorded by its publisher, restarted, too old.
EVENTS = [
    evidence(PANEL.topic, 0, ingested_ms=JUDGED_MS - OLD_MS - 1),
    evidence(APPOINTMENT.topic, 1),
    evidence(KINSHIP.topic, 2, traceparent=f"00-{3:032x}-{3:016x}-01"),
    evidence(OWNERSHIP.topic, 3, traceparent="", sent_ms=0),
]
ONE = said(EVENTS, rule_id="P13")


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XIEZHI_DATA_DIR", str(tmp_path))
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)
    return Settings()


@pytest.fixture
def store(settings: Settings) -> Iterator[AlertStore]:
    opened = AlertStore.open(f"sqlite:///{settings.data_dir / 'alerts.sqlite3'}")
    opened.apply([ONE], {}, stored_ms=5)
    yield opened
    opened.close()


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Spans:
    return Spans(monkeypatch, alert_stages)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(command, arguments, catch_exceptions=False)


def since(stage: str, at_ms: int, service: str = "xiezhi-alerts-follow") -> StageSpan:
    context = trace_of(ONE.alert, ONE.said).alert.context
    start_ns = (JUDGED_MS + at_ms) * 1_000_000
    attributes = {"xiezhi.stage": stage}
    own = Context(context.trace_id, stage.ljust(16, "0"))
    return StageSpan(stage, "CONSUMER", service, own, context.span_id, start_ns, start_ns + 10**6, attributes)


def whole(*later: StageSpan) -> WholeTrace:
    return WholeTrace(Stored(1, 0, ONE), trace_of(ONE.alert, ONE.said), later, "")


# -- the page ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lang", LANGS)
@pytest.mark.parametrize("cells", [60, 80, 120])
def test_a_page_fits_its_width_in_every_language(lang: Lang, cells: int) -> None:
    for line in page(whole(since("store", 40), since("deliver", 10**6)), lang, cells):
        assert width(line) <= cells
        assert line == line.rstrip()


def test_a_page_shows_every_stage_with_its_place_in_time() -> None:
    lines = page(whole(since("store", 40, "xiezhi-alert-store"), since("deliver", 60)), "en", 80)
    words = [line.split() for line in lines]
    assert ["2", f"{APPOINTMENT.topic}/1/1", "department", "hr"] in words
    assert [f"{2:032x}", f"{2:016x}"] in words
    published = next(line for line in lines if line.strip().startswith("publish hr"))
    assert published.split()[2:6] == ["0", "ms", "10", "ms"]
    assert [line.split()[1] for line in lines if "└" in line and "█" in line and "judge" in line] == [
        "judge"
    ] * 3
    assert "   rests on [1] [2] [3] [4]" in lines
    bars = [line.index("█") for line in lines if line.strip().startswith(("publish hr", "say", "└ store"))]
    assert bars == sorted(bars)
    assert bars[0] < bars[1]


def test_what_is_missing_is_said_where_it_is_missing() -> None:
    text = "\n".join(page(whole(), "en", 80))
    for note in (
        "older than an hour when the alert was said: link only",
        "the publisher recorded its own publish span: look there",
        "no usable trace context came with it: restarted here",
        "no span of a delivery here",
        "no span of an acknowledgement here",
    ):
        assert f"   ! {note}" in text


def test_a_delivery_of_the_next_day_does_not_shrink_the_rest() -> None:
    lines = page(whole(since("store", 40), since("acknowledge", 86_400_000)), "en", 80)
    [late] = [line for line in lines if "acknowledge alerts-follow" in line]
    assert late.endswith("»")
    assert "24h 00m" in late
    [judged] = [line for line in lines if "judge P13" in line][:1]
    assert judged.count("█") > 10


def test_text_that_a_terminal_would_obey_is_made_harmless() -> None:
    hostile = said([evidence("\x1b[2J.evil.v1", 1)], rule_id="\x1b]0;x\x07")
    shown = page(WholeTrace(Stored(1, 0, hostile), trace_of(hostile.alert, hostile.said), (), ""), "both", 80)
    assert not any(mark in line for line in shown for mark in ("\x1b", "\x07"))


# -- the command -------------------------------------------------------------------------------------------------


def test_the_command_draws_what_the_record_says_and_what_the_store_holds(
    store: AlertStore, settings: Settings, spans: Spans
) -> None:
    teller(spans.tracing)(ONE, 1)
    SpanStore(folder_of(settings), "xiezhi-alert-store").export(spans.finished)
    told = json.loads(run("a1a1", "--json").output)
    assert [event["notes"] for event in told["events"]] == [["link_only"], [], ["elsewhere"], ["restarted"]]
    assert [span["stage"] for span in told["since"]] == ["store"]
    assert told["notes"] == ["not_delivered", "not_acknowledged"]
    drawn = run("a1a1", "--lang", "en").output.splitlines()
    assert drawn[0].startswith("trace of  a1a1a1a1a1a1  P13  raised")
    assert max(map(width, drawn)) <= 80  # not a terminal
    assert any(line.strip().startswith("└ store") for line in drawn)


def test_every_statement_can_be_asked_for(store: AlertStore) -> None:
    store.apply([said(EVENTS, position=9, state="withdrawn")], {}, stored_ms=6)
    assert [json.loads(line)["position"] for line in run("a1", "--all", "--json").output.splitlines()] == [
        7,
        9,
    ]
    assert json.loads(run("a1", "--json").output)["state"] == "withdrawn"


def test_with_an_endpoint_the_page_says_where_to_look(
    store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    assert "spans of what happened since go to http://collector:4318" in run("a1", "--lang", "en").output


def test_a_statement_of_an_earlier_version_is_drawn_up_to_the_alert(settings: Settings) -> None:
    old = replace(ONE, traceparent=EVENTS[1].traceparent)
    assert whole_trace(Stored(1, 0, old), settings).notes() == ["earlier_version"]


# -- telling -----------------------------------------------------------------------------------------------------


def test_a_store_that_is_filled_again_tells_the_same_spans(
    spans: Spans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")
    tell = teller(spans.tracing)
    tell(ONE, 1)
    first = [one for one in spans.ids() if not one[0].startswith("store")]
    assert len(first) == 3 + 2 + 3 + 1
    tell(ONE, 1)
    again = [one for one in spans.ids() if not one[0].startswith("store")][len(first) :]
    assert again == first


def test_without_an_endpoint_only_the_storing_is_told(spans: Spans, settings: Settings) -> None:
    teller(spans.tracing)(ONE, 123)
    [span] = spans.finished
    assert (span.name, span.start_time) == (f"store {ALERT.topic}", 123)
    context = trace_of(ONE.alert, ONE.said).alert.context
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == context


def test_following_delivers_and_with_a_cursor_acknowledges(store: AlertStore, spans: Spans) -> None:
    assert followed(store, spans, Follow(Filter(), "desk", from_start=True)) == ["deliver", "acknowledge"]
    assert followed(store, spans, Follow(Filter(), from_start=True)) == ["deliver"]


def followed(store: AlertStore, spans: Spans, what: Follow) -> Sequence[str]:
    before, stopping = len(spans.finished), threading.Event()
    reader = Reader(lambda _: None, lambda _: stopping.set())
    follow(store, what, reader, stopping=stopping, clock=lambda: 5)
    return [span.name.split()[0] for span in spans.finished[before:]]


def test_a_delivery_that_fails_is_not_told_with_its_error(store: AlertStore, spans: Spans) -> None:
    def write(stored: Stored) -> None:
        raise OSError("pt1_secret")

    what, reader = Follow(Filter(), from_start=True), Reader(lambda _: None, write)
    with pytest.raises(OSError, match="pt1_secret"):
        follow(store, what, reader, stopping=threading.Event(), clock=lambda: 5)
    [span] = spans.finished
    assert "pt1_secret" not in span.to_json()


def test_a_statement_without_context_is_stored_without_a_span(spans: Spans, settings: Settings) -> None:
    teller(spans.tracing)(replace(ONE, traceparent=""), 1)
    assert spans.finished == ()
