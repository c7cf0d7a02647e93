"""H05, one cadre responsible for several projects of one county at once."""

from __future__ import annotations

from producers.province import units
from producers.province.cases.plot import Plot
from producers.province.departments.hr import appoint
from producers.province.departments.project import Role, assign
from producers.province.scene import Scene
from schemas.catalogue import ASSIGNMENT


def _cadre(scene: Scene) -> str:
    person = appoint(scene).person
    scene.expect("H05", person=person)
    return person


def four_projects(scene: Scene) -> None:
    """Responsible for four projects; decisive: an office head whose part in them is recorded as nominal."""
    person = _cadre(scene)
    role: Role = "nominal" if scene.innocent else "responsible"
    for since in (0, 30, 65, 100):
        assign(scene, person, role, since=since)


def several_counties(scene: Scene) -> None:
    """Responsible for three projects of a county; decisive: of three counties."""
    person = _cadre(scene)
    elsewhere = [county for county in units.COUNTIES if county != scene.county][:2]
    counties = (scene.county, *elsewhere) if scene.innocent else (scene.county,) * 3
    for since, county in zip((0, 40, 80), counties, strict=True):
        assign(scene, person, "responsible", since=since, county=county)


def one_after_another(scene: Scene) -> None:
    """Responsible for three projects at once; decisive: one after another."""
    person = _cadre(scene)
    for since in (0, 90, 180):
        assign(scene, person, "responsible", since=since, until=since + 85 if scene.innocent else None)


def handed_over(scene: Scene) -> None:
    """Responsible for three projects; decisive: the first was handed over before the third began."""
    person = _cadre(scene)
    first = assign(scene, person, "responsible", since=0)
    assign(scene, person, "responsible", since=50)
    assign(scene, person, "responsible", since=150)
    if scene.innocent:
        scene.correct(ASSIGNMENT, first, at=scene.at(110), valid_to=scene.day(110))


PLOTS = (
    Plot("H05", "four_projects", 280, four_projects),
    Plot("H05", "several_counties", 280, several_counties),
    Plot("H05", "one_after_another", 280, one_after_another),
    Plot("H05", "handed_over", 280, handed_over),
)
