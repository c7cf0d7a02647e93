"""One unit and one rule: audit findings, their rectification, and what live records say since (audit × any rule).

The key is `<unit>#<rule>`: no unit's identifier contains a "#".
"""

from __future__ import annotations

from collections.abc import Iterable

from schemas import catalogue
from streams.kernel import Input, Join, Rule, Value
from streams.rules import a01_overdue, a02_rebound, violations
from xiezhi.contracts.naming import RELATION


def by_unit_and_rule(value: Value) -> Iterable[str]:
    return [f"{value['unit_id']}#{value['violation']}"]


def by_unit_and_rule_of_relation(value: Value) -> Iterable[str]:
    return [f"{value['attributes']['unit_id']}#{value['attributes']['violation']}"]


JOIN = Join(
    name="rectification",
    inputs=(
        Input(catalogue.FINDING.topic, by_unit_and_rule),
        Input(catalogue.RECTIFICATION.topic, by_unit_and_rule),
        Input(RELATION, by_unit_and_rule_of_relation, violations.KIND),
    ),
    rules=(Rule("A01", a01_overdue.evaluate), Rule("A02", a02_rebound.evaluate)),
)
