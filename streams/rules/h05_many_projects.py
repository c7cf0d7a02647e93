"""H05: the same serving cadre is responsible for several projects of one county at the same time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas import catalogue
from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules.findings import clear, insufficient, merged, not_applicable
from streams.rules.standing import ingested_ms

_COUNTY_DIGITS = 6


@dataclass(frozen=True, slots=True)
class _Load:
    """What one person answered for in one county on one day."""

    day: int
    county: str
    assignments: tuple[Statement, ...]
    posts: tuple[Statement, ...]

    @property
    def projects(self) -> int:
        return len({one["project_id"] for one in self.assignments})

    def known_ms(self, projects_min: int) -> int:
        """From which ingestion on it is known to be as heavy as that, and to be carried in office."""
        first: dict[str, int] = {}
        for one in sorted(self.assignments, key=ingested_ms):
            first.setdefault(one["project_id"], ingested_ms(one))
        enough_ms = list(first.values())[projects_min - 1]
        return max(enough_ms, min(map(ingested_ms, self.posts)))


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    responsible = [a for a in view.of(catalogue.ASSIGNMENT.topic) if a["role"] == "responsible"]
    posts = view.of(catalogue.APPOINTMENT.topic)
    if not responsible:
        return [not_applicable("not_responsible")]
    newest = responsible[-1]
    projects_min = parameters.at("projects_min", newest.occurred_ms, newest.jurisdiction)
    loads = _loads(responsible, posts)
    if max(load.projects for load in loads) < projects_min:
        return [clear("few_projects_at_once")]
    if not posts:
        return [insufficient("appointment_missing")]
    serving = [load for load in loads if load.posts and load.projects >= projects_min]
    if not serving:
        return [clear("not_serving_then")]
    heaviest = min(serving, key=lambda load: (-load.projects, load.day, load.county))
    since_ms = min(load.known_ms(projects_min) for load in serving)
    return [_hit(view.key, heaviest, projects_min, since_ms)]


def _loads(responsible: Sequence[Statement], posts: Sequence[Statement]) -> list[_Load]:
    """The load on every day on which an assignment or post begins: it cannot grow on any other day."""
    counties: dict[str, list[Statement]] = {}
    for assignment in responsible:
        counties.setdefault(assignment.jurisdiction[:_COUNTY_DIGITS], []).append(assignment)
    days = sorted({one["valid_from"] for one in (*responsible, *posts)})
    return [
        _Load(
            day,
            county,
            tuple(one for one in some if _runs_on(one, day)),
            tuple(post for post in posts if _runs_on(post, day)),
        )
        for county, some in counties.items()
        for day in days
    ]


def _runs_on(record: Statement, day: int) -> bool:
    return record["valid_from"] <= day and (record["valid_to"] is None or day < record["valid_to"])


def _hit(person: str, load: _Load, projects_min: int, since_ms: int) -> Finding:
    newest = max(load.assignments, key=lambda a: (a["valid_from"], a.record_id))
    post = max(load.posts, key=lambda p: (p["valid_from"], p.record_id))
    return Finding(
        outcome=Outcome.HIT,
        reason="many_projects_at_once",
        subject={"person": person},
        evidence=merged(
            [Evidence.of(a, "project_id", "role", "valid_from", "valid_to") for a in load.assignments],
            [Evidence.of(post, "unit_id", "valid_from", "valid_to")],
        ),
        numbers={
            "projects": load.projects,
            "projects_min": projects_min,
            "programmes": len({a["programme"] for a in load.assignments}),
            "since_on": load.day,
            "county": load.county,
        },
        jurisdiction=newest.jurisdiction,
        office=post["unit_id"],
        established_ms=since_ms,
    )
