"""Models of the company registry's records. Ownership follows the statements of BODS 0.4."""

from __future__ import annotations

from typing import Annotated, Literal

from xiezhi.contracts.base import Record
from xiezhi.contracts.crossfield import later_than, not_before
from xiezhi.contracts.types import Day, Identifier, OrganisationId, PartyId, Permille


class Company(Record):
    """A company or other registered unit."""

    company_id: OrganisationId
    status: Literal["active", "revoked", "dissolved"]
    registered_on: Day | None = None
    dissolved_on: Annotated[Day | None, not_before("registered_on")] = None
    industry: Identifier | None = None


class Ownership(Record):
    """One interest of a person or company in a company (BODS relationship statement)."""

    company_id: OrganisationId
    holder_id: PartyId
    interest: Literal["ownership", "control", "legal_representative", "manager"]
    share_permille: Permille | None = None
    valid_from: Day | None = None
    valid_to: Annotated[Day | None, later_than("valid_from")] = None
