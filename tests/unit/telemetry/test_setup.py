"""Where spans go, by the standard variables. Each case in a process of its own: a provider is set once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.otlp_receiver import receiver
from xiezhi.telemetry.setup import endpoint, is_off
from xiezhi.telemetry.span_store import segments

PROGRAM = """
import sys, time
from opentelemetry import trace
from tests.tracing import evidence, said
from xiezhi.settings import Settings
from xiezhi.telemetry.alert_spans import trace_of
from xiezhi.telemetry.alert_stages import stage
from xiezhi.telemetry.setup import tracing

one = said([evidence("civil.death.v1", 4)])
with tracing("office", Settings(), to_store="--not-to-store" not in sys.argv) as traced:
    traced.tell(trace_of(one.alert, one.said).spans)
    with stage("deliver", one.alert, one.said, one.traceparent, reader="zhang-san"):
        pass
    begun = time.monotonic()
print(round(time.monotonic() - begun, 1), trace.get_tracer("any").start_span("late").is_recording())
"""


def run(data_dir: Path, *arguments: str, **environment: str) -> list[str]:
    """The seconds that the end took, and whether spans are recorded after it."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM, *arguments],
        env={**kept, "XIEZHI_DATA_DIR": str(data_dir), "PYTHONPATH": ".", **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def stored(data_dir: Path) -> list[str]:
    lines = [line for path in segments(data_dir / "traces") for line in path.read_text().splitlines()]
    return [json.loads(line)["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["name"] for line in lines]


def test_without_an_endpoint_spans_are_stored_here(tmp_path: Path) -> None:
    assert run(tmp_path)[1] == "False"
    assert sorted(stored(tmp_path)) == [
        "deliver xiezhi.alert.v1",
        "judge C04",
        "route civil.death.v1",
        "send civil.death.v1",
        "send xiezhi.alert.v1",
    ]
    kept = segments(tmp_path / "traces")[0].read_text()
    assert "zhang-san" not in kept  # whose cursor it is may be a person's name
    assert '"service.name","value":{"stringValue":"office"}' in kept
    assert "service.instance.id" in kept
    assert "service.version" in kept


def test_with_an_endpoint_spans_go_there_alone(tmp_path: Path) -> None:
    with receiver() as collector:
        run(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=collector.endpoint)
        assert len(collector.spans) == 5
        [delivered] = [span for span in collector.spans if span.name.startswith("deliver")]
        [alert] = [span for span in collector.spans if span.name == "send xiezhi.alert.v1"]
        assert (delivered.trace_id, delivered.parent_span_id) == (alert.trace_id, alert.span_id)
        assert alert.links == [(f"{5:032x}", f"{5:016x}")]
    assert stored(tmp_path) == []


def test_an_endpoint_that_is_away_holds_nobody_up_for_long(tmp_path: Path) -> None:
    seconds, _ = run(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    assert float(seconds) <= 6.0


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        ((), {"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"}),
        ((), {"OTEL_TRACES_EXPORTER": "none"}),
        (("--not-to-store",), {}),
    ],
)
def test_telemetry_can_be_off(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str]
) -> None:
    run(tmp_path, *arguments, **environment)
    assert stored(tmp_path) == []


def test_the_endpoint_of_traces_comes_first() -> None:
    both = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://a", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://b"}
    assert endpoint(both) == "http://b"
    assert endpoint({**both, "OTEL_SDK_DISABLED": "true"}) == ""
    assert endpoint({}) == ""
    assert not is_off({})
