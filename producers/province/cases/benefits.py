"""S01, benefits for months that the recipient did not live to see."""

from __future__ import annotations

from producers.province.cases.plot import Plot
from producers.province.days import months_from
from producers.province.departments.civil import SCHEMES, Benefit, Claim, benefit, die
from producers.province.scene import Scene
from schemas.catalogue import DEATH
from schemas.civil.models import Death

# Months of the scene: recipients die on the tenth day of the third month, so that the fourth begins within
# the month of grace and the fifth more than fifty days after the death.
_DEATH, _GRACE, _LATER = 2, 3, (4, 5, 6)


def _claim(scene: Scene, kind: Benefit = "living") -> Claim:
    return Claim(scene.new_person(), scene.rng.choice(SCHEMES), kind, scene.yuan(400_000, 1_500_000) // 1000)


def _months(scene: Scene) -> list[tuple[int, int]]:
    return months_from(scene.day(0), 8)


def _live_and_die(scene: Scene, claim: Claim, *, delay_days: float | None = None) -> Death:
    """Three months of the benefit and the death in the third."""
    for period in _months(scene)[: _DEATH + 1]:
        benefit(scene, claim, period, paid_on=period[0] + 4)
    died = _months(scene)[_DEATH][0] + 9
    return die(scene, claim.person, day=died, delay_days=delay_days)


def _expect(scene: Scene, claim: Claim) -> None:
    scene.expect("S01", person=claim.person, scheme=claim.scheme)


def three_months(scene: Scene) -> None:
    """Three months paid after a death that became known late; decisive: arrears of months lived through."""
    claim = _claim(scene)
    _live_and_die(scene, claim, delay_days=130)
    lived = months_from(scene.day(-120), 3)
    for index, month in enumerate(_LATER):
        later = _months(scene)[month]
        benefit(scene, claim, lived[index] if scene.innocent else later, paid_on=later[0] + 6)
    _expect(scene, claim)


def funeral(scene: Scene) -> None:
    """A living allowance two months after the death; decisive: it is the funeral allowance."""
    claim = _claim(scene)
    _live_and_die(scene, claim)
    kind: Benefit = "funeral" if scene.innocent else "living"
    payment = Claim(claim.person, claim.scheme, kind, claim.amount_minor)
    benefit(scene, payment, _months(scene)[_LATER[0]])
    _expect(scene, claim)


def survivor(scene: Scene) -> None:
    """A pension goes on for two months after the death; decisive: it is the survivors' benefit."""
    claim = _claim(scene, "pension")
    _live_and_die(scene, claim)
    kind: Benefit = "survivor" if scene.innocent else "pension"
    payment = Claim(claim.person, claim.scheme, kind, claim.amount_minor)
    for month in _LATER[:2]:
        benefit(scene, payment, _months(scene)[month])
    _expect(scene, claim)


def grace(scene: Scene) -> None:
    """A medical benefit for a month that began long after the death; decisive: it began three weeks after."""
    claim = _claim(scene, "medical")
    _live_and_die(scene, claim)
    benefit(scene, claim, _months(scene)[_GRACE if scene.innocent else _LATER[0]])
    _expect(scene, claim)


def other_person(scene: Scene) -> None:
    """A pension goes on after the death; decisive: the death was another's, corrected before the next month."""
    claim, dead = _claim(scene, "pension"), scene.new_person()
    death = _live_and_die(scene, claim)
    for month in _LATER:
        benefit(scene, claim, _months(scene)[month])
    _expect(scene, claim)
    if scene.innocent:
        scene.correct(DEATH, death, at=scene.on(death.registered_on + 12), person=dead)


def mistaken_death(scene: Scene) -> None:
    """Benefits go on after a death that, as a correction after the alert says, was another person's."""
    claim, dead = _claim(scene), scene.new_person()
    death = _live_and_die(scene, claim)
    for month in _LATER:
        benefit(scene, claim, _months(scene)[month])
    scene.expect("S01", expected="withdrawn", person=claim.person, scheme=claim.scheme)
    scene.correct_afterwards(DEATH, death, at=scene.on(scene.setting.calendar.last_day), person=dead)


PLOTS = (
    Plot("S01", "three_months", 290, three_months),
    Plot("S01", "funeral", 290, funeral),
    Plot("S01", "survivor", 290, survivor),
    Plot("S01", "grace", 290, grace),
    Plot("S01", "other_person", 290, other_person),
    Plot("S01", "mistaken_death", 290, mistaken_death, has_decoy=False),
)
