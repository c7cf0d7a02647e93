"""What a single BODS statement says, reduced to what the bus has a place for. Pure; who is meant is decided later."""

from __future__ import annotations

from dataclasses import dataclass

from producers.bods.interests import Holding, holdings
from producers.bods.statement import Statement, is_company
from producers.importing.fields import Section
from producers.importing.outcomes import LeftAside, Remark, Step

_DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class CompanyFacts:
    """An entity. Days since 1970."""

    occurred_ms: int
    is_company: bool
    registered_on: int | None
    dissolved_on: int | None


@dataclass(frozen=True, slots=True)
class OwnershipFacts:
    """Who holds what of whom. `subject` and `owner` are ids of statements or records, "" = not said."""

    occurred_ms: int
    subject: str
    owner: str
    holdings: tuple[Holding, ...]


def company_facts(statement: Statement) -> Step[CompanyFacts]:
    """Founding and dissolution. Raises RecordRefusedError."""
    details = statement.details
    registered_on, dissolved_on = details.day("foundingDate"), details.day("dissolutionDate")
    occurred_ms = yield from _occurred_ms(statement, registered_on if dissolved_on is None else dissolved_on)
    return CompanyFacts(occurred_ms, is_company(details), registered_on, dissolved_on)


def ownership_facts(statement: Statement) -> Step[OwnershipFacts]:
    """Parties and interests. Raises RecordRefusedError."""
    details = statement.details
    subject, owner = _reference(details, "subject"), _reference(details, "interestedParty")
    closed_on = (statement.made_ms or 0) // _DAY_MS if statement.closed else None
    if owner and not details.has("interests"):
        yield LeftAside("ownership statement without interests")
    found = yield from holdings(details.sections("interests"), closed_on=closed_on)
    starts = [holding.valid_from for holding in found if holding.valid_from is not None]
    occurred_ms = yield from _occurred_ms(statement, max(starts, default=None))
    return OwnershipFacts(occurred_ms, subject, owner, tuple(found))


def _occurred_ms(statement: Statement, day: int | None) -> Step[int]:
    """When the statement was made; undated ones (0.1) are as old as the last thing they tell of."""
    if statement.made_ms is not None:
        return statement.made_ms
    if day is None:
        yield Remark("statement without any date: dated 1970-01-01")
    return (day or 0) * _DAY_MS


def _reference(details: Section, role: str) -> str:
    """The id that a subject or an interested party refers to, in any version; "" if it is unspecified."""
    if isinstance(details.body.get(role), str):
        return details.text(role) or ""
    party = details.section(role)
    if party is None:
        raise details.refuse(role, "required, but absent")
    return party.text("describedByEntityStatement") or party.text("describedByPersonStatement") or ""
