"""P01, a window too short to bid in, and P02, an award with fewer than three bidders."""

from __future__ import annotations

from producers.province.cases.plot import Plot
from producers.province.departments.hr import officials
from producers.province.departments.registry import found_firm
from producers.province.departments.tender import (
    Outcome,
    Plan,
    announce,
    bid,
    conclude,
    decide_award,
    run_procedure,
)
from producers.province.scene import Scene
from schemas.catalogue import BID, NOTICE


def _bidders(scene: Scene, count: int) -> tuple[str, ...]:
    return tuple(found_firm(scene).company_id for _ in range(count))


def nine_days(scene: Scene) -> None:
    """Nine days to bid; decisive: the window is twenty-five days."""
    _windowed(scene, 25 if scene.innocent else 9)


def eighteen_days(scene: Scene) -> None:
    """Eighteen days, lawful elsewhere; decisive: exactly the twenty days that the law asks for."""
    _windowed(scene, 20 if scene.innocent else 18)


def _windowed(scene: Scene, window_days: int) -> None:
    """Deadline, bids and decision are the same days for every window: what differs is when it was announced."""
    plan = Plan(
        bidders=_bidders(scene, 3),
        officials=officials(scene, 3),
        published=25 - window_days,
        window_days=window_days,
    )
    scene.expect("P01", procedure_id=run_procedure(scene, plan).procedure_id)


def extended(scene: Scene) -> None:
    """Eleven days to bid; decisive: a corrected notice, which overtakes the first, sets a later deadline."""
    plan = Plan(bidders=_bidders(scene, 3), officials=officials(scene, 3), window_days=11, judging_days=30)
    notice = announce(scene, plan, delay_days=12)
    for bidder in plan.bidders:
        bid(scene, notice.procedure_id, bidder, plan)
    decide_award(scene, notice.procedure_id, plan)
    if scene.innocent:
        notice = scene.correct(NOTICE, notice, at=scene.at(4), delay_days=0.5, bid_deadline=scene.at(28))
    conclude(scene, notice, plan)
    scene.expect("P01", procedure_id=notice.procedure_id)


def two_bids(scene: Scene) -> None:
    """Two bidders and an award; decisive: a third one bid, too."""
    procedure = run_procedure(scene, Plan(bidders=_bidders(scene, 2), officials=officials(scene, 3)))
    third = found_firm(scene).company_id
    if scene.innocent:
        bid(scene, procedure.procedure_id, third, procedure.plan)
    scene.expect("P02", procedure_id=procedure.procedure_id)


def withdrawn_bid(scene: Scene) -> None:
    """Three bids of which one was withdrawn before the opening; decisive: it was not."""
    procedure = run_procedure(scene, Plan(bidders=_bidders(scene, 3), officials=officials(scene, 3)))
    if not scene.innocent:
        the_day_before = scene.at(procedure.plan.deadline - 1)
        scene.correct(BID, procedure.bids[2], at=the_day_before, status="withdrawn")
    scene.expect("P02", procedure_id=procedure.procedure_id)


def same_bidder_twice(scene: Scene) -> None:
    """Three bids by two bidders, one of whom bid twice; decisive: the third bid is another company's."""
    bidders = _bidders(scene, 3)
    procedure = run_procedure(scene, Plan(bidders=bidders[:2], officials=officials(scene, 3)))
    last = bidders[2] if scene.innocent else bidders[1]
    bid(scene, procedure.procedure_id, last, procedure.plan)
    scene.expect("P02", procedure_id=procedure.procedure_id)


def lone_bid(scene: Scene) -> None:
    """One bidder, who wins; decisive: the procedure ended without an award."""
    outcome: Outcome = "unsuccessful" if scene.innocent else "active"
    plan = Plan(bidders=_bidders(scene, 1), officials=officials(scene, 3), outcome=outcome)
    scene.expect("P02", procedure_id=run_procedure(scene, plan).procedure_id)


PLOTS = (
    Plot("P01", "nine_days", 70, nine_days),
    Plot("P01", "eighteen_days", 70, eighteen_days),
    Plot("P01", "extended", 70, extended),
    Plot("P02", "two_bids", 70, two_bids),
    Plot("P02", "withdrawn_bid", 70, withdrawn_bid),
    Plot("P02", "same_bidder_twice", 70, same_bidder_twice),
    Plot("P02", "lone_bid", 70, lone_bid),
)
