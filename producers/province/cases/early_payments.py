"""C04, money paid before the work was accepted and beyond the advance that the contract permits."""

from __future__ import annotations

from producers.province.cases.plot import Plot
from producers.province.departments.finance import pay
from producers.province.departments.registry import found_firm
from producers.province.departments.tender import Terms, accept, sign
from producers.province.scene import Scene
from schemas.tender.models import Contract

VALUE = 1_000_000_00


def contract_of(scene: Scene, *, signed: int = 0, advance_permille: int = 0) -> Contract:
    """A contract of the scene's unit with a company of its own."""
    terms = Terms(
        supplier=found_firm(scene).company_id,
        amount_minor=VALUE,
        signed=signed,
        term_days=150,
        advance_permille=advance_permille,
    )
    return sign(scene, terms)


def unlawful_advance(scene: Scene) -> None:
    """Three tenths paid three months before acceptance; decisive: the contract permits that advance."""
    contract = contract_of(scene, advance_permille=300 if scene.innocent else 0)
    pay(scene, contract, VALUE * 30 // 100, day=30, purpose="advance")
    accept(scene, contract, day=120)
    pay(scene, contract, VALUE * 60 // 100, day=145)
    scene.expect("C04", contract_id=contract.contract_id)


def before_acceptance(scene: Scene) -> None:
    """Nearly all paid a month before acceptance; decisive: a month after it."""
    contract = contract_of(scene)
    accept(scene, contract, day=70 if scene.innocent else 130)
    pay(scene, contract, VALUE * 90 // 100, day=100)
    scene.expect("C04", contract_id=contract.contract_id)


def balance_too_early(scene: Scene) -> None:
    """A lawful advance, then the balance three weeks before acceptance; decisive: three weeks after it."""
    contract = contract_of(scene, advance_permille=300)
    pay(scene, contract, VALUE * 30 // 100, day=25, purpose="advance")
    accept(scene, contract, day=120)
    pay(scene, contract, VALUE * 60 // 100, day=141 if scene.innocent else 99)
    scene.expect("C04", contract_id=contract.contract_id)


PLOTS = (
    Plot("C04", "unlawful_advance", 160, unlawful_advance),
    Plot("C04", "before_acceptance", 160, before_acceptance),
    Plot("C04", "balance_too_early", 160, balance_too_early),
)
