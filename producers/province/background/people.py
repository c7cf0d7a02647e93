"""Ordinary lives: benefits that end with the recipient, cadres with one or two projects of their own."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from producers.province.background.society import Society
from producers.province.days import months_from
from producers.province.departments.civil import SCHEMES, Claim, benefit, die, relate
from producers.province.departments.hr import appoint
from producers.province.departments.project import assign
from producers.province.scene import Scene
from schemas.catalogue import ALLOWANCE, ASSIGNMENT, DEATH

#: A recipient gets a benefit for so many months.
MONTHS = (3, 20)
_DIES = 0.35
#: Records beside the monthly payments: kinship, death, funeral allowance, survivor's benefit, one entry too many.
_EXTRAS = 6


def household_days(months: int) -> int:
    """How long the story of a benefit of that many months takes."""
    return (months + 3) * 31 + 40


def household(scene: Scene, months: int, records_max: int) -> None:
    """A recipient and perhaps a death in the family; at most `records_max` records."""
    months = min(months, records_max)
    amount_minor = scene.yuan(300_000, 1_600_000) // 1000
    claim = Claim(scene.new_person(), scene.rng.choice(SCHEMES), _kind(scene), amount_minor)
    periods = months_from(scene.day(0), months + 2)
    for period in periods[:months]:
        _pay_and_correct(scene, claim, period)
    if records_max < months + _EXTRAS:
        return
    spouse = scene.new_person()
    relate(scene, claim.person, spouse, "spouse")
    if scene.rng.random() < 0.3:
        wrong = benefit(scene, claim, periods[0])
        scene.withdraw(ALLOWANCE, wrong, at=scene.on(periods[0][1] + 20))
    if scene.rng.random() < _DIES:
        _pass_away(scene, claim, spouse, periods[months - 1 :])


def _kind(scene: Scene) -> Literal["living", "pension", "medical"]:
    kinds: tuple[Literal["living", "pension", "medical"], ...] = ("living", "pension", "medical")
    return scene.rng.choice(kinds)


def _pay_and_correct(scene: Scene, claim: Claim, period: tuple[int, int]) -> None:
    """One month's payment; a few are corrected, some of them since they named the wrong person."""
    chance, wrong = scene.rng.random(), claim
    if chance < 0.01:
        wrong = replace(claim, person=scene.new_person())
    payment = benefit(scene, wrong, period)
    if chance < 0.03:
        amount = claim.amount_minor + (0 if chance < 0.01 else 1_000)
        at = scene.on(period[1] + 15)
        scene.correct(ALLOWANCE, payment, at=at, person=claim.person, amount_minor=amount)


def _pass_away(scene: Scene, claim: Claim, spouse: str, periods: list[tuple[int, int]]) -> None:
    """The recipient dies in the last month paid for; the family gets what families get."""
    last, following, later = periods
    death = die(scene, claim.person, day=last[0] + scene.rng.randint(14, 26))
    if scene.rng.random() < 0.1:
        scene.correct(DEATH, death, at=scene.on(death.registered_on + 20), died_on=death.died_on - 2)
    benefit(scene, replace(claim, kind="funeral", amount_minor=600_000), following)
    benefit(scene, Claim(spouse, claim.scheme, "survivor", claim.amount_minor), later)


CADRE_DAYS = 200


def cadre(scene: Scene, society: Society) -> None:
    """A cadre with at most two projects of their own at a time, and a part in others'."""
    office = scene.rng.choice(society.offices)
    scene.county, scene.unit = office.county, office.unit
    person = appoint(scene).person
    first = assign(scene, person, "responsible", since=0)
    assign(scene, person, scene.rng.choice(("member", "nominal")), since=20)
    if scene.rng.random() < 0.5:
        assign(scene, person, "responsible", since=60)
    if scene.rng.random() < 0.4:
        scene.correct(ASSIGNMENT, first, at=scene.at(150), valid_to=scene.day(150))
    if scene.rng.random() < 0.2:
        mistaken = assign(scene, person, "member", since=80)
        scene.withdraw(ASSIGNMENT, mistaken, at=scene.at(100))
