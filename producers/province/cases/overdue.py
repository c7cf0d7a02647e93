"""A01, a finding that nobody puts right in time: its sixty days and the days after them pass without a closure.

Everything that excuses comes well within the deadline, and every scene ends weeks after it.
"""

from __future__ import annotations

from producers.province.cases.plot import Plot
from producers.province.departments.audit import decide, find, report
from producers.province.scene import Scene
from schemas.audit.models import Finding
from schemas.catalogue import FINDING, RECTIFICATION

_VIOLATION = "P02"
_SPAN = 120


def _find(scene: Scene) -> Finding:
    """A finding of day 0, to be put right within sixty days."""
    finding = find(scene, _VIOLATION, day=0)
    scene.expect("A01", finding_id=finding.record_id)
    return finding


def nothing_reported(scene: Scene) -> None:
    """Nothing came in; decisive: a report, accepted in time."""
    finding = _find(scene)
    if scene.innocent:
        decide(scene, report(scene, finding, day=25), "accepted", day=40)


def never_decided(scene: Scene) -> None:
    """The unit reported and nothing followed; decisive: the report was accepted in time."""
    reported = report(scene, _find(scene), day=30)
    if scene.innocent:
        decide(scene, reported, "accepted", day=45)


def sent_back(scene: Scene) -> None:
    """The report was returned and none followed; decisive: a second one, accepted in time."""
    finding = _find(scene)
    decide(scene, report(scene, finding, day=15), "returned", day=25)
    if scene.innocent:
        decide(scene, report(scene, finding, day=35), "accepted", day=45)


def wrong_finding(scene: Scene) -> None:
    """What was accepted belongs to the unit's other finding; decisive: one was booked on it by mistake."""
    finding = _find(scene)
    other = find(scene, _VIOLATION, day=5)
    decide(scene, report(scene, other, day=20), "accepted", day=40)
    booked = decide(scene, report(scene, other, day=22), "accepted", day=40)
    if scene.innocent:
        scene.correct(RECTIFICATION, booked, at=scene.at(48), finding_id=finding.record_id)


def taken_back(scene: Scene) -> None:
    """Nothing came in; decisive: the auditors had taken the finding back."""
    finding = _find(scene)
    if scene.innocent:
        scene.withdraw(FINDING, finding, at=scene.at(30))


def closed_late(scene: Scene) -> None:
    """Overdue, until the acceptance comes weeks after the deadline: then the suspicion is taken back."""
    finding = find(scene, _VIOLATION, day=0)
    reported = report(scene, finding, day=50)
    scene.expect("A01", expected="withdrawn", finding_id=finding.record_id)
    at = scene.at(100)
    scene.correct_afterwards(RECTIFICATION, reported, at=at, status="accepted", closed_at=at)


PLOTS = (
    Plot("A01", "nothing_reported", _SPAN, nothing_reported),
    Plot("A01", "never_decided", _SPAN, never_decided),
    Plot("A01", "sent_back", _SPAN, sent_back),
    Plot("A01", "wrong_finding", _SPAN, wrong_finding),
    Plot("A01", "taken_back", _SPAN, taken_back),
    Plot("A01", "closed_late", _SPAN, closed_late, has_decoy=False),
)
