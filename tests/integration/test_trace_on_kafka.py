"""The trace of an alert on a running bus: four departments in one tree, drawn here and sent to a collector."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from consumers.alerts.database import path_of, url_of
from consumers.alerts.statement import Filter, Stored
from consumers.alerts.store import AlertStore
from producers.province.cases import PLOTS
from producers.province.days import Calendar
from producers.province.publication import Publication
from producers.province.publishing import publish_all
from producers.province.scene import Scene, Setting
from tests.otlp_receiver import Receiver, receiver
from tests.running_bus import ROOT, RunningBus, wait_for
from tests.scrape import exposed
from xiezhi.codec import Codec
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.evidence import EvidenceRef
from xiezhi.envelope import Envelope
from xiezhi.local.services import environment
from xiezhi.local.state import read_state
from xiezhi.log import LogReader
from xiezhi.project import load_project
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.telemetry.span_store import folder_of
from xiezhi.wall_clock import now_ms

PLOT = next(plot for plot in PLOTS if plot.key == "P13/spouse_wins")
DEPARTMENTS = {"hr", "civil", "registry", "tender"}
SINCE = ["store", "deliver", "acknowledge"]


def tell(seed: int) -> Scene:
    """An evaluator whose spouse owns the winner."""
    scene = Scene(Setting(seed, PLOT.key, Calendar(now_ms()), PLOT.span_days))
    PLOT.tell(scene)
    return scene


def publish(bus: RunningBus, scene: Scene) -> Stored:
    """Publish the scene and wait for its P13 alert."""
    publications = [filing.publication for filing in sorted(scene.filings, key=lambda one: one.arrives_ms)]
    publish_all(publications, bus.settings, Codec(ConfluentRegistry(bus.settings.registry_url)))
    [subject] = [one.subject for one in scene.expectations if one.rule == "P13"]
    found: list[Stored] = []

    def is_stored() -> bool:
        store = AlertStore.open(url_of(bus.settings))
        standing = store.standing(Filter(rules=("P13",)), limit=1000)
        store.close()
        found[:] = [one for one in standing if dict(one.alert.subject) == dict(subject)]
        return bool(found) and {ref.topic.split(".")[0] for ref in found[0].alert.evidence} >= DEPARTMENTS

    wait_for(lambda: path_of(bus.settings).exists() and is_stored(), 120, "the P13 alert is stored")
    bus.quiet()
    is_stored()
    return found[0]


@contextmanager
def following(bus: RunningBus, cursor: str) -> Iterator[subprocess.Popen[str]]:
    """`xiezhi alerts follow` as an office runs it; Ctrl-C at the end."""
    with subprocess.Popen(
        [
            sys.executable,
            "-m",
            "xiezhi.cli.main",
            "alerts",
            "follow",
            "--from-start",
            "--cursor",
            cursor,
            "--json",
        ],
        cwd=ROOT,
        env={**os.environ, **environment(bus.settings)},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(30)


def deliver(bus: RunningBus, alert: Alert, cursor: str) -> None:
    with following(bus, cursor) as process:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)["alert"]
            if (said["record_id"], said["position"]) == (alert.record_id, alert.position):
                return
    raise AssertionError("the alert was not delivered")


def trace(bus: RunningBus, alert: Alert) -> dict[str, Any]:
    told = bus.cli("trace", alert.record_id[:16], "--json")
    assert told.returncode == 0, told.stderr
    whole: dict[str, Any] = json.loads(told.stdout)
    return whole


def sent_contexts(settings: Settings, evidence: list[EvidenceRef]) -> dict[str, tuple[str, str]]:
    """Event id → ids in the traceparent that the log holds at the event's address."""
    found = {}
    with LogReader(settings.bootstrap_servers) as log:
        for one in evidence:
            [[raw]] = log.read(one.topic, one.partition, one.offset, one.offset + 1)
            _, trace_id, span_id, flags = Envelope.from_headers(raw.headers).traceparent.split("-")
            assert flags == "00"  # its publisher recorded nothing
            found[one.event_id] = (trace_id, span_id)
    return found


def texts(publications: list[Publication]) -> set[str]:
    """Every text in these records that could tell whom or what they are about."""
    found: set[str] = set()

    def collect(value: Any) -> None:
        if isinstance(value, str):
            found.add(value)
        for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            collect(inner)

    for one in publications:
        found.add(one.record_id)
        if one.record is not None:
            collect(one.record.model_dump(mode="json"))
    return {text for text in found if not text.isascii() or any(map(str.isdigit, text))}  # others are choices


def test_a_p13_alert_is_one_tree_over_four_departments(bus: RunningBus) -> None:
    scene = tell(seed=71)
    alert = publish(bus, scene).alert
    deliver(bus, alert, "trace-desk")
    whole = trace(bus, alert)

    assert {event["topic"].split(".")[0] for event in whole["events"]} == DEPARTMENTS
    sent = sent_contexts(bus.settings, alert.evidence)
    for event in whole["events"]:
        publish_span, route, judge = event["spans"]
        assert (publish_span["trace_id"], publish_span["span_id"]) == sent[event["event_id"]]
        assert (route["parent_span_id"], judge["parent_span_id"]) == (
            publish_span["span_id"],
            route["span_id"],
        )
        times = [publish_span["start_ms"], route["start_ms"], judge["start_ms"], judge["end_ms"]]
        assert times == sorted(times)
        assert publish_span["start_ms"] < publish_span["end_ms"]  # the publisher said when it sent it
        assert event["notes"] == []
    links = {(link["trace_id"], link["span_id"]) for link in whole["alert"]["links"]}
    assert links == set(sent.values())
    assert [span["stage"] for span in whole["since"]] == SINCE
    assert {span["parent_span_id"] for span in whole["since"]} == {whole["alert"]["span_id"]}
    assert whole["notes"] == []

    drawn = bus.cli("trace", alert.record_id[:16])
    assert drawn.returncode == 0
    for owner in DEPARTMENTS:
        assert f"department {owner}\n" in drawn.stdout
    kept = b"".join(path.read_bytes() for path in folder_of(bus.settings).iterdir()).decode()
    assert alert.record_id in kept
    logs = "".join(bus.log_of(service.name) for service in load_project(ROOT).services)
    measured = metrics_of(bus)
    canaries = texts([filing.publication for filing in scene.filings])
    assert len(canaries) > 20
    for canary in canaries:
        assert canary not in kept + logs + measured + drawn.stdout + json.dumps(whole, ensure_ascii=False)


def metrics_of(bus: RunningBus) -> str:
    """What every service serves, as text."""
    state = read_state(bus.settings.data_dir / "stack")
    assert state is not None
    ports = [process.metrics_port for process in state.processes if process.metrics_port]
    assert len(ports) == len(load_project(ROOT).services)
    return "".join(map(exposed, ports))


def test_the_same_spans_arrive_at_a_collector(bus: RunningBus, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiver() as collector:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint)
        monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "200")
        bus.serve()
        try:
            scene = tell(seed=72)
            alert = publish(bus, scene).alert
            deliver(bus, alert, "collector-desk")
            whole = trace(bus, alert)
            check_collected(collector, whole)
        finally:
            monkeypatch.undo()
            bus.serve()
        canaries = texts([filing.publication for filing in scene.filings])
        arrived = b"".join(collector.raw)
        assert not [canary for canary in canaries if canary.encode() in arrived]


def check_collected(collector: Receiver, whole: dict[str, Any]) -> None:
    assert whole["notes"] == ["at_endpoint"]
    computed = [span for event in whole["events"] for span in event["spans"]] + [whole["alert"]]
    ids = {(span["trace_id"], span["span_id"]) for span in computed}
    trace_id, alert_span = whole["trace_id"], whole["alert"]["span_id"]

    def stages() -> set[str]:
        return {span.attributes.get("xiezhi.stage", "") for span in collector.of_trace(trace_id)}

    wait_for(lambda: ids <= {(one.trace_id, one.span_id) for one in list(collector.spans)}, 30, "all spans")
    wait_for(lambda: set(SINCE) <= stages(), 30, "what happened since")
    for span in computed:
        found = [one for one in collector.of_trace(span["trace_id"]) if one.span_id == span["span_id"]]
        assert {
            (one.service, one.name, one.parent_span_id, round(one.start_ms), round(one.end_ms))
            for one in found
        } == {
            (
                span["service"],
                span["name"],
                span["parent_span_id"],
                round(span["start_ms"]),
                round(span["end_ms"]),
            )
        }
    since = [one for one in collector.of_trace(trace_id) if one.span_id != alert_span]
    assert {one.parent_span_id for one in since} == {alert_span}
    batches = {one.service for one in list(collector.spans) if one.name.startswith("process ")}
    assert batches == {"xiezhi-router", "xiezhi-judge"}


def test_a_subscriber_in_python_is_part_of_the_trace(bus: RunningBus, tmp_path: Path) -> None:
    alert = publish(bus, tell(seed=71)).alert  # published before: recognised, and without a second effect
    program = tmp_path / "office.py"
    program.write_text(SUBSCRIBER, "utf-8")
    done = subprocess.run(
        [sys.executable, str(program), alert.record_id],
        env={**os.environ, **environment(bus.settings)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    whole = trace(bus, alert)
    ours = [span["stage"] for span in whole["since"] if span["service"] == "our-office"]
    assert ours == ["deliver", "acknowledge"]


SUBSCRIBER = """
import sys

from xiezhi.settings import Settings
from xiezhi.subscribe import Subscriber
from xiezhi.telemetry.setup import tracing

with tracing("our-office", Settings()), Subscriber(Settings(), "trace-office") as subscriber:
    for delivery in subscriber:
        delivery.acknowledge()
        if delivery.alert.record_id == sys.argv[1]:
            break
"""
