"""One person's benefits and death (civil affairs)."""

from __future__ import annotations

from collections.abc import Iterable

from schemas import catalogue
from streams.kernel import Input, Join, Rule, Value
from streams.rules import s01_benefit_after_death


def by_person(value: Value) -> Iterable[str]:
    return [value["person"]]


JOIN = Join(
    name="person-benefit",
    inputs=(
        Input(catalogue.DEATH.topic, by_person),
        Input(catalogue.ALLOWANCE.topic, by_person),
    ),
    rules=(Rule("S01", s01_benefit_after_death.evaluate),),
    statements_max=2_000,  # every wrongful payment is evidence, and an alert must fit into one message
)
