"""One company as a bidder: its bids and those who control it, carried to the procedures it bids in."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas import catalogue
from streams.joins.control import CONTROL
from streams.kernel import Derivation, Derived, Evidence, Finding, Input, Join, Statement, Value, View
from streams.rules.days import Interval
from streams.rules.findings import evidence_of, merged
from streams.rules.tenders import BIDDER_CONTROLLER, bid_date_ms, standing_bids
from xiezhi.contracts.naming import RELATION


def by_bidder(value: Value) -> Iterable[str]:
    return [value["bidder_id"]]


def by_target(value: Value) -> Iterable[str]:
    return [value["attributes"]["target"]]


def derive(view: View, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Derived]:
    """Each bid with each party that controls the bidder when it is handed in or later.

    Later ones matter too: a conflict of interest is judged on the day of the decision.
    """
    return [
        _behind(bid, control)
        for bid in standing_bids(view)
        for control in view.relations(CONTROL)
        if not Interval(control["valid_from_ms"], control["valid_to_ms"]).ended_by(bid_date_ms(bid))
    ]


def _behind(bid: Statement, control: Statement) -> Derived:
    told = control["attributes"]
    return Derived(
        kind=BIDDER_CONTROLLER,
        identity=(bid.record_id, control.record_id),
        attributes={
            "procedure_id": bid["procedure_id"],
            "bid_id": bid.record_id,
            "bidder_id": bid["bidder_id"],
            "controller": told["controller"],
            "interest": told["interest"],
            "share_permille": told["share_permille"],
        },
        evidence=merged([Evidence.of(bid, "bidder_id", "submitted_at")], evidence_of(control)),
        jurisdiction=bid.jurisdiction,
        valid_from_ms=control["valid_from_ms"],
        valid_to_ms=control["valid_to_ms"],
        depth=control["depth"],
    )


JOIN = Join(
    name="bidder",
    inputs=(
        Input(catalogue.BID.topic, by_bidder),
        Input(RELATION, by_target, CONTROL),
    ),
    derivations=(Derivation("bidder-controller", BIDDER_CONTROLLER, derive),),
    fanout_max=20_000,  # a large supplier's bids of some years, each with every party behind it
)
