"""Which record closes an audit finding: shared by the rules about rectification."""

from __future__ import annotations

from schemas import catalogue
from streams.kernel import Statement, View


def closures(view: View) -> dict[str, Statement]:
    """Finding id -> the acceptance of its rectification; of several the last."""
    return {finding_id: accepted[-1] for finding_id, accepted in acceptances(view).items()}


def acceptances(view: View) -> dict[str, list[Statement]]:
    """Finding id -> the acceptances of its rectification, by the day on which they closed it."""
    found: dict[str, list[Statement]] = {}
    accepted = [r for r in view.of(catalogue.RECTIFICATION.topic) if r["status"] == "accepted"]
    for one in sorted(accepted, key=closing):
        found.setdefault(one["finding_id"], []).append(one)
    return found


def closing(acceptance: Statement) -> tuple[int, str]:
    """Of two acceptances the one for which this is greater closes the finding."""
    return (acceptance["closed_at"], acceptance.record_id)
