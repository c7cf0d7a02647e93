"""What the rules of a procedure share: its notice, its bids, and who controls the bidders. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from schemas import catalogue
from streams.kernel import Statement, View
from streams.rules.days import Interval
from streams.rules.standing import standing_since_ms

BIDDER_CONTROLLER = "bidder_controller"
PANEL_INTEREST = "panel_interest"


def latest_notice(view: View) -> Statement | None:
    """The notice that speaks for the procedure: of several the one published last."""
    return max(view.of(catalogue.NOTICE.topic), key=_published, default=None)


def _published(notice: Statement) -> tuple[int, str]:
    return (notice["published_at"] or notice.occurred_ms, notice.record_id)


def is_cancelled(view: View) -> bool:
    notice = latest_notice(view)
    return notice is not None and notice["status"] == "cancelled"


def uncancelled_since_ms(view: View) -> int:
    """From which ingestion on no notice that speaks for the procedure cancels it; 0 when none ever did."""
    speaking: Statement | None = None

    def is_open_with(notice: Statement) -> bool:
        nonlocal speaking
        if speaking is None or _published(notice) > _published(speaking):
            speaking = notice
        return bool(speaking["status"] != "cancelled")

    return standing_since_ms(view.of(catalogue.NOTICE.topic), is_open_with, at_first=0) or 0


def buyer_of(view: View) -> str:
    """The unit responsible for the procedure; "" while no notice is known."""
    notice = latest_notice(view)
    return notice["buyer_id"] if notice is not None else ""


def standing_bids(view: View) -> list[Statement]:
    """Bids that were not withdrawn."""
    return [bid for bid in view.of(catalogue.BID.topic) if bid["status"] != "withdrawn"]


def bid_date_ms(bid: Statement) -> int:
    """When the bid was handed in; platforms that do not say so date the record by it."""
    return bid["submitted_at"] if bid["submitted_at"] is not None else bid.occurred_ms


@dataclass(frozen=True, slots=True)
class Controller:
    """A party behind a bidder, as the relation `bidder_controller` tells."""

    bid_id: str
    bidder_id: str
    party: str
    interest: str  # of the chain: ownership, control, legal_representative, manager
    share_permille: int | None  # the weakest link of the chain; None when one is not stated
    depth: int
    interval: Interval
    relation: Statement

    @property
    def owns(self) -> bool:
        """Whether it is an owner or controls in another way, not just an officer."""
        return self.interest in ("ownership", "control")


def controllers(view: View, bids: Iterable[Statement]) -> list[Controller]:
    """Parties behind the bidders of `bids`, at any time from the bid on."""
    standing = {(bid.record_id, bid["bidder_id"]) for bid in bids}
    found = map(_controller, view.relations(BIDDER_CONTROLLER))
    return [one for one in found if (one.bid_id, one.bidder_id) in standing]


def bidders_without_controller(bids: Iterable[Statement], known: Sequence[Controller]) -> bool:
    """Whether the register says nothing about some bidder, so that a clean answer would be a guess."""
    return bool({bid["bidder_id"] for bid in bids} - {one.bidder_id for one in known})


def _controller(relation: Statement) -> Controller:
    told = relation["attributes"]
    return Controller(
        bid_id=told["bid_id"],
        bidder_id=told["bidder_id"],
        party=told["controller"],
        interest=told["interest"],
        share_permille=int(told["share_permille"]) if told["share_permille"] else None,
        depth=relation["depth"],
        interval=Interval(relation["valid_from_ms"], relation["valid_to_ms"]),
        relation=relation,
    )
