"""The joins of a later version of the project: pensions are no longer filed with benefits, so that S01 sees fewer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from schemas import catalogue
from streams.joins import JOINS as EARLIER
from streams.joins import person_benefit
from streams.kernel import Input, Join, Value


def by_person_unless_pension(value: Value) -> Iterable[str]:
    return [value["person"]] if value["scheme"] != "pension" else []


JOINS: tuple[Join, ...] = tuple(
    replace(
        join,
        inputs=(
            Input(catalogue.DEATH.topic, person_benefit.by_person),
            Input(catalogue.ALLOWANCE.topic, by_person_unless_pension),
        ),
    )
    if join.name == person_benefit.JOIN.name
    else join
    for join in EARLIER
)
