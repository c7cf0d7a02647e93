"""One person as a cadre: posts held and projects answered for (hr × project)."""

from __future__ import annotations

from collections.abc import Iterable

from schemas import catalogue
from streams.kernel import Input, Join, Rule, Value
from streams.rules import h05_many_projects


def by_person(value: Value) -> Iterable[str]:
    return [value["person"]]


JOIN = Join(
    name="cadre",
    inputs=(
        Input(catalogue.APPOINTMENT.topic, by_person),
        Input(catalogue.ASSIGNMENT.topic, by_person),
    ),
    rules=(Rule("H05", h05_many_projects.evaluate),),
    statements_max=500,  # the rule looks at every pair of periods
)
