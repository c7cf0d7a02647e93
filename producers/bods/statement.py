"""BODS statements of versions 0.1 to 0.4 in one shape.

Until 0.3 a statement is about a thing and may replace earlier statements by their ids; from 0.4 on statements about
one thing share a record id. https://standard.openownership.org/
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from producers.importing.fields import Section, epoch_ms
from producers.importing.organisations import official_organisation, stated_identifiers


class Kind(StrEnum):
    """What a statement is about."""

    ENTITY = "entity"
    PERSON = "person"
    OWNERSHIP = "ownership"


_KINDS = {
    "entityStatement": Kind.ENTITY,
    "personStatement": Kind.PERSON,
    "ownershipOrControlStatement": Kind.OWNERSHIP,
    "entity": Kind.ENTITY,
    "person": Kind.PERSON,
    "relationship": Kind.OWNERSHIP,
}
_NOBODY = {"unknownEntity", "anonymousEntity", "unknownPerson", "anonymousPerson"}
_NO_COMPANY = {"arrangement", "state", "stateBody"}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. `made_ms` is when it was made, None if it does not say."""

    statement_id: str
    record: str  # what all statements about one thing share; "" until 0.3
    kind: Kind
    made_ms: int | None
    replaces: tuple[str, ...]
    closed: bool  # 0.4: the publisher says no more about this thing
    details: Section


def open_statement(body: Section) -> Statement:
    """Read the head of a statement of any version. Raises RecordRefusedError."""
    field = "recordType" if body.has("recordType") else "statementType"
    record = body.required("recordId") if field == "recordType" else ""
    kind = _KINDS.get(body.required(field))
    if kind is None:
        raise body.refuse(field, "no type of BODS 0.1 to 0.4")
    details = (body.section("recordDetails") or Section({}, "recordDetails")) if record else body
    return Statement(
        statement_id=body.required("statementId" if body.has("statementId") else "statementID"),
        record=record,
        kind=kind,
        made_ms=_made_ms(body),
        replaces=() if record else tuple(body.identifiers("replacesStatements")),
        closed=bool(record) and body.text("recordStatus") == "closed",
        details=details,
    )


def _made_ms(body: Section) -> int | None:
    """When the statement was made; else when it was published, else when its source was read."""
    publication, source = body.section("publicationDetails"), body.section("source")
    for section, name in ((body, "statementDate"), (publication, "publicationDate"), (source, "retrievedAt")):
        if section and (text := section.text(name)):
            return max(
                0, _midnight_ms(section, name) if len(text) <= len("2026-03-01") else _ms(section, name)
            )
    return None


def _midnight_ms(section: Section, name: str) -> int:
    return (section.day(name) or 0) * 86_400_000


def _ms(section: Section, name: str) -> int:
    moment = section.moment(name)
    return epoch_ms(moment) if moment else 0


def is_nobody(details: Section) -> bool:
    """Whether the publisher says that it does not know, or does not say, who this is."""
    return _type(details) in _NOBODY or any(
        details.has(name)
        for name in ("unspecifiedEntityDetails", "unspecifiedPersonDetails", "missingInfoReason")
    )


def is_company(details: Section) -> bool:
    """Whether an entity is one that a register of companies could hold."""
    return _type(details) not in _NO_COMPANY


def official_id(details: Section) -> str | None:
    """The organisation that an entity's identifiers mean."""
    return official_organisation(stated_identifiers(details, "identifiers"))


def _type(details: Section) -> str:
    """entityType or personType, which is an object for entities from 0.4 on."""
    for name in ("entityType", "personType"):
        value = details.body.get(name)
        if isinstance(value, dict):
            return Section(value, details.at(name)).text("type") or ""
        if value is not None:
            return details.text(name) or ""
    return ""
