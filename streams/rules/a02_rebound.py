"""A02: a finding was closed as rectified, and the same unit breaks the same rule again in live records."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from schemas import catalogue
from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules import violations
from streams.rules.closures import acceptances, closing
from streams.rules.findings import clear, evidence_of, insufficient, merged, not_applicable
from streams.rules.standing import ingested_ms


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    findings = {finding.record_id: finding for finding in view.of(catalogue.FINDING.topic)}
    closed = acceptances(view)
    if not findings and not closed:
        return [not_applicable("never_found")]
    judged = [
        _judge(findings[finding_id], closed.get(finding_id, ()), view, parameters)
        for finding_id in sorted(findings)
    ]
    return [*judged, *(insufficient("finding_missing") for _ in closed.keys() - findings.keys())]


def _judge(finding: Statement, closed: Sequence[Statement], view: View, parameters: Parameters) -> Finding:
    if not closed:
        return not_applicable("not_closed")
    live = view.relations(violations.KIND)
    window = _window(finding, closed[-1], parameters)
    again = [v for v in live if _occurred_ms(v) in window]
    if not again:
        return clear("not_seen_again")
    since_ms = _standing_since_ms(finding, closed, live, parameters)
    return _hit(finding, closed[-1], sorted(again, key=lambda v: (_occurred_ms(v), v.record_id)), since_ms)


def _window(finding: Statement, closure: Statement, parameters: Parameters) -> range:
    """The instants at which a violation is a rebound."""
    closed_ms = closure["closed_at"]
    months = parameters.at("window_months", closed_ms, finding.jurisdiction)
    return range(closed_ms + 1, _months_later(closed_ms, months) + 1)


def _standing_since_ms(
    finding: Statement, closed: Sequence[Statement], live: Sequence[Statement], parameters: Parameters
) -> int:
    """When, in the order of ingestion, the finding was closed and a violation after it was known, for good.

    A later closure may still leave a violation after it: then the HIT has stood since the closure before, or longer.
    """
    since_ms = until_ms = 2**63
    for closed_ms, closure in reversed(_in_force(closed)):
        window = _window(finding, closure, parameters)
        first_ms = min((_known_ms(v, closure) for v in live if _occurred_ms(v) in window), default=until_ms)
        if max(closed_ms, first_ms) >= until_ms:
            break
        since_ms, until_ms = max(closed_ms, first_ms), closed_ms
        if first_ms > closed_ms:
            break
    return max(since_ms, ingested_ms(finding))


def _in_force(closed: Sequence[Statement]) -> list[tuple[int, Statement]]:
    """The closures that each were the last one known, and the ingestion from which on they were."""
    found: dict[int, Statement] = {}
    last: Statement | None = None
    for closure in sorted(closed, key=lambda one: (ingested_ms(one), closing(one))):
        if last is None or closing(closure) > closing(last):
            found[ingested_ms(closure)] = last = closure
    return list(found.items())


def _known_ms(violation: Statement, closure: Statement) -> int:
    """When it was known to go on after the closure: what stood before it, the finding itself, is no rebound.

    That is told by records of things that happened after the closure; by the newest of all if none is dated so.
    """
    known = [(ref["occurred_ms"], ref["ingested_ms"]) for ref in violation["evidence"]]
    after = [ingested for occurred, ingested in known if occurred > closure["closed_at"]]
    told_ms = min(after) if after else max((ingested for _, ingested in known), default=0)
    return max(ingested_ms(violation), told_ms)


def _hit(finding: Statement, closure: Statement, again: Sequence[Statement], since_ms: int) -> Finding:
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
        established_ms=since_ms,
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
