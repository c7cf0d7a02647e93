"""Ordinary purchases: procedures with enough bidders and time, contracts paid after acceptance, small corrections.

No contract is ever paid beyond its first value, so that a late or missing amendment makes nothing suspicious.
"""

from __future__ import annotations

from producers.province.background.society import Society
from producers.province.departments.finance import pay
from producers.province.departments.registry import found_firm
from producers.province.departments.tender import (
    Amended,
    Method,
    Plan,
    Procedure,
    Terms,
    accept,
    amend,
    announce,
    bid,
    conclude,
    run_procedure,
    seat,
    sign,
)
from producers.province.scene import Scene
from schemas.catalogue import AWARD, BID, CONTRACT, PAYMENT
from schemas.tender.models import Contract

_METHODS: tuple[Method, ...] = ("open", "selective", "limited", "direct")
_WEIGHTS = (60, 15, 10, 15)
_CANCELLED = 0.06
#: Enough for the decision to lie in the province's two years; what comes after may still be to come.
PURCHASE_DAYS = 130


def purchase(scene: Scene, society: Society) -> None:
    """One procedure from notice to last payment, as far as it has got."""
    plan = _plan(scene, society)
    if scene.rng.random() < _CANCELLED:
        _call_off(scene, plan)
        return
    procedure = run_procedure(scene, plan)
    _staff(scene, society, procedure)
    _correct_bids(scene, procedure)
    signed = plan.decided + scene.rng.randint(8, 25)
    if scene.is_past(signed):
        _carry_out(scene, procedure, signed)


def _plan(scene: Scene, society: Society) -> Plan:
    office = scene.rng.choice(society.offices)
    scene.county, scene.unit = office.county, office.unit
    method = scene.rng.choices(_METHODS, _WEIGHTS)[0]
    groups = scene.rng.sample(society.groups, 1 if method == "direct" else scene.rng.randint(3, 6))
    return Plan(
        bidders=tuple(scene.rng.choice(group) for group in groups),
        officials=tuple(scene.rng.sample(society.officials_of(office.county), 3)),
        window_days=scene.rng.randint(25, 45),
        method=method,
        value_minor=scene.yuan(300_000, 9_000_000),
    )


def _call_off(scene: Scene, plan: Plan) -> None:
    """The procedure is cancelled before any bid is opened."""
    cancelled = Plan(bidders=plan.bidders, window_days=plan.window_days, outcome="cancelled")
    notice = announce(scene, cancelled)
    for bidder in cancelled.bidders[:2]:
        bid(scene, notice.procedure_id, bidder, cancelled)
    conclude(scene, notice, cancelled)


def _staff(scene: Scene, society: Society, procedure: Procedure) -> None:
    """Others in the room, who judge nothing."""
    others = [p for p in society.officials_of(scene.county) if p not in procedure.plan.officials]
    procedure_id, day = procedure.procedure_id, procedure.plan.decided
    if scene.rng.random() < 0.4:
        seat(scene, procedure_id, others[0], "supervisor", day=day)
    if scene.rng.random() < 0.1:
        seat(scene, procedure_id, others[1], "evaluator", day=day, recused=True)


def _correct_bids(scene: Scene, procedure: Procedure) -> None:
    """Where there are bids to spare, one is found invalid, or was entered twice; a price was mistyped."""
    opened = scene.at(procedure.plan.deadline + 1)
    if len(procedure.bids) > 4:
        scene.correct(BID, procedure.bids[-1], at=opened, status="rejected")
    if len(procedure.bids) > 3 and scene.rng.random() < 0.15:
        twice = bid(scene, procedure.procedure_id, procedure.bids[0].bidder_id, procedure.plan)
        scene.withdraw(BID, twice, at=scene.at(procedure.plan.deadline + 2))
    if procedure.bids and scene.rng.random() < 0.1:
        amount = procedure.plan.value_minor * 99 // 100
        scene.correct(BID, procedure.bids[0], at=opened, amount_minor=amount)
    if scene.rng.random() < 0.05:
        at = scene.at(procedure.plan.decided + 8)
        scene.correct(AWARD, procedure.award, at=at, amount_minor=procedure.plan.value_minor * 93 // 100)


def _carry_out(scene: Scene, procedure: Procedure, signed: int) -> None:
    """The contract, and what has come of it so far."""
    term_days = scene.rng.randint(60, 240)
    terms = Terms(
        supplier=procedure.plan.bidders[0],
        amount_minor=procedure.award.amount_minor or procedure.plan.value_minor,
        signed=signed,
        term_days=term_days,
        advance_permille=scene.rng.choice((0, 0, 100, 300)),
        procedure_id=procedure.procedure_id,
        project_id=scene.new_id("XM"),
    )
    contract = sign(scene, terms)
    if terms.advance_permille and scene.is_past(signed + 20):
        advance = terms.amount_minor * (terms.advance_permille - 20) // 1000
        pay(scene, contract, advance, day=signed + 20, purpose="advance")
    _adapt(scene, contract, signed + term_days // 2)
    _complete(scene, contract, signed + term_days, terms)


def _adapt(scene: Scene, contract: Contract, day: int) -> None:
    """One contract in five changes once."""
    if not scene.is_past(day) or scene.rng.random() > 0.2:
        return
    if scene.rng.random() < 0.5:
        amend(scene, contract, Amended(day=day, changes=("term",)))
    else:
        after = (contract.amount_minor or 0) * 104 // 100
        amend(scene, contract, Amended(day=day, changes=("value", "scope"), amount_minor_after=after))


def _complete(scene: Scene, contract: Contract, done: int, terms: Terms) -> None:
    """Acceptance, sometimes at the second attempt, then payment in instalments."""
    if scene.is_past(done - 30) and scene.rng.random() < 0.1:
        accept(scene, contract, day=done - 30, outcome="rejected", share_permille=0)
    if not scene.is_past(done):
        return
    accept(scene, contract, day=done)
    open_permille = 960 - terms.advance_permille
    for day, permille in ((done + 30, open_permille * 2 // 3), (done + 75, open_permille // 3)):
        if scene.is_past(day):
            pay(scene, contract, terms.amount_minor * permille // 1000, day=day)


BOOKKEEPING_DAYS = 190


def bookkeeping(scene: Scene, society: Society) -> None:
    """Two contracts of one unit, and bookings on the wrong one: moved, taken back or refunded in time."""
    office = scene.rng.choice(society.offices)
    scene.county, scene.unit = office.county, office.unit
    supplier = found_firm(scene).company_id
    small = sign(scene, Terms(supplier=supplier, amount_minor=scene.yuan(200_000, 900_000), term_days=80))
    large = sign(scene, Terms(supplier=supplier, amount_minor=scene.yuan(3_000_000, 9_000_000), term_days=80))
    accept(scene, small, day=60)
    accept(scene, large, day=70)
    instalment = (small.amount_minor or 0) * 45 // 100
    pay(scene, small, instalment, day=100)
    misplaced = pay(scene, large, instalment, day=120)
    scene.correct(PAYMENT, misplaced, at=scene.at(150), contract_id=small.contract_id)
    extra = pay(scene, large, instalment, day=130)
    if scene.rng.random() < 0.5:
        scene.withdraw(PAYMENT, extra, at=scene.at(160))
    else:
        pay(scene, large, instalment, day=165, kind="refund")
    scene.correct(CONTRACT, large, at=scene.at(40), ends_at=scene.at(95))
