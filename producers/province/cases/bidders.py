"""P12, bidders of one procedure that belong together: one controls the other, or both have one head or owner."""

from __future__ import annotations

from producers.province.cases.plot import Plot
from producers.province.departments.hr import officials
from producers.province.departments.registry import (
    end,
    found_firm,
    hand_over,
    hold,
    register,
)
from producers.province.departments.tender import Plan, Procedure, run_procedure
from producers.province.scene import Scene

#: The procedures of these plots are announced on this day; bids come some three weeks later.
PUBLISHED = 60
#: Forty days before the first bid.
SALE = PUBLISHED + 24 - 40


def compete(scene: Scene, *bidders: str, judges: tuple[str, ...] = ()) -> Procedure:
    """A procedure between these bidders and one more that nobody has anything to do with."""
    everyone = (*bidders, found_firm(scene).company_id)
    people = judges or officials(scene, 3)
    return run_procedure(scene, Plan(bidders=everyone, officials=people, published=PUBLISHED))


def expect_pair(scene: Scene, procedure: Procedure, one: str, other: str) -> None:
    """P12 should say that these two are linked."""
    bidder_a, bidder_b = sorted((one, other))
    scene.expect("P12", procedure_id=procedure.procedure_id, bidder_a=bidder_a, bidder_b=bidder_b)


def same_representative(scene: Scene) -> None:
    """One legal representative of two bidders; decisive: replaced before the bidding."""
    one = found_firm(scene)
    other = found_firm(scene, representative=one.representative)
    expect_pair(scene, compete(scene, one.company_id, other.company_id), one.company_id, other.company_id)
    if scene.innocent:
        hand_over(scene, other.representation, day=SALE)


def common_owner(scene: Scene) -> None:
    """One person controls two bidders, one of them through a holding; decisive: a tenth of the other."""
    owner = scene.new_person()
    holding = found_firm(scene, owner=owner, share_permille=800)
    one = found_firm(scene, owner=holding.company_id, share_permille=700)
    other = register(scene).company_id
    hold(scene, other, scene.new_person(), interest="legal_representative")
    share_permille = 100 if scene.innocent else 600
    hold(scene, other, owner, share_permille=share_permille)
    hold(scene, other, scene.new_person(), share_permille=1000 - share_permille)
    expect_pair(scene, compete(scene, one.company_id, other), one.company_id, other)


def controls_rival(scene: Scene) -> None:
    """One bidder owns the other through two companies; decisive: the middle stake was sold."""
    one = found_firm(scene)
    first = found_firm(scene, owner=one.company_id, share_permille=900)
    second = found_firm(scene, owner=first.company_id, share_permille=900)
    other = found_firm(scene, owner=second.company_id, share_permille=900)
    expect_pair(scene, compete(scene, one.company_id, other.company_id), one.company_id, other.company_id)
    if scene.innocent:
        hand_over(scene, second.ownership, day=SALE)


def bought_into(scene: Scene) -> None:
    """One owner holds stakes in two bidders; decisive: the second was bought after the decision."""
    one, other = found_firm(scene), found_firm(scene)
    procedure = compete(scene, one.company_id, other.company_id)
    expect_pair(scene, procedure, one.company_id, other.company_id)
    bought = procedure.plan.decided + 30 if scene.innocent else SALE
    end(scene, other.ownership, day=bought)
    hold(scene, other.company_id, one.owner, share_permille=1000, since=bought)


PLOTS = (
    Plot("P12", "same_representative", 130, same_representative),
    Plot("P12", "common_owner", 130, common_owner),
    Plot("P12", "controls_rival", 130, controls_rival),
    Plot("P12", "bought_into", 160, bought_into),
)
