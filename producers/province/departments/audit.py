"""The audit office: findings at units and how far they were put right."""

from __future__ import annotations

from typing import Literal

from producers.province.scene import Scene
from producers.province.texts import texts
from schemas.audit.models import Finding, Rectification
from schemas.catalogue import FINDING, RECTIFICATION


def find(scene: Scene, violation: str, *, day: int) -> Finding:
    """Something found wrong at the scene's unit."""
    finding = Finding(
        record_id=scene.new_id("AF"),
        unit_id=scene.unit,
        violation=violation,
        found_at=scene.at(day),
        title=texts().finding_titles[violation],
    )
    return scene.say(FINDING, finding, at=finding.found_at)


def report(scene: Scene, finding: Finding, *, day: int) -> Rectification:
    """The unit reports that it has put the finding right."""
    report = Rectification(
        record_id=scene.new_id("AR"),
        finding_id=finding.record_id,
        unit_id=finding.unit_id,
        violation=finding.violation,
        status="reported",
    )
    return scene.say(RECTIFICATION, report, at=scene.at(day))


def decide(
    scene: Scene, report: Rectification, status: Literal["accepted", "returned"], *, day: int
) -> Rectification:
    """The audit office accepts the report, which closes the finding, or returns it."""
    at = scene.at(day)
    closed_at = at if status == "accepted" else None
    return scene.correct(RECTIFICATION, report, at=at, status=status, closed_at=closed_at)
