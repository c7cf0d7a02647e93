"""The company registry: companies, who owns, represents and manages them, and when that changes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from producers.province import units
from producers.province.scene import Scene
from schemas.catalogue import COMPANY, OWNERSHIP
from schemas.registry.models import Company, Ownership

#: Codes of GB/T 4754-2017: civil engineering, building works, retail, software, business services.
INDUSTRIES = ("E4812", "E4710", "F5299", "I6513", "L7299")

_LONG_AGO_DAYS = (1200, 4000)


@dataclass(frozen=True)
class Firm:
    """A company with one owner and one legal representative, and the registry's records about them."""

    company_id: str
    ownership: Ownership
    representation: Ownership

    @property
    def owner(self) -> str:
        return self.ownership.holder_id

    @property
    def representative(self) -> str:
        return self.representation.holder_id


def found_firm(
    scene: Scene, *, owner: str | None = None, share_permille: int = 1000, representative: str | None = None
) -> Firm:
    """A company founded years ago. Owner and representative are persons who own nothing else unless named."""
    company_id = register(scene).company_id
    ownership = hold(scene, company_id, owner or scene.new_person(), share_permille=share_permille)
    representation = hold(
        scene, company_id, representative or scene.new_person(), interest="legal_representative"
    )
    return Firm(company_id, ownership, representation)


def register(scene: Scene) -> Company:
    """A company's own entry in the register."""
    entry = Company(
        record_id=scene.new_id("CO"),
        company_id=units.company(scene.rng, scene.county),
        status="active",
        registered_on=_long_ago(scene),
        industry=scene.rng.choice(INDUSTRIES),
    )
    return scene.stock(COMPANY, entry)


def hold(
    scene: Scene,
    company_id: str,
    holder: str,
    *,
    interest: Literal["ownership", "control", "legal_representative", "manager"] = "ownership",
    share_permille: int | None = None,
    since: int | None = None,
) -> Ownership:
    """An interest in a company, from the scene's day `since` on; None: for years."""
    interest_held = Ownership(
        record_id=scene.new_id("OW"),
        company_id=company_id,
        holder_id=holder,
        interest=interest,
        share_permille=share_permille,
        valid_from=_long_ago(scene) if since is None else scene.day(since),
    )
    if since is None:
        return scene.stock(OWNERSHIP, interest_held)
    return scene.say(OWNERSHIP, interest_held, at=scene.at(since))


def end(scene: Scene, interest: Ownership, *, day: int) -> Ownership:
    """The interest ends (stake sold, representative replaced)."""
    return scene.correct(OWNERSHIP, interest, at=scene.at(day), valid_to=scene.day(day))


def hand_over(scene: Scene, interest: Ownership, *, day: int) -> Ownership:
    """The interest ends, and a person who holds nothing else takes it over; returns the new one."""
    end(scene, interest, day=day)
    return hold(
        scene,
        interest.company_id,
        scene.new_person(),
        interest=interest.interest,
        share_permille=interest.share_permille,
        since=day,
    )


def _long_ago(scene: Scene) -> int:
    return scene.setting.calendar.first_day - scene.rng.randint(*_LONG_AGO_DAYS)
