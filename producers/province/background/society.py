"""Who lives in the province: offices with their officials, and groups of companies with their owners.

Everybody else's stories draw on these. Nothing here is suspicious, but much looks at first as if it were: chains
of holdings, a fund with small stakes in many bidders, officials whose spouses run companies that never bid.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from producers.province import units
from producers.province.departments.civil import relate
from producers.province.departments.finance import appropriate, years_of
from producers.province.departments.hr import appoint
from producers.province.departments.registry import Firm, found_firm, hand_over, hold, register
from producers.province.scene import Scene
from producers.province.units import County
from schemas.catalogue import APPOINTMENT, COMPANY, OWNERSHIP

_OFFICIALS = 5
_BUDGET_LINES = ("BL-20405", "BL-21307")


@dataclass(frozen=True)
class Office:
    """A unit of government and the people in it."""

    county: County
    unit: str
    officials: tuple[str, ...]


@dataclass(frozen=True)
class Society:
    """`groups` are companies that belong together: two of one group never bid in one procedure."""

    offices: tuple[Office, ...]
    groups: tuple[tuple[str, ...], ...]

    def officials_of(self, county: County) -> list[str]:
        """Everybody in office in that county."""
        return [person for office in self.offices if office.county == county for person in office.officials]


def settle(stage: Callable[[str, int], Scene], *, offices: int, groups: int) -> Society:
    """A society of that many offices and groups; `stage` opens the scene of a kind and number."""
    fund = found_firm(stage("fund", 0)).company_id
    return Society(
        tuple(
            _office(stage("office", number), units.COUNTIES[number % len(units.COUNTIES)])
            for number in range(offices)
        ),
        tuple(_group(stage("group", number), fund) for number in range(groups)),
    )


def _office(scene: Scene, county: County) -> Office:
    scene.county, scene.unit = county, units.government_unit(scene.rng, county)
    appointments = [appoint(scene) for _ in range(_OFFICIALS)]
    officials = tuple(appointment.person for appointment in appointments)
    for line in _BUDGET_LINES:
        amount = scene.yuan(5_000_000, 90_000_000)
        for year in years_of(scene):
            appropriate(scene, line, amount, year=year)
    _succeed(scene)
    _live_privately(scene, officials)
    return Office(county, scene.unit, officials)


def _succeed(scene: Scene) -> None:
    """A former colleague has retired; sometimes the register had the wrong day at first."""
    retired = appoint(scene)
    left = scene.correct(APPOINTMENT, retired, at=scene.at(10), valid_to=scene.day(10))
    if scene.rng.random() < 0.3:
        scene.correct(APPOINTMENT, left, at=scene.at(30), valid_to=scene.day(3))


def _live_privately(scene: Scene, officials: Sequence[str]) -> None:
    """Officials have families; one spouse runs a company, which never bids for anything."""
    spouse = scene.new_person()
    relate(scene, officials[0], spouse, "spouse")
    relate(scene, scene.new_person(), officials[1], "parent")
    if scene.rng.random() < 0.5:
        found_firm(scene, owner=spouse)


def _group(scene: Scene, fund: str) -> tuple[str, ...]:
    """A person owns a holding, the holding owns companies, and these perhaps own more."""
    holding = found_firm(scene, owner=scene.new_person(), share_permille=scene.rng.choice((510, 700, 1000)))
    firms = [_subsidiary(scene, holding) for _ in range(scene.rng.randint(1, 2))]
    if scene.rng.random() < 0.4:
        firms.append(_subsidiary(scene, firms[0]))
    if scene.rng.random() < 0.3:
        hold(scene, firms[0].company_id, fund, share_permille=scene.rng.randint(20, 100))
    if scene.rng.random() < 0.3:
        hold(scene, firms[-1].company_id, scene.new_person(), interest="manager")
    if scene.rng.random() < 0.25:
        hand_over(scene, firms[-1].representation, day=scene.rng.randint(5, 50))
    _tidy_register(scene, firms)
    return tuple(firm.company_id for firm in firms)


def _subsidiary(scene: Scene, parent: Firm) -> Firm:
    return found_firm(scene, owner=parent.company_id, share_permille=scene.rng.randint(51, 100) * 10)


def _tidy_register(scene: Scene, firms: Sequence[Firm]) -> None:
    """What a registry puts right: a dissolved sister, a stake entered at the wrong company of the group."""
    if scene.rng.random() < 0.15:
        sister = register(scene)
        scene.correct(COMPANY, sister, at=scene.at(20), status="dissolved", dissolved_on=scene.day(20))
    if scene.rng.random() < 0.15:
        stake = hold(scene, firms[0].company_id, scene.new_person(), share_permille=30)
        scene.correct(OWNERSHIP, stake, at=scene.at(15), company_id=firms[-1].company_id)
