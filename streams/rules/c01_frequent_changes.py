"""C01: a contract was changed often, or its price raised repeatedly within a short time, without an excusing ground."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from schemas import catalogue
from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules.days import DAY_MS
from streams.rules.findings import clear, insufficient, merged, not_applicable
from streams.rules.ledger import stated_value
from streams.rules.standing import standing_since_ms


@dataclass(frozen=True, slots=True)
class _Limits:
    """The parameters in force at the last amendment."""

    excused: Sequence[str]  # grounds that need no order
    changes_min: int
    rises_min: int
    window_days: int

    @classmethod
    def at(cls, parameters: Parameters, last: Statement) -> _Limits:
        names = ("grounds_excused", "changes_min", "rises_min", "rise_window_days")
        return cls(*(parameters.at(name, last["amended_at"], last.jurisdiction) for name in names))


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    contracts = view.of(catalogue.CONTRACT.topic)
    amendments = sorted(view.of(catalogue.AMENDMENT.topic), key=_by_date)
    if not contracts:
        return [insufficient("contract_missing")]
    if contracts[-1]["status"] == "cancelled":
        return [not_applicable("contract_cancelled")]
    if not amendments:
        return [not_applicable("no_amendments")]
    limits = _Limits.at(parameters, amendments[-1])
    counted = [a for a in amendments if _counts(a, limits)]
    if len(counted) >= limits.changes_min:
        finding = _frequent(view.key, contracts[-1], amendments, counted)
    elif close := _close_rises(contracts[-1], amendments, limits):
        finding = _repeated_rises(view.key, contracts[-1], close, limits.window_days)
    else:
        return [clear("few_changes")]
    return [replace(finding, established_ms=_standing_since_ms(contracts, amendments, limits))]


def _standing_since_ms(
    contracts: Sequence[Statement], amendments: Sequence[Statement], limits: _Limits
) -> int | None:
    """When, in the order of ingestion, the changes became too many for good.

    Looks at all that is known after each amendment, O(n²), since one that comes late may take a rise from another.
    """
    signed: list[Statement] = []
    known: list[Statement] = []
    counted = 0

    def too_many_with(entry: Statement) -> bool:
        nonlocal counted
        if entry.record_type == catalogue.CONTRACT.topic:
            insort(signed, entry, key=lambda contract: (contract.occurred_ms, contract.record_id))
        else:
            insort(known, entry, key=_by_date)
            counted += _counts(entry, limits)
        if not signed or signed[-1]["status"] == "cancelled":
            return False
        return counted >= limits.changes_min or bool(_close_rises(signed[-1], known, limits))

    return standing_since_ms((*contracts, *amendments), too_many_with)


def _by_date(amendment: Statement) -> tuple[int, str]:
    return (amendment["amended_at"], amendment.record_id)


def _counts(amendment: Statement, limits: _Limits) -> bool:
    return bool(amendment["changes"]) and not _is_excused(amendment, limits.excused)


def _close_rises(
    contract: Statement, amendments: Iterable[Statement], limits: _Limits
) -> Sequence[Statement]:
    """The last rises that are enough within the window; empty when there are none."""
    rises = [a for a in _rises(contract, amendments) if not _is_excused(a, limits.excused)]
    return _close_together(rises, limits.rises_min, limits.window_days)


def _is_excused(amendment: Statement, grounds: Sequence[str]) -> bool:
    """Under a ground that needs no order, or under a force majeure order given before the change was made."""
    if amendment["ground"] in grounds:
        return True
    ordered_at = amendment["ordered_at"]
    under_order = amendment["ground"] == "force_majeure_order" and ordered_at is not None
    return under_order and ordered_at <= amendment["amended_at"]


def _rises(contract: Statement, amendments: Iterable[Statement]) -> list[Statement]:
    """Amendments that raised the value in force, which excused ones move too."""
    rises, before = [], contract
    for amendment in amendments:
        if amendment["amount_minor_after"] is None:
            continue
        old, new = stated_value(before), stated_value(amendment)
        if old and new and new > old and before["currency"] == amendment["currency"]:
            rises.append(amendment)
        before = amendment
    return rises


def _close_together(rises: Sequence[Statement], rises_min: int, window_days: int) -> Sequence[Statement]:
    """The last run of `rises_min` rises that lie within the window; empty when there is none."""
    runs = [rises[end - rises_min : end] for end in range(rises_min, len(rises) + 1)]
    close = [run for run in runs if run[-1]["amended_at"] - run[0]["amended_at"] <= window_days * DAY_MS]
    return close[-1] if close else ()


def _frequent(
    contract_id: str, contract: Statement, amendments: Sequence[Statement], counted: Sequence[Statement]
) -> Finding:
    valued = [a for a in amendments if a["amount_minor_after"] is not None]
    before, now = stated_value(contract), stated_value(valued[-1]) if valued else stated_value(contract)
    numbers: dict[str, int | str] = {
        "changes": len(counted),
        "first_ms": counted[0]["amended_at"],
        "occurred_ms": counted[-1]["amended_at"],
    }
    comparable = before and now and {contract["currency"]} >= {a["currency"] for a in valued}
    if before and now and comparable:
        numbers |= {"value_before_minor": before, "value_now_minor": now, "currency": contract["currency"]}
        numbers["growth_permille"] = (now - before) * 1000 // before
    reason = "frequent_changes" if comparable else "frequent_changes_of_unstated_value"
    return _hit(contract_id, contract, counted, reason, numbers)


def _repeated_rises(
    contract_id: str, contract: Statement, rises: Sequence[Statement], window_days: int
) -> Finding:
    numbers: dict[str, int | str] = {
        "rises": len(rises),
        "window_days": window_days,
        "first_ms": rises[0]["amended_at"],
        "occurred_ms": rises[-1]["amended_at"],
        "value_now_minor": rises[-1]["amount_minor_after"],
        "currency": rises[-1]["currency"],
    }
    return _hit(contract_id, contract, rises, "repeated_price_rises", numbers)


def _hit(
    contract_id: str,
    contract: Statement,
    changes: Sequence[Statement],
    reason: str,
    numbers: dict[str, int | str],
) -> Finding:
    return Finding(
        outcome=Outcome.HIT,
        reason=reason,
        subject={"contract_id": contract_id},
        evidence=merged(
            [Evidence.of(contract, "amount_minor", "buyer_id")],
            [Evidence.of(a, "amended_at", "changes", "amount_minor_after", "ground") for a in changes],
        ),
        numbers=numbers,
        jurisdiction=changes[-1].jurisdiction,
        office=contract["buyer_id"],
    )
