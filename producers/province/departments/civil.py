"""Civil affairs: kinship, deaths and benefits, one payment per month and scheme."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from producers.province.days import DAY_MS
from producers.province.scene import Scene
from producers.province.units import CURRENCY
from schemas.catalogue import ALLOWANCE, DEATH, KINSHIP
from schemas.civil.models import Allowance, Death, Kinship

Benefit = Literal["living", "pension", "medical", "funeral", "survivor"]

#: Schemes of the province's own register; what a payment is for stands in its `kind`.
SCHEMES = ("MZ-0101", "MZ-0102", "MZ-0203", "MZ-0305")


def relate(
    scene: Scene, person_a: str, person_b: str, kind: Literal["spouse", "parent", "sibling"]
) -> Kinship:
    """Two persons are kin; of `parent`, a is the parent of b."""
    kinship = Kinship(
        record_id=scene.new_id("KN"),
        person_a=person_a,
        person_b=person_b,
        kind=kind,
        valid_from=scene.setting.calendar.first_day - scene.rng.randint(800, 6000),
    )
    return scene.stock(KINSHIP, kinship)


def die(scene: Scene, person: str, *, day: int, delay_days: float | None = None) -> Death:
    """A death, registered within two weeks; `day` is counted from 1970."""
    registered_on = day + scene.rng.randint(3, 14)
    death = Death(record_id=scene.new_id("DE"), person=person, died_on=day, registered_on=registered_on)
    return scene.say(DEATH, death, at=registered_on * DAY_MS, delay_days=delay_days)


@dataclass(frozen=True)
class Claim:
    """What a person receives month by month."""

    person: str
    scheme: str
    kind: Benefit = "living"
    amount_minor: int = 72_000


def benefit(scene: Scene, claim: Claim, period: tuple[int, int], *, paid_on: int | None = None) -> Allowance:
    """One payment for a period, by default on its tenth day. Days are counted from 1970."""
    paid_at = (period[0] + 9 if paid_on is None else paid_on) * DAY_MS + scene.rng.randrange(8 * 3600) * 1000
    allowance = Allowance(
        record_id=scene.new_id("AL"),
        person=claim.person,
        scheme=claim.scheme,
        kind=claim.kind,
        period_from=period[0],
        period_to=period[1],
        amount_minor=claim.amount_minor,
        currency=CURRENCY,
        paid_at=paid_at,
    )
    return scene.say(ALLOWANCE, allowance, at=paid_at)
