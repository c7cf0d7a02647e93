"""The project registers: who is responsible for, works on or lends a name to which project."""

from __future__ import annotations

from typing import Literal

from producers.province.scene import Scene
from producers.province.units import County
from schemas.catalogue import ASSIGNMENT
from schemas.project.models import Assignment

#: Programmes of the province's own register, e.g. 乡村振兴衔接.
PROGRAMMES = ("XC-2101", "XC-2102", "SL-3001", "NL-4002")

Role = Literal["responsible", "member", "nominal"]


def assign(
    scene: Scene,
    person: str,
    role: Role,
    *,
    since: int,
    until: int | None = None,
    county: County | None = None,
) -> Assignment:
    """A person's part in a project of its own, in one township of the county. Days are the scene's."""
    assignment = Assignment(
        record_id=scene.new_id("AS"),
        person=person,
        project_id=scene.new_id("XM"),
        programme=scene.rng.choice(PROGRAMMES),
        role=role,
        valid_from=scene.day(since),
        valid_to=None if until is None else scene.day(until),
    )
    place = (county or scene.county).township(scene.rng.randint(1, 6))
    return scene.say(ASSIGNMENT, assignment, at=scene.at(since), place=place)
