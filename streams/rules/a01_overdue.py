"""A01: the deadline of a finding's rectification has passed, and no accepted record closes it.

What raises the alert is an absence, so it rests on the clock: some working days after the deadline are left for the
record to arrive, and an acceptance that comes still later takes the alert back, whether it was late or only its record.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas import catalogue
from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules.closures import closures
from streams.rules.days import day_of, end_of_natural_days
from streams.rules.findings import clear, insufficient, merged, not_applicable
from streams.rules.working_days import WorkingDays


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    findings = {finding.record_id: finding for finding in view.of(catalogue.FINDING.topic)}
    closed = closures(view)
    if not findings and not closed:
        return [not_applicable("never_found")]
    judged = [
        _judge(findings[finding_id], closed.get(finding_id), view, parameters, now_ms)
        for finding_id in sorted(findings)
    ]
    return [*judged, *(insufficient("finding_missing") for _ in closed.keys() - findings.keys())]


def _judge(
    finding: Statement, closure: Statement | None, view: View, parameters: Parameters, now_ms: int
) -> Finding:
    due_ms = _due_ms(finding, parameters)
    if closure is not None:
        return _closed(closure, due_ms)
    if due_ms is None:
        return insufficient("calendar_missing")
    if now_ms < due_ms:
        return not_applicable("not_due", wake_at_ms=due_ms)
    speaks_ms = _speaks_ms(finding, due_ms, parameters)
    if speaks_ms is None:
        return insufficient("calendar_missing")
    if now_ms < speaks_ms:
        return insufficient("awaiting_record", wake_at_ms=speaks_ms)
    reports = [
        report
        for report in view.of(catalogue.RECTIFICATION.topic)
        if report["finding_id"] == finding.record_id
    ]
    return _hit(finding, reports, parameters, due_ms=due_ms, since_ms=speaks_ms)


def _closed(closure: Statement, due_ms: int | None) -> Finding:
    if due_ms is None:
        return clear("closed")
    return clear("closed_in_time" if closure["closed_at"] < due_ms else "closed_late")


def _due_ms(finding: Statement, parameters: Parameters) -> int | None:
    """When the last day of the deadline has ended; None when the calendar does not reach so far."""
    when = (finding["found_at"], finding.jurisdiction)
    days = parameters.at("deadline_days", *when)
    if parameters.at("day_count", *when) == "natural":
        return end_of_natural_days(finding["found_at"], days)
    calendar: WorkingDays = parameters.at("working_days", *when)
    return calendar.end_of(finding["found_at"], days)


def _speaks_ms(finding: Statement, due_ms: int, parameters: Parameters) -> int | None:
    """When the wait after the deadline has ended; None when the calendar does not reach so far."""
    when = (finding["found_at"], finding.jurisdiction)
    calendar: WorkingDays = parameters.at("working_days", *when)
    return calendar.end_of(due_ms - 1, parameters.at("wait_working_days", *when))


def _hit(
    finding: Statement, reports: Sequence[Statement], parameters: Parameters, *, due_ms: int, since_ms: int
) -> Finding:
    when = (finding["found_at"], finding.jurisdiction)
    return Finding(
        outcome=Outcome.HIT,
        reason="not_accepted" if reports else "nothing_reported",
        subject={"finding_id": finding.record_id},
        evidence=merged(
            [Evidence.of(finding, "unit_id", "violation", "found_at")],
            [Evidence.of(report, "finding_id", "status") for report in reports],
        ),
        numbers={
            "violation": finding["violation"],
            "found_ms": finding["found_at"],
            "due_on": day_of(due_ms - 1),
            "deadline_days": parameters.at("deadline_days", *when),
            "day_count": parameters.at("day_count", *when),
            "reports": len(reports),
        },
        jurisdiction=finding.jurisdiction,
        office=finding["unit_id"],
        # A report that is not accepted ends nothing, so it does not start the settle time again.
        established_ms=max(finding.source.ingested_ms, since_ms),
    )
