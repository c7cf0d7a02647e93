"""H05: one cadre responsible for several projects at once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


periods = st.tuples(st.integers(0, 8), st.integers(1, 4))


@settings(deadline=None)
@given(
    st.lists(st.tuples(periods, st.integers(0, 3), st.sampled_from(["330106", "330108"])), max_size=6),
    st.lists(periods, max_size=2),
)
def test_agrees_with_looking_at_every_day(
    drawn: list[tuple[tuple[int, int], int, str]], posts: list[tuple[int, int]]
) -> None:
    records = [
        assigned(f"a{n}", "x", f"p{project}", "2026-01-01", jurisdiction=f"{county}000000", **_span(period))
        for n, (period, project, county) in enumerate(drawn)
    ] + [appointed(f"h{n}", "x", **_span(period)) for n, period in enumerate(posts)]
    heaviest = max(
        len({project for period, project, at in drawn if at == county and day in range(*_ends(period))})
        for county in ("330106", "330108")
        for day in range(13)
        if any(day in range(*_ends(post)) for post in posts) or not posts
    )
    found = only(findings("H05", KEY, records))
    assert (found.outcome is Outcome.HIT) == (bool(posts) and heaviest >= 3)
    if found.outcome is Outcome.HIT:
        assert found.numbers["projects"] == heaviest


def _ends(period: tuple[int, int]) -> tuple[int, int]:
    return period[0], sum(period)


def _span(period: tuple[int, int]) -> dict[str, Any]:
    begin, end = _ends(period)
    return {"valid_from": begin, "valid_to": end}


def test_office_and_place_are_those_of_the_newest_post_and_project() -> None:
    records = [
        appointed("new", "x", "2025-01-01", unit_id="ZZ-TEST-new"),
        appointed("old", "x", "2021-01-01", unit_id="ZZ-TEST-old"),
        *projects(("2026-01-01", None), ("2026-02-01", None)),
        assigned("last", "x", "project-9", "2026-03-01", jurisdiction="330106002003"),
    ]
    found = only(findings("H05", KEY, records))
    assert (found.office, found.jurisdiction) == ("ZZ-TEST-new", "330106002003")
