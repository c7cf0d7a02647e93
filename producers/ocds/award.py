"""OCDS awards, contracts and their amendments as `tender.award`, `tender.contract` and `tender.amendment`."""

from __future__ import annotations

from producers.importing.fields import Section
from producers.importing.money import money
from producers.importing.outcomes import LeftAside, Step, guarded
from producers.ocds.release import Release, instant
from schemas.catalogue import AMENDMENT, AWARD, CONTRACT

#: First part of the path that an amendment changed → what that is for a contract.
_CHANGED = {
    "value": "value",
    "period": "term",
    "items": "scope",
    "description": "scope",
    "title": "scope",
    "milestones": "scope",
}


def award(release: Release, index: int) -> Step[None]:
    """A decision to award."""
    body = release.body.element("awards", index)
    status = body.text("status")
    if status is None:
        yield LeftAside("award without status")
        return
    suppliers = yield from release.organisations_of(body, "suppliers")
    decided_at = yield from instant(body, "date")
    amount_minor, currency = yield from money(body.section("value"))
    yield release.publish(
        AWARD,
        record_id=f"{release.ocid}:award:{body.required('id')}",
        procedure_id=release.ocid,
        supplier_ids=suppliers,
        status=status,
        decided_at=decided_at,
        amount_minor=amount_minor,
        currency=currency,
    )


def contract(release: Release, index: int) -> Step[None]:
    """A contract with its amendments; its suppliers are those of the award it rests on."""
    body = release.body.element("contracts", index)
    yield from guarded(_contract(release, body))
    yield from _amendments(release, body)


def _contract(release: Release, body: Section) -> Step[None]:
    status = body.text("status")
    buyer = yield from release.buyer()
    suppliers = yield from _suppliers(release, body)
    for said, what in ((status, "status"), (buyer, "buyer"), (suppliers, "suppliers: its award is absent")):
        if not said:
            yield LeftAside(f"contract without {what}")
            return
    amount_minor, currency = yield from money(body.section("value"))
    signed_at = yield from instant(body, "dateSigned")
    period = body.section("period")
    starts_at = (yield from instant(period, "startDate")) if period else None
    ends_at = (yield from instant(period, "endDate")) if period else None
    yield release.publish(
        CONTRACT,
        record_id=_contract_id(release, body),
        contract_id=_contract_id(release, body),
        procedure_id=release.ocid,
        project_id=release.project_id(),
        buyer_id=buyer,
        supplier_ids=suppliers,
        status=status,
        amount_minor=amount_minor,
        currency=currency,
        signed_at=signed_at,
        starts_at=starts_at,
        ends_at=ends_at,
    )


def _amendments(release: Release, body: Section) -> Step[None]:
    """The amendments of a contract. Only the last change of value says which value is in force: the contract's."""
    dated: list[tuple[int, Section]] = []
    for amendment in body.sections("amendments"):
        amended_at = yield from instant(amendment, "date")
        if amended_at is None:
            yield LeftAside("amendment without date")
        else:
            dated.append((amended_at, amendment))
    of_value = [amended_at for amended_at, amendment in dated if "value" in _changes(amendment)]
    for amended_at, amendment in dated:
        last = bool(of_value) and amended_at == max(of_value)
        yield from guarded(_amendment(release, body, amendment, amended_at=amended_at, last=last))


def _amendment(
    release: Release, body: Section, amendment: Section, *, amended_at: int, last: bool
) -> Step[None]:
    changes = _changes(amendment)
    states_value = last and "value" in changes
    amount_minor, currency = (yield from money(body.section("value"))) if states_value else (None, None)
    contract_id = _contract_id(release, body)
    yield release.publish(
        AMENDMENT,
        record_id=f"{contract_id}:amendment:{amendment.required('id')}",
        contract_id=contract_id,
        amended_at=amended_at,
        changes=changes,
        amount_minor_after=amount_minor,
        currency=currency,
        ground="none",
    )


def _changes(amendment: Section) -> list[str]:
    """What an amendment changed, as far as it says so."""
    properties = [change.text("property") or "" for change in amendment.sections("changes")]
    heads = {part for path in properties for part in path.replace("/", ".").split(".")}
    return sorted({_CHANGED[head] for head in heads if head in _CHANGED})


def _contract_id(release: Release, body: Section) -> str:
    return f"{release.ocid}:contract:{body.required('id')}"


def _suppliers(release: Release, body: Section) -> Step[list[str]]:
    """The suppliers of the award that a contract names; of the only award if it names none."""
    awards = list(release.body.sections("awards"))
    wanted = body.identifier("awardID")
    resting_on = [award for award in awards if award.identifier("id") == wanted] if wanted else awards
    if len(resting_on) != 1:
        return []
    return (yield from release.organisations_of(resting_on[0], "suppliers"))
