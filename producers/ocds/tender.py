"""OCDS tender and bids sections as `tender.notice` and `tender.bid`."""

from __future__ import annotations

from producers.importing.fields import Section
from producers.importing.money import money
from producers.importing.outcomes import LeftAside, Remark, Step, guarded
from producers.ocds.release import Release, instant
from schemas.catalogue import BID, NOTICE

#: tender.status (OCDS codelist tenderStatus) → status of the notice.
_NOTICE_STATUS = {
    "planning": "planned",
    "planned": "planned",
    "active": "active",
    "complete": "complete",
    "cancelled": "cancelled",
    "withdrawn": "cancelled",
    "unsuccessful": "unsuccessful",
}
#: bids.details.status (OCDS codelist bidStatus) → status of the bid. An invitation is no bid.
_BID_STATUS = {"pending": "submitted", "valid": "valid", "disqualified": "rejected", "withdrawn": "withdrawn"}
_TITLE_MAX = 500


def notice(release: Release, tender: Section) -> Step[None]:
    """The procedure as announced, if the release says enough about it.

    The date of publication is the tender period's start and nothing else: a release's own date moves with every
    republication, and a bid window measured from it would accuse the wrong ones.
    """
    buyer = yield from release.buyer()
    method, status = tender.text("procurementMethod"), tender.text("status")
    for said, what in ((buyer, "buyer"), (method, "procurementMethod"), (status, "status")):
        if said is None:
            yield LeftAside(f"tender without {what}")
            return
    period, opening = tender.section("tenderPeriod"), tender.section("bidOpening")
    published_at = (yield from instant(period, "startDate")) if period else None
    deadline = (yield from instant(period, "endDate")) if period else None
    opened_at = (yield from instant(opening, "date")) if opening else None
    value_minor, currency = yield from money(tender.section("value"))
    title = tender.text("title") or ""
    if len(title) > _TITLE_MAX:
        yield Remark(f"title cut after {_TITLE_MAX} characters")
    yield release.publish(
        NOTICE,
        record_id=release.ocid,
        procedure_id=release.ocid,
        buyer_id=buyer,
        title=title[:_TITLE_MAX],
        method=method,
        status=_NOTICE_STATUS.get(status or "", status),
        published_at=published_at,
        bid_deadline=deadline,
        bids_opened_at=opened_at,
        value_minor=value_minor,
        currency=currency,
        project_id=release.project_id(),
    )


def bids(release: Release, section: Section) -> Step[set[str]]:
    """The bids of the bids extension. Returns every organisation that takes part in one."""
    bidders: set[str] = set()
    for index in range(len(section.values("details"))):
        bidders.update((yield from guarded(_bid(release, section, index))) or ())
    return bidders


def tenderers(release: Release, tender: Section, known: set[str]) -> Step[None]:
    """Bids of which only the bidder is known, as most publishers have it, of those not `known` to bid."""
    published: set[str] = set()
    for index in range(len(tender.values("tenderers"))):
        yield from guarded(_tenderer(release, tender, index, known, published))


def _bid(release: Release, section: Section, index: int) -> Step[list[str]]:
    """One record, or one per lot that the bid is for; returns the bidders.

    A joint bid stands under the first of its tenderers: as several bids it would make partners look like rivals.
    """
    body = section.element("details", index)
    status = body.text("status")
    if status == "invited":
        yield LeftAside("invitation without bid")
        return []
    bidders = yield from release.organisations_of(body, "tenderers")
    if not bidders:
        yield LeftAside("bid without tenderer")
        return []
    for _ in bidders[1:]:
        yield LeftAside("further tenderer of a joint bid")
    submitted_at = yield from instant(body, "date")
    amount_minor, currency = yield from money(body.section("value"))
    lots: list[str | None] = [*body.identifiers("relatedLots")] or [None]
    if len(lots) > 1 and amount_minor is not None:
        yield LeftAside("amount of a bid over several lots")
        amount_minor = currency = None
    record_id = f"{release.ocid}:bid:{body.required('id')}"
    for lot in lots:
        yield release.publish(
            BID,
            record_id=f"{record_id}:{lot}" if len(lots) > 1 else record_id,
            procedure_id=release.ocid,
            bidder_id=bidders[0],
            lot_id=lot,
            status=_BID_STATUS.get(status, status) if status else "submitted",
            submitted_at=submitted_at,
            amount_minor=amount_minor,
            currency=currency,
        )
    return bidders


def _tenderer(
    release: Release, tender: Section, index: int, known: set[str], published: set[str]
) -> Step[None]:
    bidder = yield from release.organisation(tender.element("tenderers", index))
    if bidder in known:
        return  # its bid says more
    if bidder in published:
        yield LeftAside("tenderer named twice")
        return
    published.add(bidder)
    yield release.publish(
        BID,
        record_id=f"{release.ocid}:tenderer:{bidder}",
        procedure_id=release.ocid,
        bidder_id=bidder,
        status="submitted",
    )
