"""A02: a finding was closed as rectified, and the same unit breaks the same rule again in live records."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from schemas import catalogue
from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules import violations
from streams.rules.closures import closures
from streams.rules.findings import clear, evidence_of, insufficient, merged, not_applicable


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    findings = {finding.record_id: finding for finding in view.of(catalogue.FINDING.topic)}
    closed = closures(view)
    if not findings and not closed:
        return [not_applicable("never_found")]
    judged = [
        _judge(findings[finding_id], closed.get(finding_id), view, parameters)
        for finding_id in sorted(findings)
    ]
    return [*judged, *(insufficient("finding_missing") for _ in closed.keys() - findings.keys())]


def _judge(finding: Statement, closure: Statement | None, view: View, parameters: Parameters) -> Finding:
    if closure is None:
        return not_applicable("not_closed")
    closed_ms = closure["closed_at"]
    months = parameters.at("window_months", closed_ms, finding.jurisdiction)
    until_ms = _months_later(closed_ms, months)
    again = [v for v in view.relations(violations.KIND) if closed_ms < _occurred_ms(v) <= until_ms]
    if not again:
        return clear("not_seen_again")
    return _hit(finding, closure, sorted(again, key=lambda v: (_occurred_ms(v), v.record_id)))


def _hit(finding: Statement, closure: Statement, again: Sequence[Statement]) -> Finding:
    return Finding(
        outcome=Outcome.HIT,
        reason="seen_again",
        subject={"finding_id": finding.record_id},
        evidence=merged(
            [Evidence.of(finding, "unit_id", "violation", "found_at")],
            [Evidence.of(closure, "status", "closed_at")],
            *(evidence_of(violation) for violation in again),
        ),
        numbers={
            "violation": finding["violation"],
            "times": len(again),
            "found_ms": finding["found_at"],
            "closed_ms": closure["closed_at"],
            "occurred_ms": _occurred_ms(again[0]),
        },
        jurisdiction=finding.jurisdiction,
        office=finding["unit_id"],
    )


def _occurred_ms(violation: Statement) -> int:
    return int(violation["attributes"]["occurred_ms"])


def _months_later(instant_ms: int, months: int) -> int:
    """The same day of the month and time, `months` later; the month's last day where there is no such day."""
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant_ms)
    years, month = divmod(instant.month - 1 + months, 12)
    year, month = instant.year + years, month + 1
    later = instant.replace(year=year, month=month, day=min(instant.day, monthrange(year, month)[1]))
    return instant_ms + (later - instant) // timedelta(milliseconds=1)
