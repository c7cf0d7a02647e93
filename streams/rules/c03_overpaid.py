"""C03: a contract was paid more than its value in force, net of refunds, beyond a tolerance."""

from __future__ import annotations

from collections.abc import Iterable

from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules.findings import clear, merged
from streams.rules.ledger import Ledger, open_ledger, signed_amount, stated_value
from streams.rules.standing import standing_since_ms


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    ledger = open_ledger(view)
    if isinstance(ledger, Finding):
        return [ledger]
    last = next((p for p in reversed(ledger.payments) if p["kind"] == "payment"), ledger.payments[-1])
    tolerance = parameters.at("tolerance_permille", last["paid_at"], last.jurisdiction)
    net = sum(map(signed_amount, ledger.payments))
    if not _exceeds(net, ledger.value_minor(), tolerance):
        return [clear("within_value")]
    return [_hit(view.key, ledger, last, net, tolerance)]


def _hit(contract_id: str, ledger: Ledger, last: Statement, net: int, tolerance: int) -> Finding:
    valued = ledger.value_statement()
    value = stated_value(valued) or 0
    return Finding(
        outcome=Outcome.HIT,
        reason="overpaid",
        subject={"contract_id": contract_id},
        evidence=merged(
            [Evidence.of(ledger.contract, "amount_minor", "currency")],
            [Evidence.of(a, "amount_minor_after", "currency") for a in ledger.amendments if a is valued],
            [Evidence.of(p, "amount_minor", "currency", "kind") for p in ledger.payments],
        ),
        numbers={
            "paid_minor": net,
            "value_minor": value,
            "excess_minor": net - value,
            "currency": ledger.currency,
            "payments": len(ledger.payments),
            "occurred_ms": last["paid_at"],
        },
        jurisdiction=last.jurisdiction,
        office=ledger.contract["buyer_id"],
        established_ms=_standing_since_ms(ledger, tolerance),
    )


def _exceeds(net: int, value: int | None, tolerance_permille: int) -> bool:
    return value is not None and net * 1000 > value * (1000 + tolerance_permille)


def _standing_since_ms(ledger: Ledger, tolerance_permille: int) -> int:
    """When, in the order of ingestion, the excess began that has stayed: an amendment on its way may still end it."""
    rank = {id(a): place for place, a in enumerate((ledger.contract, *ledger.amendments))}
    known, net = -1, 0
    value: int | None = None

    def exceeds_with(entry: Statement) -> bool:
        nonlocal known, net, value
        if id(entry) not in rank:
            net += signed_amount(entry)
        elif rank[id(entry)] > known:
            known, value = rank[id(entry)], stated_value(entry)
        return _exceeds(net, value, tolerance_permille)

    since = standing_since_ms((ledger.contract, *ledger.amendments, *ledger.payments), exceeds_with)
    return max(since or 0, ledger.contract.source.ingested_ms)
