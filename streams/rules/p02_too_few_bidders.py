"""P02: a competitive procedure drew fewer bidders than it should, or was awarded although it did."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas import catalogue
from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules.findings import clear, insufficient, merged, not_applicable
from streams.rules.tenders import latest_notice, standing_bids

_COMPETITIVE = ("open", "selective")


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    notice = latest_notice(view)
    if notice is None:
        return [insufficient("notice_missing")]
    awards = [award for award in view.of(catalogue.AWARD.topic) if award["status"] == "active"]
    when = (_decided_ms(notice, awards), notice.jurisdiction)
    gate = _gate(notice, awards, now_ms, award_needed=parameters.at("award_needed", *when))
    if gate is not None:
        return [gate]
    bids = standing_bids(view)
    bidders = {bid["bidder_id"] for bid in bids}
    bidders_min = parameters.at("bidders_min", *when)
    if not bidders:
        return [insufficient("bids_missing")]
    if len(bidders) >= bidders_min:
        return [clear("enough_bidders")]
    return [_hit(view.key, notice, awards, bids, bidders_min)]


def _gate(
    notice: Statement, awards: Sequence[Statement], now_ms: int, *, award_needed: bool
) -> Finding | None:
    """Why the number of bidders says nothing (yet); None when it does."""
    if notice["status"] == "cancelled":
        return not_applicable("cancelled")
    if notice["method"] not in _COMPETITIVE:
        return not_applicable("method_not_competitive")
    if awards:
        return None
    if notice["status"] == "unsuccessful":
        return not_applicable("declared_unsuccessful")
    if award_needed:
        return not_applicable("not_awarded")
    opened_ms = notice["bids_opened_at"]
    if opened_ms is None or opened_ms > now_ms:
        return not_applicable("not_opened", wake_at_ms=opened_ms)
    return None


def _decided_ms(notice: Statement, awards: Sequence[Statement]) -> int:
    """The date of the act: the first award, else the opening, else the notice itself."""
    decided = [award["decided_at"] or award.occurred_ms for award in awards]
    return int(min(decided, default=notice["bids_opened_at"] or notice.occurred_ms))


def _hit(
    procedure_id: str,
    notice: Statement,
    awards: Sequence[Statement],
    bids: Sequence[Statement],
    bidders_min: int,
) -> Finding:
    bidders = {bid["bidder_id"] for bid in bids}
    return Finding(
        outcome=Outcome.HIT,
        reason="awarded_to_too_few" if awards else "too_few_at_opening",
        subject={"procedure_id": procedure_id},
        evidence=merged(
            [Evidence.of(notice, "method", "status", "bids_opened_at")],
            [Evidence.of(bid, "bidder_id", "status") for bid in bids],
            [Evidence.of(award, "status", "decided_at") for award in awards],
        ),
        numbers={
            "bidders": len(bidders),
            "bidders_min": bidders_min,
            "method": notice["method"],
            "occurred_ms": _decided_ms(notice, awards),
        },
        jurisdiction=notice.jurisdiction,
        office=notice["buyer_id"],
        established_ms=_standing_since_ms(notice, awards, bids),
    )


def _standing_since_ms(notice: Statement, awards: Sequence[Statement], bids: Sequence[Statement]) -> int:
    """Ingestion of notice, first bid and first award, whichever came last: from then on bids may only be missing."""
    first = [min(one.source.ingested_ms for one in some) for some in (bids, awards) if some]
    return max(notice.source.ingested_ms, *first)
