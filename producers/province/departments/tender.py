"""The tendering platform: procedures with their bids and panels, contracts, amendments and acceptances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from producers.province.days import DAY_MS
from producers.province.scene import Scene
from producers.province.texts import texts
from producers.province.units import CURRENCY
from schemas.catalogue import ACCEPTANCE, AMENDMENT, AWARD, BID, CONTRACT, NOTICE, PANEL
from schemas.tender.models import Acceptance, Amendment, Award, Bid, Contract, Notice, Panel

Change = Literal["value", "term", "scope"]
Method = Literal["open", "selective", "limited", "direct"]
Outcome = Literal["active", "unsuccessful", "cancelled"]
Role = Literal["evaluator", "approver", "buyer_representative", "supervisor"]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a procedure goes. Days are the scene's."""

    bidders: tuple[str, ...]
    officials: tuple[str, ...] = ()  # the last one approves, the others evaluate
    published: int = 0
    window_days: int = 30
    judging_days: int = 25  # long after the last bid, so that no reader sees the award first
    method: Method = "open"
    outcome: Outcome = "active"
    value_minor: int = 400_000_000

    @property
    def deadline(self) -> int:
        return self.published + self.window_days

    @property
    def decided(self) -> int:
        return self.deadline + self.judging_days


@dataclass(frozen=True)
class Procedure:
    """A procedure as it went."""

    procedure_id: str
    plan: Plan
    notice: Notice
    bids: tuple[Bid, ...]
    award: Award
    panel: tuple[Panel, ...]


def run_procedure(scene: Scene, plan: Plan) -> Procedure:
    """Notice, bids, panel, award, and the notice once more when all is done.

    The first bidder wins; of a direct award there are no bids.
    """
    notice = announce(scene, plan)
    bidders = () if plan.method == "direct" else plan.bidders
    bids = tuple(bid(scene, notice.procedure_id, bidder, plan) for bidder in bidders)
    panel = tuple(
        seat(scene, notice.procedure_id, person, role, day=plan.decided) for person, role in _roles(plan)
    )
    award = decide_award(scene, notice.procedure_id, plan)
    conclude(scene, notice, plan)
    return Procedure(notice.procedure_id, plan, notice, bids, award, panel)


def announce(scene: Scene, plan: Plan, *, delay_days: float | None = None) -> Notice:
    """The notice, with a deadline a whole number of days after it."""
    published_at = scene.at(plan.published)
    notice = Notice(
        record_id=scene.new_id("NT"),
        procedure_id=scene.new_id("PR"),
        buyer_id=scene.unit,
        title=scene.rng.choice(texts().notice_titles),
        method=plan.method,
        status="active",
        published_at=published_at,
        bid_deadline=None if plan.method == "direct" else published_at + plan.window_days * DAY_MS,
        value_minor=plan.value_minor,
        currency=CURRENCY,
    )
    return scene.say(NOTICE, notice, at=published_at, delay_days=delay_days)


def conclude(scene: Scene, notice: Notice, plan: Plan) -> Notice:
    """The notice's last version, after the decision or the cancellation."""
    opened_at = None
    if notice.bid_deadline is not None and plan.outcome != "cancelled":
        opened_at = notice.bid_deadline + 1_800_000
    status = "complete" if plan.outcome == "active" else plan.outcome
    at = scene.at(plan.decided + 3)
    return scene.correct(NOTICE, notice, at=at, status=status, bids_opened_at=opened_at)


def bid(scene: Scene, procedure_id: str, bidder: str, plan: Plan) -> Bid:
    """One bid, handed in on one of the last days of the window but not the very last."""
    submitted_at = scene.at(plan.deadline - scene.rng.randint(2, 6))
    value = Bid(
        record_id=scene.new_id("BD"),
        procedure_id=procedure_id,
        bidder_id=bidder,
        status="submitted",
        submitted_at=submitted_at,
        amount_minor=plan.value_minor * scene.rng.randint(880, 990) // 1000,
        currency=CURRENCY,
    )
    return scene.say(BID, value, at=submitted_at)


def seat(
    scene: Scene,
    procedure_id: str,
    person: str,
    role: Role,
    *,
    day: int,
    decided: bool = True,
    recused: bool = False,
) -> Panel:
    """A person's part in judging a procedure; not `decided`: named for it, the judgement is to come."""
    at = scene.at(day)
    panel = Panel(
        record_id=scene.new_id("PN"),
        procedure_id=procedure_id,
        person=person,
        role=role,
        decided_at=at if decided else None,
        recused=recused,
    )
    return scene.say(PANEL, panel, at=at)


def _roles(plan: Plan) -> list[tuple[str, Role]]:
    evaluators: list[tuple[str, Role]] = [(person, "evaluator") for person in plan.officials[:-1]]
    return evaluators + [(person, "approver") for person in plan.officials[-1:]]


def decide_award(scene: Scene, procedure_id: str, plan: Plan) -> Award:
    """The decision: the first bidder wins, or nobody does."""
    decided_at = scene.at(plan.decided)
    award = Award(
        record_id=scene.new_id("AW"),
        procedure_id=procedure_id,
        supplier_ids=list(plan.bidders[:1]) if plan.outcome == "active" else [],
        status=plan.outcome,
        decided_at=decided_at,
        amount_minor=plan.value_minor * scene.rng.randint(880, 960) // 1000,
        currency=CURRENCY,
    )
    return scene.say(AWARD, award, at=decided_at)


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What a contract says."""

    supplier: str
    amount_minor: int
    signed: int = 0
    term_days: int = 200
    advance_permille: int = 0
    procedure_id: str | None = None
    project_id: str | None = None


def sign(scene: Scene, terms: Terms) -> Contract:
    """A contract between the scene's unit and a supplier."""
    signed_at = scene.at(terms.signed)
    contract = Contract(
        record_id=scene.new_id("CT"),
        contract_id=scene.new_id("HT"),
        procedure_id=terms.procedure_id,
        project_id=terms.project_id,
        buyer_id=scene.unit,
        supplier_ids=[terms.supplier],
        status="active",
        amount_minor=terms.amount_minor,
        currency=CURRENCY,
        signed_at=signed_at,
        starts_at=signed_at + 7 * DAY_MS,
        ends_at=signed_at + terms.term_days * DAY_MS,
        advance_permille=terms.advance_permille,
    )
    return scene.say(CONTRACT, contract, at=signed_at)


@dataclass(frozen=True, kw_only=True)
class Amended:
    """What an amendment changes, and the day of the force-majeure order that it rests on, if any."""

    day: int
    changes: tuple[Change, ...]
    amount_minor_after: int | None = None
    ordered: int | None = None
    approver: str | None = None


def amend(
    scene: Scene, contract: Contract, amended: Amended, *, delay_days: float | None = None
) -> Amendment:
    """A change of a contract."""
    amended_at = scene.at(amended.day)
    ordered_at = scene.at(amended.day if amended.ordered is None else amended.ordered)
    amendment = Amendment(
        record_id=scene.new_id("AM"),
        contract_id=contract.contract_id,
        amended_at=amended_at,
        changes=list(amended.changes),
        amount_minor_after=amended.amount_minor_after,
        currency=None if amended.amount_minor_after is None else CURRENCY,
        ground="none" if amended.ordered is None else "force_majeure_order",
        ordered_at=None if amended.ordered is None else ordered_at,
        approver=amended.approver,
    )
    return scene.say(AMENDMENT, amendment, at=amended_at, delay_days=delay_days)


def accept(
    scene: Scene,
    contract: Contract,
    *,
    day: int,
    outcome: Literal["accepted", "partial", "rejected"] = "accepted",
    share_permille: int = 1000,
) -> Acceptance:
    """The buyer accepts a contract's work, all of it unless said otherwise."""
    accepted_at = scene.at(day)
    acceptance = Acceptance(
        record_id=scene.new_id("AC"),
        contract_id=contract.contract_id,
        accepted_at=accepted_at,
        outcome=outcome,
        share_permille=share_permille,
    )
    return scene.say(ACCEPTANCE, acceptance, at=accepted_at)
