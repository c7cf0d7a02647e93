"""BODS files as outcomes: statements of 0.1 to 0.4 as a JSON array or JSON Lines.

Entities become `registry.company`, ownership or control becomes `registry.ownership`, one record per kind of
interest and period. A person becomes a token of the statement's id inside ownership records and nothing else: names,
birth dates and addresses are never read. Owners of whom a publisher says that it does not know them are nobody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from producers.bods.facts import CompanyFacts, OwnershipFacts, company_facts, ownership_facts
from producers.bods.index import Admitted, Index
from producers.bods.statement import Kind, Statement, is_nobody, official_id, open_statement
from producers.importing.documents import read_elements
from producers.importing.fields import Section
from producers.importing.organisations import local_organisation
from producers.importing.outcomes import (
    Imported,
    LeftAside,
    Located,
    Outcome,
    Place,
    Read,
    Refused,
    Remark,
    Step,
    Withdrawn,
    guarded,
    imported,
)
from schemas.catalogue import COMPANY, OWNERSHIP
from xiezhi.contracts.base import Contract
from xiezhi.tokeniser import IdentityKind, Tokeniser

_CONTRACTS = {contract.name: contract for contract in (COMPANY, OWNERSHIP)}
#: A package of statements is no part of BODS, yet some publishers wrap them so.
_ARRAYS = ("statements",)


@dataclass(frozen=True)
class BodsImport:
    """One import: what statement ids mean, who makes tokens, and whose record ids these are."""

    index: Index
    tokeniser: Tokeniser
    source: str

    def read(
        self, paths: Iterable[str], *, progress: Callable[[int], None] = lambda _: None
    ) -> Iterator[Located]:
        """Every outcome of the files ("-" is standard input). Raises ConfigurationError if one is unreadable.

        Records come when all files were read, since statements may refer forward; then oldest first.
        """
        for path in paths:
            for place, element in read_elements(path, _ARRAYS, progress=progress):
                yield place, Read()
                step = (element,) if isinstance(element, Refused) else guarded(self._admit(place, element))
                yield from ((place, outcome) for outcome in step)
        for place, admitted, facts in self.index.waiting():
            yield from ((place, outcome) for outcome in self._told(admitted, facts))
        for _ in range(self.index.missing_replaced()):
            yield Place(""), Remark("replaced statement that is not in these files: its records still stand")

    def _admit(self, place: Place, element: Any) -> Step[None]:
        """Check a statement, learn what its id means and put aside what it says."""
        statement = open_statement(Section.of(element))
        facts: CompanyFacts | OwnershipFacts | None = None
        match statement.kind:
            case Kind.OWNERSHIP:
                facts = yield from ownership_facts(statement)
            case _ if is_nobody(statement.details):
                yield LeftAside(f"unspecified {statement.kind}: nobody")
            case Kind.ENTITY:
                facts = yield from company_facts(statement)
            case Kind.PERSON:
                yield LeftAside("person: a token in ownership records, no record of its own")
        admitted = self.index.admit(statement, scope=self._scope)
        if statement.kind is not Kind.OWNERSHIP:
            party = yield from self._party(statement, admitted.base)
            self.index.name_party(admitted, party)
        if facts is not None:
            self.index.wait(place, statement.statement_id, facts)

    @property
    def _scope(self) -> str:
        """What tells the record ids of one publisher from those of another."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:8]

    def _party(self, statement: Statement, base: str) -> Step[str | None]:
        """Who an entity or person is; None for nobody."""
        if is_nobody(statement.details):
            return None
        if statement.kind is Kind.PERSON:
            identity = hashlib.sha256(
                base.encode()
            ).hexdigest()  # tokenisers ignore case, statement ids do not
            return self.tokeniser.token(IdentityKind.BODS_PERSON, identity)
        if official := official_id(statement.details):
            return official
        yield Remark("entity without official identifier: known by its statement only")
        return local_organisation("BODS", base)

    def _told(self, admitted: Admitted, facts: CompanyFacts | OwnershipFacts) -> Iterator[Outcome]:
        """A statement's records, and the withdrawal of what older statements about the same thing said besides."""
        if self.index.is_stale(admitted):
            yield LeftAside("statement older than one imported before")
            return
        records: set[tuple[str, str]] = set()
        told = (
            self._company(admitted, facts)
            if isinstance(facts, CompanyFacts)
            else self._ownership(admitted, facts)
        )
        for outcome in guarded(told):
            if isinstance(outcome, Imported):
                records.add((outcome.contract.name, outcome.record_id))
            yield outcome
        for contract, record_id in self.index.tell(admitted, records):
            yield Withdrawn(_CONTRACTS[contract], record_id, facts.occurred_ms, admitted.version)

    def _company(self, admitted: Admitted, facts: CompanyFacts) -> Step[None]:
        if not facts.is_company:
            yield LeftAside("entity that no register of companies holds: an owner only")
            return
        company_id = self.index.party_of(admitted.base)
        yield imported(
            COMPANY,
            occurred_ms=facts.occurred_ms,
            version=admitted.version,
            record_id=f"bods:{company_id}",
            company_id=company_id,
            status="active" if facts.dissolved_on is None else "dissolved",
            registered_on=facts.registered_on,
            dissolved_on=facts.dissolved_on,
        )

    def _ownership(self, admitted: Admitted, facts: OwnershipFacts) -> Step[None]:
        company = yield from self._resolved("subject", facts.subject)
        holder = yield from self._resolved("owner", facts.owner)
        if company is None or holder is None:
            return
        numbers: dict[str, int] = {}
        for holding in facts.holdings:
            number = numbers[holding.kind] = numbers.get(holding.kind, 0) + 1
            record_id = f"{admitted.base}:{holding.kind}{f':{number}' if number > 1 else ''}"
            yield from guarded(
                _once(
                    OWNERSHIP,
                    occurred_ms=facts.occurred_ms,
                    version=admitted.version,
                    record_id=record_id,
                    company_id=company,
                    holder_id=holder,
                    interest=holding.kind,
                    share_permille=holding.share_permille,
                    valid_from=holding.valid_from,
                    valid_to=holding.valid_to,
                )
            )

    def _resolved(self, role: str, reference: str) -> Step[str | None]:
        described, party = self.index.party(reference, scope=self._scope)
        if not party:
            nobody = described or not reference
            yield LeftAside(
                f"ownership whose {role} is {'unspecified: nobody' if nobody else 'described nowhere'}"
            )
        return party


def _once(contract: Contract, **fields: Any) -> Step[None]:
    """One record as a step, so that its refusal leaves the others alone."""
    yield imported(contract, **fields)
