"""C03, more paid than the contract is worth. Everything is paid after acceptance, so that nothing else is wrong."""

from __future__ import annotations

from producers.province.cases.plot import Plot
from producers.province.departments.finance import pay
from producers.province.departments.registry import found_firm
from producers.province.departments.tender import Amended, Terms, accept, amend, sign
from producers.province.scene import Scene
from schemas.catalogue import PAYMENT
from schemas.tender.models import Contract

_VALUE = 1_000_000_00


def _accepted_contract(scene: Scene) -> Contract:
    """A contract whose work was accepted on day 100."""
    supplier = found_firm(scene).company_id
    contract = sign(scene, Terms(supplier=supplier, amount_minor=_VALUE, term_days=110))
    accept(scene, contract, day=100)
    scene.expect("C03", contract_id=contract.contract_id)
    return contract


def plain(scene: Scene) -> None:
    """108 paid on a contract of 100; decisive: an amendment had raised the value to 110."""
    contract = _accepted_contract(scene)
    pay(scene, contract, _VALUE * 60 // 100, day=130)
    pay(scene, contract, _VALUE * 48 // 100, day=170)
    if scene.innocent:
        amend(scene, contract, Amended(day=70, changes=("value",), amount_minor_after=_VALUE * 110 // 100))


def lowered(scene: Scene) -> None:
    """95 paid after an amendment lowered the value to 80; decisive: it left the value at 100."""
    contract = _accepted_contract(scene)
    after = _VALUE if scene.innocent else _VALUE * 80 // 100
    amend(scene, contract, Amended(day=60, changes=("value", "scope"), amount_minor_after=after))
    pay(scene, contract, _VALUE * 50 // 100, day=130)
    pay(scene, contract, _VALUE * 45 // 100, day=170)


def refunded(scene: Scene) -> None:
    """112 paid on a contract of 100; decisive: 15 of it came back before the last payment."""
    contract = _accepted_contract(scene)
    pay(scene, contract, _VALUE * 70 // 100, day=120)
    pay(scene, contract, _VALUE * 42 // 100, day=180)
    if scene.innocent:
        pay(scene, contract, _VALUE * 15 // 100, day=150, kind="refund")


def paid_twice(scene: Scene) -> None:
    """The same instalment paid twice; decisive: one payment that was merely published twice."""
    contract = _accepted_contract(scene)
    pay(scene, contract, _VALUE * 40 // 100, day=115)
    instalment = pay(scene, contract, _VALUE * 55 // 100, day=140)
    if scene.innocent:
        scene.repeat(instalment, after_days=15)
    else:
        pay(scene, contract, instalment.amount_minor, day=155)


def moved(scene: Scene) -> None:
    """118 booked on a contract of 100; decisive: a correction moved 25 of it to another contract."""
    contract = _accepted_contract(scene)
    other = sign(scene, Terms(supplier=contract.supplier_ids[0], amount_minor=_VALUE, term_days=110))
    accept(scene, other, day=95)
    pay(scene, contract, _VALUE * 55 // 100, day=120)
    misplaced = pay(scene, contract, _VALUE * 25 // 100, day=135)
    pay(scene, contract, _VALUE * 38 // 100, day=180)
    if scene.innocent:
        scene.correct(PAYMENT, misplaced, at=scene.at(155), contract_id=other.contract_id)


PLOTS = (
    Plot("C03", "plain", 190, plain),
    Plot("C03", "lowered", 190, lowered),
    Plot("C03", "refunded", 190, refunded),
    Plot("C03", "paid_twice", 190, paid_twice),
    Plot("C03", "moved", 190, moved),
)
