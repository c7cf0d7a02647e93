"""Models of the tendering platform's records. Words and codes follow OCDS 1.1.5 where it has them.

`procedure_id` is the OCDS `ocid`: it holds planning, bids, award and contract of one procurement together.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from xiezhi.contracts.base import Record
from xiezhi.contracts.crossfield import distinct, required_with
from xiezhi.contracts.types import (
    Amount,
    Currency,
    Identifier,
    Instant,
    OrganisationId,
    Permille,
    PersonToken,
    ShortText,
)

Suppliers = Annotated[list[OrganisationId], AfterValidator(distinct)]
CurrencyOfAmount = Annotated[Currency | None, required_with("amount_minor")]


class Notice(Record):
    """A procurement procedure as announced (OCDS tender)."""

    procedure_id: Identifier
    buyer_id: OrganisationId
    title: ShortText
    method: Literal["open", "selective", "limited", "direct"]
    status: Literal["planned", "active", "complete", "cancelled", "unsuccessful"]
    published_at: Instant | None = None
    bid_deadline: Instant | None = None
    bids_opened_at: Instant | None = None
    value_minor: Amount | None = None
    currency: Annotated[Currency | None, required_with("value_minor")] = Field(None, validate_default=True)
    project_id: Identifier | None = None


class Bid(Record):
    """One bidder's bid in a procedure, or in one lot of it (OCDS bids extension)."""

    procedure_id: Identifier
    bidder_id: OrganisationId
    lot_id: Identifier | None = None
    status: Literal["submitted", "valid", "rejected", "withdrawn"]
    submitted_at: Instant | None = None
    amount_minor: Amount | None = None
    currency: CurrencyOfAmount = Field(None, validate_default=True)


class Award(Record):
    """A decision to award (OCDS award). A cancelled one may name no supplier."""

    procedure_id: Identifier
    supplier_ids: Suppliers
    status: Literal["pending", "active", "cancelled", "unsuccessful"]
    decided_at: Instant | None = None
    amount_minor: Amount | None = None
    currency: CurrencyOfAmount = Field(None, validate_default=True)


class Contract(Record):
    """A contract as signed (OCDS contract); later changes are amendments, not corrections of this record."""

    contract_id: Identifier
    procedure_id: Identifier | None = None
    project_id: Identifier | None = None
    buyer_id: OrganisationId
    supplier_ids: Suppliers
    status: Literal["pending", "active", "terminated", "cancelled"]
    amount_minor: Amount | None = None
    currency: CurrencyOfAmount = Field(None, validate_default=True)
    signed_at: Instant | None = None
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    advance_permille: Permille = 0


class Amendment(Record):
    """A change of a contract in force (OCDS amendment)."""

    contract_id: Identifier
    amended_at: Instant
    changes: Annotated[list[Literal["value", "term", "scope"]], AfterValidator(distinct)]
    amount_minor_after: Amount | None = None
    currency: Annotated[Currency | None, required_with("amount_minor_after")] = Field(
        None, validate_default=True
    )
    ground: Literal["none", "force_majeure_order", "index_clause", "other"]
    ordered_at: Instant | None = None
    approver: PersonToken | None = None


class Acceptance(Record):
    """The buyer's acceptance (验收) of a contract's work, in whole or in part."""

    contract_id: Identifier
    accepted_at: Instant
    outcome: Literal["accepted", "partial", "rejected"]
    share_permille: Permille


class Panel(Record):
    """One person's part in judging or approving a procedure (评标委员会、审批)."""

    procedure_id: Identifier
    person: PersonToken
    role: Literal["evaluator", "approver", "buyer_representative", "supervisor"]
    decided_at: Instant | None = None
    recused: bool = False
