"""One contract: as signed, its amendments, its acceptances and the payments made on it (tender × finance)."""

from __future__ import annotations

from collections.abc import Iterable

from schemas import catalogue
from streams.kernel import Derivation, Input, Join, Rule, Value
from streams.rules import c01_frequent_changes, c03_overpaid, c04_paid_before_acceptance, violations


def by_contract(value: Value) -> Iterable[str]:
    return [value["contract_id"]]


def by_contract_if_any(value: Value) -> Iterable[str]:
    return [value["contract_id"]] if value["contract_id"] else []


JOIN = Join(
    name="contract",
    inputs=(
        Input(catalogue.CONTRACT.topic, by_contract),
        Input(catalogue.AMENDMENT.topic, by_contract),
        Input(catalogue.ACCEPTANCE.topic, by_contract),
        Input(catalogue.PAYMENT.topic, by_contract_if_any),
    ),
    rules=(
        Rule("C01", c01_frequent_changes.evaluate),
        Rule("C03", c03_overpaid.evaluate),
        Rule("C04", c04_paid_before_acceptance.evaluate),
    ),
    derivations=(Derivation("contract-violation", violations.KIND, violations.derive),),
    statements_max=2_000,  # all payments are evidence of C03, and an alert must fit into one message
)
