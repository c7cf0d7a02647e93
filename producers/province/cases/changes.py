"""C01, a contract that keeps changing."""

from __future__ import annotations

from producers.province.cases.plot import Plot
from producers.province.departments.finance import pay
from producers.province.departments.registry import found_firm
from producers.province.departments.tender import Amended, Change, Terms, accept, amend, sign
from producers.province.scene import Scene
from schemas.catalogue import AMENDMENT
from schemas.tender.models import Contract

_VALUE = 1_000_000_00


def _contract(scene: Scene) -> Contract:
    return sign(scene, Terms(supplier=found_firm(scene).company_id, amount_minor=_VALUE, term_days=400))


def _finish(scene: Scene, contract: Contract) -> None:
    """The work is accepted and paid, within its first value."""
    accept(scene, contract, day=360)
    pay(scene, contract, _VALUE * 9 // 10, day=385)
    scene.expect("C01", contract_id=contract.contract_id)


def rural_road(scene: Scene) -> None:
    """Four changes, 27 % more, one approver; decisive: each under a force-majeure order of ten days before."""
    contract, approver = _contract(scene), scene.new_person()
    for day, percent in ((60, 7), (120, 13), (190, 20), (250, 27)):
        amend(
            scene,
            contract,
            Amended(
                day=day,
                changes=("value", "scope"),
                amount_minor_after=_VALUE * (100 + percent) // 100,
                ordered=day - 10 if scene.innocent else None,
                approver=approver,
            ),
        )
    _finish(scene, contract)


def two_rises(scene: Scene) -> None:
    """Two price rises within two months; decisive: two hundred days lie between them."""
    contract = _contract(scene)
    for day, percent in ((50, 6), (250 if scene.innocent else 105, 12)):
        after = _VALUE * (100 + percent) // 100
        amend(scene, contract, Amended(day=day, changes=("value",), amount_minor_after=after))
    _finish(scene, contract)


def orders_written_later(scene: Scene) -> None:
    """Three changes whose orders were written three weeks after them; decisive: three weeks before."""
    contract = _contract(scene)
    changes: tuple[tuple[Change, ...], ...] = (("term",), ("scope",), ("term", "scope"))
    shift = -21 if scene.innocent else 21
    for day, changed in zip((60, 150, 240), changes, strict=True):
        amend(scene, contract, Amended(day=day, changes=changed, ordered=day + shift), delay_days=25)
    _finish(scene, contract)


def entered_by_mistake(scene: Scene) -> None:
    """Three changes; decisive: the third was taken back, and the withdrawal overtook it."""
    contract = _contract(scene)
    amend(scene, contract, Amended(day=60, changes=("term",)))
    amend(scene, contract, Amended(day=150, changes=("scope",)))
    third = amend(scene, contract, Amended(day=240, changes=("term",)), delay_days=20)
    _finish(scene, contract)
    if scene.innocent:
        scene.withdraw(AMENDMENT, third, at=scene.at(243), delay_days=1)


PLOTS = (
    Plot("C01", "rural_road", 400, rural_road),
    Plot("C01", "two_rises", 400, two_rises),
    Plot("C01", "orders_written_later", 400, orders_written_later),
    Plot("C01", "entered_by_mistake", 400, entered_by_mistake),
)
