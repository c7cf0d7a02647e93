"""The relation `violation`: a unit broke a rule at some time. Derived from HITs, read by the rebound rule."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from streams.kernel import Derived, Finding, View
from streams.rules.standing import ESTABLISHED

KIND = "violation"

#: Rules whose HITs can return after a unit reported them as put right. Sealed rules are not among them.
_RULES = ("C01", "C03", "C04", "P01", "P02", "P12")


def derive(view: View, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Derived]:
    """One relation per HIT of a rule that auditors cite, at the unit responsible."""
    return [
        _violation(rule_id, finding)
        for rule_id in _RULES
        for finding in findings.get(rule_id, ())
        if finding.office
    ]


def _violation(rule_id: str, finding: Finding) -> Derived:
    subject = dict(finding.subject)
    return Derived(
        kind=KIND,
        identity=(rule_id, *(f"{name}={subject[name]}" for name in sorted(subject))),
        attributes={
            "unit_id": finding.office,
            "violation": rule_id,
            "occurred_ms": str(finding.numbers["occurred_ms"]),
            ESTABLISHED: str(finding.stands_since_ms),
            **subject,
        },
        evidence=finding.evidence,
        jurisdiction=finding.jurisdiction,
    )
