"""One OCDS 1.1 release: which process, when, and who its parties are.

A release is taken as a whole statement about what it contains, so a later release replaces an earlier one. Publishers
whose later releases repeat only what changed offer compiled releases in records; those are what to import.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from producers.importing.fields import Section, epoch_ms
from producers.importing.organisations import local_organisation, official_organisation, stated_identifiers
from producers.importing.outcomes import Imported, Refused, Remark, Step, guarded, imported
from xiezhi.contracts.base import Contract

UNIDENTIFIED = "party without official identifier: known inside its procedure only"
UNDESCRIBED = "reference to a party that the release does not describe: known inside its procedure only"
ASSUMED_UTC = "time without offset: read as UTC"


@dataclass(frozen=True, slots=True)
class Release:
    """An OCDS release whose parties are resolved. `occurred_ms` is its date, which is also the version."""

    body: Section
    ocid: str
    occurred_ms: int
    organisations: Mapping[str, str]  # party id → organisation id

    def publish(self, contract: Contract, **fields: Any) -> Imported:
        """A record that this release states. Raises RecordRefusedError."""
        return imported(contract, occurred_ms=self.occurred_ms, version=self.occurred_ms, **fields)

    def organisation(self, reference: Section) -> Step[str]:
        """The organisation that an OrganizationReference means."""
        party = reference.required("id")
        if party in self.organisations:
            return self.organisations[party]
        return (yield from _identified(self.ocid, party, reference, UNDESCRIBED))

    def organisations_of(self, holder: Section, array: str) -> Step[list[str]]:
        """The organisations that an array refers to, each once."""
        found: dict[str, None] = {}
        for reference in holder.sections(array):
            found[(yield from self.organisation(reference))] = None
        return list(found)

    def buyer(self) -> Step[str | None]:
        """The buyer, or the entity that runs the procedure for it; None if the release names neither."""
        tender = self.body.section("tender")
        for reference in (self.body.section("buyer"), tender and tender.section("procuringEntity")):
            if reference and reference.has("id"):
                return (yield from self.organisation(reference))
        return None

    def project_id(self) -> str | None:
        """The project that the budget names; projects elsewhere are an extension with the same meaning."""
        planning = self.body.section("planning")
        budget = planning and planning.section("budget")
        project = planning and planning.section("project")
        return (budget and budget.identifier("projectID")) or (project and project.identifier("id")) or None


def open_release(body: Section) -> Step[Release]:
    """Resolve a release's head and parties. Raises RecordRefusedError when the release cannot be used at all."""
    ocid = body.required("ocid")
    occurred_ms = yield from instant(body, "date")
    if occurred_ms is None:
        raise body.refuse("date", "required, but absent: without it no release is newer than another")
    if occurred_ms < 0:
        raise body.refuse("date", "before 1970, which no release can be")
    return Release(body, ocid, occurred_ms, (yield from _organisations(body, ocid)))


def instant(section: Section, name: str) -> Step[int | None]:
    """Milliseconds since 1970 of a date-time. Raises RecordRefusedError."""
    moment = section.moment(name)
    if moment is None:
        return None
    if moment.tzinfo is None:
        yield Remark(ASSUMED_UTC)
    return epoch_ms(moment)


def _organisations(body: Section, ocid: str) -> Step[dict[str, str]]:
    """Organisation by party id. A party that cannot be read is refused alone; what refers to it stays anonymous."""
    organisations: dict[str, str] = {}
    for index in range(len(body.values("parties"))):
        party = yield from guarded(_party(body, index, ocid))
        if party is None:
            continue
        name, organisation = party
        if organisations.setdefault(name, organisation) != organisation:
            organisations[name] = local_organisation("OCDS", ocid, name)
            yield Refused(f"parties.{index}.id", "two organisations have the same party id: neither is taken")
    return organisations


def _party(body: Section, index: int, ocid: str) -> Step[tuple[str, str]]:
    party = body.element("parties", index)
    name = party.required("id")
    return name, (yield from _identified(ocid, name, party, UNIDENTIFIED))


def _identified(ocid: str, name: str, party: Section, otherwise: str) -> Step[str]:
    stated = [*_main_identifier(party), *stated_identifiers(party, "additionalIdentifiers")]
    if official := official_organisation(stated):
        return official
    yield Remark(otherwise)
    return local_organisation("OCDS", ocid, name)


def _main_identifier(party: Section) -> list[tuple[str | None, str | None]]:
    identifier = party.section("identifier")
    return [(identifier.text("scheme"), identifier.identifier("id"))] if identifier else []
