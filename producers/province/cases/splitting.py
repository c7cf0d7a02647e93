"""F02, one sum paid in parts, each below the limit from which a payment needs approval (200,000 yuan).

The parts come within five days, so that no weekend and no holiday takes one out of the window of five working days,
and only all of them together reach the limit.
"""

from __future__ import annotations

from producers.province.cases.plot import Plot
from producers.province.departments.finance import Purpose, grant, refund
from producers.province.departments.registry import found_firm
from producers.province.departments.tender import Terms, accept, sign
from producers.province.scene import Scene
from schemas.catalogue import PAYMENT

_PART = 75_000_00  # fen; two are less than the limit, three more
_SOON = 0.3  # days until a payment is published


def _payee(scene: Scene, purpose: Purpose = "other") -> str:
    payee = found_firm(scene).company_id
    scene.expect("F02", payer_id=scene.unit, payee_id=payee, purpose=purpose)
    return payee


def three_bills(scene: Scene) -> None:
    """A bill in three parts within four days; decisive: the third was paid a month later."""
    payee = _payee(scene)
    for day in (0, 1, 33 if scene.innocent else 3):
        grant(scene, payee, _PART, day=day, purpose="other")


def on_a_contract(scene: Scene) -> None:
    """Three payments that name no contract; decisive: they are instalments of one."""
    payee = _payee(scene)
    contract = sign(scene, Terms(supplier=payee, amount_minor=4 * _PART, term_days=30))
    accept(scene, contract, day=40)
    for day in (60, 61, 63):
        grant(
            scene,
            payee,
            _PART,
            day=day,
            purpose="other",
            contract_id=contract.contract_id if scene.innocent else None,
        )


def two_halves(scene: Scene) -> None:
    """A sum in two halves; decisive: it was paid whole, and so had its approval."""
    payee = _payee(scene)
    grant(scene, payee, 4 * _PART if scene.innocent else 2 * _PART, day=0, purpose="other")
    grant(scene, payee, _PART if scene.innocent else 2 * _PART, day=2, purpose="other")


def sent_back(scene: Scene) -> None:
    """Three payments; decisive: the second had been sent back before the third was made."""
    payee = _payee(scene)
    grant(scene, payee, _PART, day=0, purpose="other")
    second = grant(scene, payee, _PART, day=1, purpose="other", delay_days=_SOON)
    if scene.innocent:
        refund(scene, second, day=2, delay_days=_SOON)
    grant(scene, payee, _PART, day=4, purpose="other")


def other_payee(scene: Scene) -> None:
    """Three payments to one company; decisive: the first was another's, and had been put right."""
    payee = _payee(scene)
    other = found_firm(scene).company_id
    first = grant(scene, payee, _PART, day=0, purpose="other", delay_days=_SOON)
    if scene.innocent:
        scene.correct(PAYMENT, first, at=scene.at(2), delay_days=_SOON, payee_id=other)
    grant(scene, payee, _PART, day=3, purpose="other")
    grant(scene, payee, _PART, day=4, purpose="other")


def other_purpose(scene: Scene) -> None:
    """Four subsidies within four days; decisive: two of them were paid for something else."""
    payee = _payee(scene, "subsidy")
    for day, subsidy in ((0, True), (1, False), (2, True), (4, False)):
        purpose: Purpose = "subsidy" if subsidy or not scene.innocent else "other"
        grant(scene, payee, _PART * 7 // 10, day=day, purpose=purpose)


PLOTS = (
    Plot("F02", "three_bills", 40, three_bills),
    Plot("F02", "on_a_contract", 70, on_a_contract),
    Plot("F02", "two_halves", 40, two_halves),
    Plot("F02", "sent_back", 40, sent_back),
    Plot("F02", "other_payee", 40, other_payee),
    Plot("F02", "other_purpose", 40, other_purpose),
)
