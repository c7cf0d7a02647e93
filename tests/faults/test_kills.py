"""Real `kill -9` of every service and the broker under paced load: nothing lost, nothing repeated, the oracle's answer.

The engine is that of `make crash-loop`; its report is printed and kept in `.xiezhi/crash-loop/test.json`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.kills.engine import ROOT, SERVICES, KillRun, Plan, bus
from tests.faults.kills.points import WITH_INPUT, Point
from tests.faults.kills.recovery import BROKER

PLAN = Plan(kills=60, seed=20261122)
REPORT = ROOT / ".xiezhi" / "crash-loop" / "test.json"


@pytest.fixture(autouse=True)
def _quiet_clients() -> Iterator[None]:
    """Of a broker that is killed on purpose its clients complain hundreds of times."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


def test_kills_under_load_change_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with bus(tmp_path) as (stack, settings):
        report = KillRun(stack, settings, PLAN, print).run()
    report.write(REPORT)
    with capfd.disabled():
        print(f"\n{report.text()}")  # noqa: T201 -- the report of this run
    assert json.loads(REPORT.read_text("utf-8"))["seed"] == PLAN.seed
    verdict = report.verdict
    assert verdict is not None, report.ended_by
    assert verdict.records_lost == 0
    assert verdict.duplicated_effects == 0
    assert verdict.audit_gaps == 0
    assert verdict.wrong_answers == 0
    assert verdict.audit_check_is_clean
    assert verdict.alerts_standing > 100
    assert report.total >= PLAN.kills
    assert set(report.kills) == {*SERVICES, BROKER}
    assert set(report.stores_deleted) == {"judge", "router"}
    # A kill says nothing where there was nothing to lose.
    assert report.with_uncommitted_input >= 10
    met = {point for name in WITH_INPUT for point in report.points[name]}
    assert met & {Point.OUTPUTS_AHEAD, Point.STATE_AHEAD, Point.INPUT_WAITING}
