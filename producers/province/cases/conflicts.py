"""P13, an official who judges a bidder that is their own or their next of kin's."""

from __future__ import annotations

from producers.province.cases.bidders import SALE, compete, expect_pair
from producers.province.cases.plot import Plot
from producers.province.departments.civil import relate
from producers.province.departments.hr import officials
from producers.province.departments.registry import end, found_firm, hand_over, hold
from producers.province.departments.tender import Procedure, seat
from producers.province.scene import Scene
from schemas.catalogue import KINSHIP, PANEL


def _expect(scene: Scene, procedure: Procedure, bidder: str, person: str) -> None:
    scene.expect("P13", procedure_id=procedure.procedure_id, bidder_id=bidder, person=person)


def spouse_wins(scene: Scene) -> None:
    """The winner is an evaluator's spouse's, and two bidders share their legal representative.

    Decisive: the representative was replaced before the bidding, and the stake sold forty days before.
    """
    judges = officials(scene, 3)
    spouse = scene.new_person()
    relate(scene, judges[0], spouse, "spouse")
    winner = found_firm(scene, owner=spouse, share_permille=600)
    other = found_firm(scene, representative=winner.representative)
    procedure = compete(scene, winner.company_id, other.company_id, judges=judges)
    expect_pair(scene, procedure, winner.company_id, other.company_id)
    _expect(scene, procedure, winner.company_id, judges[0])
    if scene.innocent:
        hand_over(scene, other.representation, day=SALE)
        hand_over(scene, winner.ownership, day=SALE)


def own_company(scene: Scene) -> None:
    """An evaluator is a bidder's legal representative; decisive: they stood back."""
    judges = officials(scene, 4)
    firm = found_firm(scene, representative=judges[3])
    procedure = compete(scene, found_firm(scene).company_id, firm.company_id, judges=judges[:3])
    decided = procedure.plan.decided
    seat(scene, procedure.procedure_id, judges[3], "evaluator", day=decided, recused=scene.innocent)
    _expect(scene, procedure, firm.company_id, judges[3])


def childs_firm(scene: Scene) -> None:
    """The approver's child manages a bidder; decisive: no longer, when it bid."""
    judges = officials(scene, 3)
    child = scene.new_person()
    relate(scene, judges[2], child, "parent")
    firm = found_firm(scene)
    managed = hold(scene, firm.company_id, child, interest="manager")
    procedure = compete(scene, firm.company_id, found_firm(scene).company_id, judges=judges)
    _expect(scene, procedure, firm.company_id, judges[2])
    if scene.innocent:
        end(scene, managed, day=SALE)


def sibling_owner(scene: Scene) -> None:
    """An evaluator's sibling owns a bidder; decisive: another official took the seat before the decision."""
    judges = officials(scene, 5)
    sibling = scene.new_person()
    relate(scene, sibling, judges[3], "sibling")
    firm = found_firm(scene, owner=sibling)
    procedure = compete(scene, firm.company_id, found_firm(scene).company_id, judges=judges[:3])
    procedure_id, named_on = procedure.procedure_id, procedure.plan.published + 5
    named = seat(scene, procedure_id, judges[3], "evaluator", day=named_on, decided=False)
    decided_at = scene.at(procedure.plan.decided)
    sits = judges[4] if scene.innocent else judges[3]
    scene.correct(PANEL, named, at=decided_at, person=sits, decided_at=decided_at)
    _expect(scene, procedure, firm.company_id, judges[3])


def divorced(scene: Scene) -> None:
    """An evaluator's spouse represents a bidder; decisive: the marriage ended before the bidding."""
    judges = officials(scene, 3)
    spouse = scene.new_person()
    marriage = relate(scene, spouse, judges[1], "spouse")
    firm = found_firm(scene, representative=spouse)
    procedure = compete(scene, firm.company_id, found_firm(scene).company_id, judges=judges)
    _expect(scene, procedure, firm.company_id, judges[1])
    if scene.innocent:
        scene.correct(KINSHIP, marriage, at=scene.at(5), valid_to=scene.day(5))


PLOTS = (
    Plot("P13", "spouse_wins", 130, spouse_wins),
    Plot("P13", "own_company", 130, own_company),
    Plot("P13", "childs_firm", 130, childs_firm),
    Plot("P13", "sibling_owner", 130, sibling_owner),
    Plot("P13", "divorced", 130, divorced),
)
