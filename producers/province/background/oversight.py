"""Ordinary money without contracts, and ordinary audits: found, reported, closed, and not seen again."""

from __future__ import annotations

from producers.province.background.society import Society
from producers.province.departments.audit import decide, find, report
from producers.province.departments.finance import grant
from producers.province.scene import Scene
from schemas.catalogue import FINDING

_VIOLATIONS = ("P01", "P02", "C01", "C03", "C04")

GRANTS_DAYS = 200


def grants(scene: Scene, society: Society) -> None:
    """A unit's transfers, subsidies and small bills over half a year."""
    office, other = scene.rng.sample(society.offices, 2)
    scene.county, scene.unit = office.county, office.unit
    company = scene.rng.choice(scene.rng.choice(society.groups))
    grant(scene, other.unit, scene.yuan(100_000, 3_000_000), day=5, purpose="transfer")
    for day in range(20, GRANTS_DAYS - 5, 45):
        grant(scene, company, scene.yuan(5_000, 60_000), day=day, purpose="subsidy")
    grant(scene, scene.new_person(), scene.yuan(1_000, 9_000), day=90, purpose="other")


AUDIT_DAYS = 200


def audit(scene: Scene, society: Society) -> None:
    """A finding that is put right well within two months, and how many steps that takes."""
    office = scene.rng.choice(society.offices)
    scene.county, scene.unit = office.county, office.unit
    finding = find(scene, scene.rng.choice(_VIOLATIONS), day=0)
    stage = scene.rng.random()
    if stage < 0.1:
        scene.withdraw(FINDING, finding, at=scene.at(12))
        return
    reported = report(scene, finding, day=15)
    if stage < 0.7:
        decide(scene, reported, "accepted", day=30)
    else:
        returned = decide(scene, reported, "returned", day=25)
        decide(scene, returned, "accepted", day=40)
