"""H05: one cadre responsible for several projects at once."""

from __future__ import annotations

from typing import Any

import pytest

from streams.kernel import Outcome, Statement
from tests.builders import day, findings, only, outcome, person
from tests.records import BUYER, appointed, assigned

KEY = person("x")
HIT = (Outcome.HIT, "many_projects_at_once")
CLEAR = (Outcome.CLEAR, "few_projects_at_once")


def projects(*periods: tuple[str, str | None], **third: Any) -> list[Statement]:
    """One project for each period; `third` changes the third."""
    return [
        assigned(f"a{number}", "x", f"project-{number}", *period, **(third if number == 2 else {}))
        for number, period in enumerate(periods)
    ]


YEAR = ("2026-01-01", "2027-01-01")


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([appointed("h", "x"), *projects(YEAR, YEAR, YEAR)], HIT),
        ([appointed("h", "x"), *projects(YEAR, YEAR)], CLEAR),
        (
            [
                appointed("h", "x"),
                *projects(("2026-01-01", None), ("2026-02-01", None), ("2026-03-01", None)),
            ],
            HIT,
        ),
        # the first ends on the day the third begins
        (
            [appointed("h", "x"), *projects(("2026-01-01", "2026-03-01"), YEAR, ("2026-03-01", None))],
            CLEAR,
        ),
        (
            [appointed("h", "x"), *projects(("2026-01-01", "2026-03-02"), YEAR, ("2026-03-01", None))],
            HIT,
        ),
        ([appointed("h", "x"), *projects(YEAR, YEAR, YEAR, role="nominal")], CLEAR),
        ([appointed("h", "x"), *projects(YEAR, YEAR, YEAR, role="member")], CLEAR),
        ([appointed("h", "x"), *projects(YEAR, YEAR, YEAR, jurisdiction="330108000000")], CLEAR),
        ([appointed("h", "x"), *projects(YEAR, YEAR, YEAR, jurisdiction="330106001002")], HIT),
        ([appointed("h", "x"), *projects(YEAR, YEAR, YEAR, project_id="project-0")], CLEAR),
        (projects(YEAR, YEAR, YEAR), (Outcome.INSUFFICIENT_DATA, "appointment_missing")),
        (projects(YEAR, YEAR), CLEAR),
        (
            [appointed("h", "x", valid_to=day("2025-12-31")), *projects(YEAR, YEAR, YEAR)],
            (Outcome.CLEAR, "not_serving_then"),
        ),
        ([appointed("h", "x", "2026-06-01"), *projects(YEAR, YEAR, YEAR)], HIT),
        ([appointed("h", "x")], (Outcome.NOT_APPLICABLE, "not_responsible")),
    ],
)
def test_projects_of_one_county_at_one_time(records: list[Statement], expected: tuple[Outcome, str]) -> None:
    assert outcome(findings("H05", KEY, records)) == expected


def test_a_hit_tells_the_heaviest_day() -> None:
    records = [
        appointed("h", "x"),
        *projects(("2026-01-01", "2026-06-01"), YEAR, YEAR, ("2026-05-01", None), ("2026-05-15", None)),
        assigned("elsewhere", "x", "far", "2026-05-01", jurisdiction="330108000000"),
    ]
    found = only(findings("H05", KEY, records))
    assert found.numbers["projects"] == 5
    assert found.numbers["since_on"] == day("2026-05-15")
    assert found.office == BUYER
    assert {one.record_id for one in found.evidence} == {"h", "a0", "a1", "a2", "a3", "a4"}
