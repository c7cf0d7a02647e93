"""Parts are examined for themselves: what fails, hangs or misses something it needs hides nothing else."""

from __future__ import annotations

import json
import threading
import time

import pytest

from streams import checks as stream_checks
from streams.facts import TICK_KEY
from xiezhi.contracts.naming import fact_topic
from xiezhi.doctor.checks import CHECKS
from xiezhi.doctor.examine import Report, examine
from xiezhi.doctor.finding import Check, Examined, Finding, Patient, Severity
from xiezhi.doctor.page import page, to_object, verdict
from xiezhi.errors import StoreError
from xiezhi.lag import PartitionLag
from xiezhi.log import RawRecord
from xiezhi.settings import Settings

PATIENT = Patient(Settings(), (), (), now_ms=1_795_500_000_000)
LOW = Finding(Severity.WARNING, "disk", "disk_low", {"folder": "/d", "free": "1 GiB", "wanted": "2 GiB"})
AWAY = Finding(Severity.CRITICAL, "broker", "no_broker", {"servers": "b:1"})
SOON = Finding(Severity.NOTE, "services", "restarted", {"service": "judge", "restarts": 4, "log": "l"})


def well(_: Patient) -> Examined:
    return Examined("fine")


def finds(*findings: Finding) -> Check:
    return Check(findings[0].part, lambda _: Examined("seen", findings))


def states(report: Report) -> dict[str, str]:
    return {one["part"]: one["state"] for one in to_object(report, PATIENT)["parts"]}


def test_a_bus_without_findings_is_healthy() -> None:
    report = examine(PATIENT, [Check("broker", well), Check("disk", well)])
    assert report.is_healthy
    assert verdict(report, "both") == "健康 healthy"
    assert states(report) == {"broker": "well", "disk": "well"}


def test_a_note_is_no_illness_and_a_warning_is() -> None:
    assert examine(PATIENT, [finds(SOON)]).is_healthy
    assert not examine(PATIENT, [finds(LOW)]).is_healthy


def test_the_worst_comes_first() -> None:
    report = examine(PATIENT, [finds(SOON), finds(LOW), finds(AWAY)])
    assert [one.severity for one in report.findings] == list(Severity)
    assert verdict(report, "en") == "not healthy: 1 critical, 1 warnings"


@pytest.mark.parametrize("error", [StoreError("torn"), ValueError("odd")])
def test_a_check_that_fails_is_a_finding_and_hides_no_other(error: Exception) -> None:
    def fails(_: Patient) -> Examined:
        raise error

    report = examine(PATIENT, [Check("topics", fails), finds(LOW)])
    assert states(report) == {"topics": "unexamined", "disk": "warning"}
    assert [one.text for one in report.findings] == ["unexamined", "disk_low"]
    assert str(error) in report.findings[0].said("en")


def test_a_check_that_hangs_is_left_behind() -> None:
    release = threading.Event()

    def hangs(_: Patient) -> Examined:
        release.wait(30)
        return Examined("late")

    begun = time.monotonic()
    report = examine(PATIENT, [Check("lag", hangs), Check("disk", well)], deadline_s=0.3)
    release.set()
    assert time.monotonic() - begun < 5
    assert states(report) == {"lag": "unexamined", "disk": "well"}
    assert "no answer within 0.3 s" in report.findings[0].said("zh")


def test_what_needs_a_part_that_is_away_is_not_asked_and_not_said_twice() -> None:
    asked: list[str] = []

    def note(_: Patient) -> Examined:
        asked.append("lag")
        return Examined("")

    report = examine(PATIENT, [Check("lag", note, ("broker",)), finds(AWAY), Check("disk", well)])
    assert asked == []
    assert states(report) == {"lag": "unexamined", "broker": "critical", "disk": "well"}
    assert [one.text for one in report.findings] == ["no_broker"]
    examine(PATIENT, [Check("lag", note, ("broker",)), Check("broker", well)])
    assert asked == ["lag"]


def test_the_page_says_part_by_part_what_was_seen_then_what_to_do() -> None:
    lines = [line for line, _ in page(examine(PATIENT, [finds(AWAY), Check("disk", well)]), PATIENT, "en")]
    assert lines[0].startswith("獬豸 doctor  2026-11-24")
    assert [line.split()[:2] for line in lines[2:5]] == [
        ["part", "state"],
        ["broker", "critical"],
        ["disk", "well"],
    ]
    assert "critical: no broker answers at b:1" in lines
    assert lines[-1] == "not healthy: 1 critical, 0 warnings"


def test_no_text_of_a_finding_can_steer_the_terminal() -> None:
    evil = Finding(Severity.WARNING, "topics", "topic_differs", {"what": "\x1b[2Jcleared\u202e"})
    lines = [line for line, _ in page(examine(PATIENT, [finds(evil)]), PATIENT, "both")]
    assert not any("\x1b" in line or "\u202e" in line for line in lines)


def ticked(*ticks: tuple[float, float]) -> list[RawRecord]:
    """(when it was appended, the instant that it names), in seconds before the doctor looks."""
    return [
        RawRecord(
            fact_topic(1),
            0,
            offset,
            _ago_ms(at_s),
            TICK_KEY,
            json.dumps({"now_ms": _ago_ms(said_s)}).encode(),
        )
        for offset, (at_s, said_s) in enumerate(ticks)
    ]


def _ago_ms(seconds: float) -> int:
    return PATIENT.now_ms - int(1000 * seconds)


@pytest.mark.parametrize(
    ("ticks", "text"),
    [
        ([(70, 71), (10, 11)], None),
        (
            [(10, -3_600), (5, 1e9)],
            "clock_ahead",
        ),  # it ended, and its successor does not know yet what has passed
        ([(500, -3_600), (10, 11)], None),  # that was long ago
        ([(500, 501), (200, 201)], "clock_silent"),
        ([(10, 900)], "watermark_old"),
        ([(500, -3_600)], "no_tick"),
        ([], "no_tick"),
    ],
)
def test_a_clock_that_is_silent_ahead_or_waits_is_found(
    ticks: list[tuple[float, float]], text: str | None
) -> None:
    well_known = ticked((10, 11))
    found = stream_checks.clock_examined(
        [well_known, ticked(*ticks)], PATIENT.now_ms, interval_s=60.0
    ).findings
    assert [one.text for one in found] == ([text] if text else [])


def test_rules_without_records_are_named_and_so_is_a_bus_without_rules() -> None:
    none = stream_checks.rules_examined(set(), set())
    assert [(one.text, one.severity) for one in none.findings] == [("no_rules", Severity.WARNING)]
    (lacking,) = stream_checks.rules_examined({"S01"}, {"civil.allowance.v1"}).findings
    assert (lacking.facts["rules"], lacking.facts["topics"]) == ("S01", "civil.death.v1")
    assert stream_checks.rules_examined({"S01"}, {"civil.allowance.v1", "civil.death.v1"}).findings == ()


def test_keys_that_are_judged_again_for_long_are_worth_knowing_and_a_silent_generation_is_critical() -> None:
    facts = fact_topic(2)
    read = [PartitionLag("xiezhi-judge.g2", facts, number, 90, 100) for number in (0, 1)]
    level, open_, silent = (
        [PartitionLag("xiezhi-rejudged.g2", facts, 0, offset, 100)] for offset in (90, 40, 0)
    )
    assert stream_checks.behind_the_judge([*read, *level]) == [], "what the judge has not read is its own lag"
    assert stream_checks.behind_the_judge([*read, *open_]) == open_
    assert stream_checks.rejudging_examined(open_, 29.0, 2).findings == ()
    (again,) = stream_checks.rejudging_examined(open_, 31.0, 2).findings
    assert (again.text, again.severity) == ("judging_again", Severity.NOTE)
    (not_yet,) = stream_checks.rejudging_examined(silent, 31.0, 2).findings
    assert (not_yet.text, not_yet.severity) == ("not_taken_over", Severity.CRITICAL)
    (first,) = stream_checks.rejudging_examined(silent, 31.0, 1).findings
    assert first.text == "judging_again", "the first generation waits for nobody"


def test_parts_have_one_name_each() -> None:
    parts = [check.part for check in (*CHECKS, *stream_checks.CHECKS)]
    assert len(set(parts)) == len(parts)
    assert {need for check in CHECKS for need in check.needs} <= set(parts)
