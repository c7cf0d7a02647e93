"""What the benchmark of traces reports, and where results are kept."""

from __future__ import annotations

import os
from pathlib import Path

from benchmarks.results import write_section
from benchmarks.telemetry import OFF, OTLP, STORE, Passage, _environment, report


def test_each_way_stands_beside_off_of_the_same_round() -> None:
    """A slow round slows all ways alike, so rounds are compared, not medians of rounds."""
    passages = {
        OFF: [Passage(OFF, 1000, 1.0, 1.0), Passage(OFF, 1000, 2.0, 1.0), Passage(OFF, 1000, 4.0, 1.0)],
        STORE: [
            Passage(STORE, 1000, 1.0, 1.1),
            Passage(STORE, 1000, 2.5, 1.2),
            Passage(STORE, 1000, 4.0, 1.3),
        ],
        OTLP: [Passage(OTLP, 1000, 1.25, 2.0), Passage(OTLP, 1000, 2.5, 2.0), Passage(OTLP, 1000, 5.0, 2.0)],
    }
    rows = [
        line.split(" | ")
        for line in report(passages, {"cpu": "x"}, 1000)
        if line.startswith(("| off", "| loc", "| OT"))
    ]
    assert [row[-2] for row in rows] == ["1.000", "1.000", "0.800"]
    assert [row[-1] for row in rows] == ["1.000 |", "1.200 |", "2.000 |"]
    assert rows[0][1:4] == ["500", "250-1,000", "1000.0"]


def test_a_section_replaces_its_own_and_no_other(tmp_path: Path) -> None:
    file = tmp_path / "RESULTS.md"
    write_section("A", ["one"], file)
    write_section("B", ["two"], file)
    write_section("A", ["three \\1"], file)
    text = file.read_text("utf-8")
    assert text.startswith("# Measured\n")
    assert [line for line in text.splitlines() if line][-4:] == ["## A", "three \\1", "## B", "two"]


def test_what_is_measured_sees_no_other_variable_of_telemetry() -> None:
    os.environ["OTEL_TRACES_EXPORTER"] = "none"
    try:
        with _environment({"OTEL_SDK_DISABLED": "true"}):
            assert [name for name in os.environ if name.startswith("OTEL_")] == ["OTEL_SDK_DISABLED"]
        assert os.environ["OTEL_TRACES_EXPORTER"] == "none"
        assert "OTEL_SDK_DISABLED" not in os.environ
    finally:
        del os.environ["OTEL_TRACES_EXPORTER"]
