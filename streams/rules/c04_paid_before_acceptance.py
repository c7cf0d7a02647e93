"""C04: more was paid than the lawful advance and the work accepted by then allowed.

An acceptance dated after the payment shows that it came too late. While there is none, the record may still be on its
way, so the rule waits some working days from the payment before it speaks.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from schemas import catalogue
from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules.findings import clear, insufficient, merged
from streams.rules.ledger import Ledger, open_ledger, signed_amount, stated_value
from streams.rules.working_days import WorkingDays

_WHOLE = 1000


@dataclass(frozen=True, slots=True)
class _Early:
    """A payment that took the net sum beyond what was payable, and the ingestion time of all that this rests on."""

    payment: Statement
    net: int
    value: int
    accepted_permille: int
    payable_permille: int
    ingested_ms: int


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    ledger = open_ledger(view)
    if isinstance(ledger, Finding):
        return [ledger]
    acceptances = sorted(view.of(catalogue.ACCEPTANCE.topic), key=lambda a: (a["accepted_at"], a.record_id))
    last_acceptance_ms = acceptances[-1]["accepted_at"] if acceptances else None
    proven, waits, unknown = [], [], 0
    for early in _early_payments(ledger, acceptances, parameters):
        paid_at = early.payment["paid_at"]
        until_ms = _waits_until_ms(early.payment, parameters)
        if last_acceptance_ms is not None and last_acceptance_ms > paid_at:
            proven.append(early)
        elif until_ms is None:
            unknown += 1
        elif now_ms >= until_ms:
            proven.append(early)
        else:
            waits.append(until_ms)
    if proven:
        return [_hit(view.key, ledger, acceptances, proven, wake_at_ms=min(waits, default=None))]
    if waits:
        return [insufficient("awaiting_acceptance", wake_at_ms=min(waits))]
    if unknown:
        return [insufficient("calendar_missing")]
    return [clear("nothing_paid_early")]


def _early_payments(
    ledger: Ledger, acceptances: Sequence[Statement], parameters: Parameters
) -> Iterator[_Early]:
    """Goes through the payments by date; amendments and acceptances at the instant of a payment come before it."""
    contract = ledger.contract
    value = stated_value(contract) or ledger.value_minor() or 0
    advance = contract["advance_permille"]
    accepted, net, ingested_ms = 0, 0, contract.source.ingested_ms
    changes = deque(sorted((*ledger.amendments, *acceptances), key=_date))
    for payment in ledger.payments:
        paid_at = payment["paid_at"]
        while changes and _date(changes[0])[0] <= paid_at:
            change = changes.popleft()
            ingested_ms = max(ingested_ms, change.source.ingested_ms)
            if change.record_type == catalogue.AMENDMENT.topic:
                value = stated_value(change) or value
            else:
                accepted += 0 if change["outcome"] == "rejected" else change["share_permille"]
        ingested_ms = max(ingested_ms, payment.source.ingested_ms)
        net += signed_amount(payment)
        payable = min(_WHOLE, advance + accepted)
        tolerance = parameters.at("tolerance_permille", paid_at, payment.jurisdiction)
        is_ahead = payable < _WHOLE and payment["kind"] == "payment"
        if is_ahead and net * _WHOLE * 1000 > value * payable * (1000 + tolerance):
            yield _Early(payment, net, value, min(_WHOLE, accepted), payable, ingested_ms)


def _date(entry: Statement) -> tuple[int, int, str, str]:
    if entry.record_type == catalogue.PAYMENT.topic:
        return (entry["paid_at"], 1, entry.record_type, entry.record_id)
    name = "amended_at" if entry.record_type == catalogue.AMENDMENT.topic else "accepted_at"
    return (entry[name], 0, entry.record_type, entry.record_id)


def _waits_until_ms(payment: Statement, parameters: Parameters) -> int | None:
    """None when the calendar does not reach so far."""
    when = (payment["paid_at"], payment.jurisdiction)
    calendar: WorkingDays = parameters.at("working_days", *when)
    return calendar.end_of(payment["paid_at"], parameters.at("wait_working_days", *when))


def _hit(
    contract_id: str,
    ledger: Ledger,
    acceptances: Sequence[Statement],
    proven: Sequence[_Early],
    *,
    wake_at_ms: int | None,
) -> Finding:
    last = proven[-1]
    payments = [p for p in ledger.payments if _date(p) <= _date(last.payment)]
    amendments = [a for a in ledger.amendments if _date(a) <= _date(last.payment)]
    return Finding(
        outcome=Outcome.HIT,
        reason="paid_before_acceptance",
        subject={"contract_id": contract_id},
        evidence=merged(
            [Evidence.of(ledger.contract, "amount_minor", "currency", "advance_permille")],
            [Evidence.of(a, "amended_at", "amount_minor_after") for a in amendments],
            [Evidence.of(a, "accepted_at", "outcome", "share_permille") for a in acceptances],
            [Evidence.of(p, "paid_at", "amount_minor", "kind") for p in payments],
        ),
        numbers={
            "payments": len(proven),
            "paid_minor": last.net,
            "payable_minor": last.value * last.payable_permille // _WHOLE,
            "value_minor": last.value,
            "advance_permille": ledger.contract["advance_permille"],
            "accepted_permille": last.accepted_permille,
            "currency": ledger.currency,
            "occurred_ms": last.payment["paid_at"],
        },
        jurisdiction=last.payment.jurisdiction,
        office=ledger.contract["buyer_id"],
        established_ms=min(early.ingested_ms for early in proven),
        wake_at_ms=wake_at_ms,
    )
