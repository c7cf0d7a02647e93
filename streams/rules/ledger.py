"""One contract's money: the value in force, and what was paid, refunds counted down. Pure integer arithmetic."""

from __future__ import annotations

from dataclasses import dataclass

from schemas import catalogue
from streams.kernel import Finding, Statement, View
from streams.rules.findings import insufficient, not_applicable


@dataclass(frozen=True, slots=True)
class Ledger:
    """A contract with its valued amendments and its payments, each in the order of their own dates."""

    contract: Statement
    amendments: tuple[Statement, ...]  # those that state a value
    payments: tuple[Statement, ...]  # refunds among them

    @property
    def currency(self) -> str:
        """The one currency of contract, amendments and payments."""
        return str(self.payments[0]["currency"])

    def value_statement(self) -> Statement:
        """The record whose value is in force: the last amendment that states one, else the contract."""
        return self.amendments[-1] if self.amendments else self.contract

    def value_minor(self) -> int | None:
        """The contract value in force; None when no record states one."""
        return stated_value(self.value_statement())


def open_ledger(view: View) -> Ledger | Finding:
    """The ledger of a contract view, or what stands in the way of one."""
    return view.once(_opened)


def _opened(view: View) -> Ledger | Finding:
    contracts = view.of(catalogue.CONTRACT.topic)
    payments = view.of(catalogue.PAYMENT.topic)
    if not contracts:
        return insufficient("contract_missing")
    if contracts[-1]["status"] == "cancelled":
        return not_applicable("contract_cancelled")
    if not payments:
        return insufficient("payments_missing")
    valued = [a for a in view.of(catalogue.AMENDMENT.topic) if stated_value(a) is not None]
    ledger = Ledger(
        contract=contracts[-1],
        amendments=tuple(sorted(valued, key=lambda a: (a["amended_at"], a.record_id))),
        payments=tuple(sorted(payments, key=lambda p: (p["paid_at"], p.record_id))),
    )
    if ledger.value_minor() is None:
        return insufficient("value_missing")
    if len(_currencies(ledger)) != 1:
        return insufficient("currency_differs")
    return ledger


def stated_value(statement: Statement) -> int | None:
    """What a contract or amendment says the contract is worth. Zero is how platforms write "not stated"."""
    is_amendment = statement.record_type == catalogue.AMENDMENT.topic
    return statement["amount_minor_after" if is_amendment else "amount_minor"] or None


def signed_amount(entry: Statement) -> int:
    """A payment counts up, a refund down."""
    amount: int = entry["amount_minor"]
    return -amount if entry["kind"] == "refund" else amount


def _currencies(ledger: Ledger) -> set[str]:
    entries = (ledger.contract, *ledger.amendments, *ledger.payments)
    return {entry["currency"] for entry in entries} - {None}
