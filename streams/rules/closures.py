"""Which record closes an audit finding: shared by the rules about rectification."""

from __future__ import annotations

from schemas import catalogue
from streams.kernel import Statement, View


def closures(view: View) -> dict[str, Statement]:
    """Finding id -> the acceptance of its rectification; of several the last."""
    accepted = [r for r in view.of(catalogue.RECTIFICATION.topic) if r["status"] == "accepted"]
    return {r["finding_id"]: r for r in sorted(accepted, key=lambda r: (r["closed_at"], r.record_id))}
