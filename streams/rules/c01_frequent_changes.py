"""C01: a contract was changed often, or its price raised repeatedly within a short time, without an excusing ground."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

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
    """When, in the order of ingestion, the changes became too many for good."""
    signed: list[Statement] = []
    rises = _KnownRises(limits)
    counted = 0

    def too_many_with(entry: Statement) -> bool:
        nonlocal counted
        if entry.record_type == catalogue.CONTRACT.topic:
            insort(signed, entry, key=lambda contract: (contract.occurred_ms, contract.record_id))
            rises.begin_with(signed[-1])
        else:
            rises.add(entry)
            counted += _counts(entry, limits)
        if not signed or signed[-1]["status"] == "cancelled":
            return False
        return counted >= limits.changes_min or rises.are_close

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
    valued = [a for a in amendments if _is_valued(a)]
    return [after for before, after in pairwise((contract, *valued)) if _raises(before, after)]


def _is_valued(amendment: Statement) -> bool:
    return amendment["amount_minor_after"] is not None


def _raises(before: Statement, amendment: Statement) -> bool:
    old, new = stated_value(before), stated_value(amendment)
    return bool(old and new and new > old and before["currency"] == amendment["currency"])


def _close_together(rises: Sequence[Statement], rises_min: int, window_days: int) -> Sequence[Statement]:
    """The last run of `rises_min` rises that lie within the window; empty when there is none."""
    runs = [rises[end - rises_min : end] for end in range(rises_min, len(rises) + 1)]
    close = [run for run in runs if run[-1]["amended_at"] - run[0]["amended_at"] <= window_days * DAY_MS]
    return close[-1] if close else ()


class _KnownRises:
    """Whether enough rises are close together, while amendments become known in any order.

    One that comes late may take a rise from the next. Each costs O(log n) comparisons instead of a look at all.
    """

    def __init__(self, limits: _Limits) -> None:
        self._limits = limits
        self._contract: Statement | None = None
        self._valued: list[Statement] = []  # by date
        self._rises: list[tuple[int, str]] = []  # those without an excuse, by date and id
        self._close_runs = 0  # of `rises_min` in a row, how many lie within the window

    @property
    def are_close(self) -> bool:
        return self._close_runs > 0

    def begin_with(self, contract: Statement) -> None:
        """Its value is what the first amendment is compared with."""
        self._contract = contract
        self._compare(0)

    def add(self, amendment: Statement) -> None:
        if _is_valued(amendment):
            insort(self._valued, amendment, key=_by_date)
            at = bisect_left(self._valued, _by_date(amendment), key=_by_date)
            self._compare(at)
            self._compare(at + 1)

    def _compare(self, at: int) -> None:
        """Note whether the amendment at this place raises what the one before it says."""
        before = self._valued[at - 1] if at else self._contract
        if before is None or at >= len(self._valued):
            return
        amendment = self._valued[at]
        rise, place = _by_date(amendment), bisect_left(self._rises, _by_date(amendment))
        is_known = self._rises[place : place + 1] == [rise]
        if is_known == (_raises(before, amendment) and not _is_excused(amendment, self._limits.excused)):
            return
        runs = self._limits.rises_min  # those that hold the rise, and those across its place without it
        self._close_runs -= self._close(place - runs + 1, place + is_known)
        self._rises[place : place + is_known] = [] if is_known else [rise]
        self._close_runs += self._close(place - runs + 1, place + (not is_known))

    def _close(self, first: int, end: int) -> int:
        """Of the runs that begin from `first` to before `end`: how many lie within the window."""
        last, window_ms = self._limits.rises_min - 1, self._limits.window_days * DAY_MS
        begins = range(max(first, 0), min(end, len(self._rises) - last))
        return sum(self._rises[at + last][0] - self._rises[at][0] <= window_ms for at in begins)


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
