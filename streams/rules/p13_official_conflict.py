"""P13: someone who judged or approved a procedure, or registered kin of theirs, had an interest in a bidder.

The interest must be in force on the day of the decision. Kinship is restricted: a finding says that a registered
relation exists, never which one or with whom.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas import catalogue
from streams.kernel import Finding, Outcome, Parameters, Statement, View
from streams.rules.findings import clear, evidence_of, insufficient, merged, not_applicable
from streams.rules.standing import known_since_ms
from streams.rules.tenders import (
    PANEL_INTEREST,
    Controller,
    bidders_without_controller,
    buyer_of,
    controllers,
    is_cancelled,
    standing_bids,
    uncancelled_since_ms,
)


@dataclass(frozen=True, slots=True)
class _Interest:
    """An official, or kin, behind a bidder on the day of the decision."""

    member: Statement  # relation panel_interest
    controller: Controller

    @property
    def subject(self) -> tuple[str, str]:
        return (self.controller.bidder_id, self.member["attributes"]["official"])

    @property
    def known_ms(self) -> int:
        return known_since_ms([self.member, self.controller.relation])


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    panel = [member for member in view.of(catalogue.PANEL.topic) if not member["recused"]]
    bids = standing_bids(view)
    if is_cancelled(view):
        return [not_applicable("cancelled")]
    if not view.of(catalogue.PANEL.topic):
        return [insufficient("panel_missing")]
    if not bids:
        return [insufficient("bids_missing")]
    if not panel:
        return [not_applicable("all_recused")]
    members = view.relations(PANEL_INTEREST)
    known = controllers(view, bids)
    share_min = parameters.at("share_permille_min", panel[-1]["decided_at"], panel[-1].jurisdiction)
    found: dict[tuple[str, str], list[_Interest]] = {}
    for interest in _interests(members, known, share_min):
        found.setdefault(interest.subject, []).append(interest)
    if found:
        return [_hit(view, *subject, found[subject]) for subject in sorted(found)]
    if {member["person"] for member in panel} - {m["attributes"]["official"] for m in members}:
        return [insufficient("appointment_missing")]
    if bidders_without_controller(bids, known):
        return [insufficient("ownership_missing")]
    return [clear("no_interest")]


def _interests(
    members: Iterable[Statement], known: Iterable[Controller], share_min: int
) -> Iterable[_Interest]:
    behind: dict[str, list[Controller]] = {}
    for one in known:
        # An owner whose share is not stated is an owner all the same.
        if one.interest != "ownership" or one.share_permille is None or one.share_permille >= share_min:
            behind.setdefault(one.party, []).append(one)
    return [
        _Interest(member, one)
        for member in members
        for one in behind.get(member["attributes"]["party"], ())
        if one.interval.holds(int(member["attributes"]["decided_ms"]))
    ]


def _hit(view: View, bidder_id: str, official: str, interests: Sequence[_Interest]) -> Finding:
    own = [i for i in interests if i.member["attributes"]["relation"] == "self"]
    told = min(own or interests, key=_decision)
    return Finding(
        outcome=Outcome.HIT,
        reason="own_interest" if own else "interest_of_registered_relation",
        subject={"procedure_id": view.key, "bidder_id": bidder_id, "person": official},
        evidence=merged(
            *(evidence_of(i.member) for i in interests),
            *(evidence_of(i.controller.relation) for i in interests),
        ),
        numbers={
            "role": told.member["attributes"]["role"],
            "occurred_ms": int(told.member["attributes"]["decided_ms"]),
        },
        jurisdiction=told.member["jurisdiction"],
        office=buyer_of(view),
        established_ms=max(uncancelled_since_ms(view), min(i.known_ms for i in interests)),
    )


def _decision(interest: _Interest) -> tuple[int, str]:
    told = interest.member["attributes"]
    return (int(told["decided_ms"]), told["role"])
