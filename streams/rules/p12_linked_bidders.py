"""P12: two bidders for the same lot are linked: one controls the other, or the same party stands behind both.

Only interests in force when each bid was handed in count. One HIT per pair, whatever the number of links.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules.findings import clear, evidence_of, insufficient, merged, not_applicable
from streams.rules.standing import known_since_ms
from streams.rules.tenders import (
    Controller,
    bid_date_ms,
    bidders_without_controller,
    buyer_of,
    controllers,
    is_cancelled,
    standing_bids,
    uncancelled_since_ms,
)

#: More linked pairs than this in one procedure say something about the register, not about the bidders.
_PAIRS_MAX = 500

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Link:
    """Two bids held together. `rank` orders the kinds: a lower one says more about the pair."""

    rank: int
    reason: str
    first: Statement
    second: Statement
    behind: tuple[Controller, ...]

    @property
    def pair(self) -> Pair:
        one, other = sorted((self.first["bidder_id"], self.second["bidder_id"]))
        return (one, other)

    @property
    def known_ms(self) -> int:
        return known_since_ms([self.first, self.second, *(one.relation for one in self.behind)])


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    bids = standing_bids(view)
    if is_cancelled(view):
        return [not_applicable("cancelled")]
    if not bids:
        return [insufficient("bids_missing")]
    if len({bid["bidder_id"] for bid in bids}) < 2:
        return [not_applicable("one_bidder")]
    known = controllers(view, bids)
    when = (max(map(bid_date_ms, bids)), bids[-1].jurisdiction)
    share_min = parameters.at("share_permille_min", *when)
    left_aside = set(parameters.at("controllers_left_aside", *when))
    in_force = _in_force(bids, [one for one in known if one.party not in left_aside])
    pairs: dict[Pair, list[_Link]] = {}
    for link in _links(bids, in_force, share_min):
        pairs.setdefault(link.pair, []).append(link)
    if len(pairs) > _PAIRS_MAX:
        return [insufficient("too_many_to_judge")]
    if pairs:
        return [_hit(view, pair, pairs[pair]) for pair in sorted(pairs)]
    if bidders_without_controller(bids, known):
        return [insufficient("ownership_missing")]
    if any(one.owns and one.share_permille is None for some in in_force.values() for one in some):
        return [insufficient("share_not_stated")]
    return [clear("no_link")]


def _in_force(bids: Iterable[Statement], known: Sequence[Controller]) -> dict[str, list[Controller]]:
    """Bid record id -> who stood behind the bidder when that bid was handed in."""
    dates = {bid.record_id: bid_date_ms(bid) for bid in bids}
    found: dict[str, list[Controller]] = {bid_id: [] for bid_id in dates}
    for one in known:
        if one.interval.holds(dates[one.bid_id]):
            found[one.bid_id].append(one)
    return found


def _links(
    bids: Sequence[Statement], behind: Mapping[str, Sequence[Controller]], share_min: int
) -> Iterator[_Link]:
    by_id = {bid.record_id: bid for bid in bids}
    everyone = [one for some in behind.values() for one in some]
    owners = [one for one in everyone if one.owns and (one.share_permille or 0) >= share_min]
    for owner in owners:
        for bid in bids:
            if bid["bidder_id"] == owner.party and _same_lot(bid, by_id[owner.bid_id]):
                yield _Link(0, "one_controls_the_other", by_id[owner.bid_id], bid, (owner,))
    representatives = [one for one in everyone if one.interest == "legal_representative"]
    for rank, reason, some in (
        (1, "common_controller", owners),
        (2, "common_legal_representative", representatives),
    ):
        for one, other in _sharing_a_party(some):
            first, second = by_id[one.bid_id], by_id[other.bid_id]
            if one.bidder_id != other.bidder_id and _same_lot(first, second):
                yield _Link(rank, reason, first, second, (one, other))


def _sharing_a_party(some: Iterable[Controller]) -> Iterator[tuple[Controller, Controller]]:
    by_party: dict[str, list[Controller]] = {}
    for one in some:
        by_party.setdefault(one.party, []).append(one)
    for same in by_party.values():
        yield from combinations(same, 2)


def _same_lot(one: Statement, other: Statement) -> bool:
    """A bid that names no lot is for all of them."""
    return one["lot_id"] is None or other["lot_id"] is None or bool(one["lot_id"] == other["lot_id"])


def _hit(view: View, pair: Pair, links: Sequence[_Link]) -> Finding:
    told = min(links, key=lambda link: (link.rank, -_share(link), _depth(link)))
    bids = [bid for link in links for bid in (link.first, link.second)]
    newest = max(bids, key=lambda bid: (bid_date_ms(bid), bid.record_id))
    numbers: dict[str, int | str] = {"occurred_ms": bid_date_ms(newest)}
    if told.rank < 2:
        numbers |= {"share_permille": _share(told), "depth": _depth(told)}
    return Finding(
        outcome=Outcome.HIT,
        reason=told.reason,
        subject={"procedure_id": view.key, "bidder_a": pair[0], "bidder_b": pair[1]},
        evidence=merged(
            [Evidence.of(bid, "bidder_id", "lot_id", "submitted_at") for bid in bids],
            *(evidence_of(one.relation) for link in links for one in link.behind),
        ),
        numbers=numbers,
        jurisdiction=newest.jurisdiction,
        office=buyer_of(view),
        established_ms=max(uncancelled_since_ms(view), min(link.known_ms for link in links)),
    )


def _share(link: _Link) -> int:
    return min((one.share_permille or 0) for one in link.behind)


def _depth(link: _Link) -> int:
    return max(one.depth for one in link.behind)
