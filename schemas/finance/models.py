"""Models of the finance department's records. Money is in minor units (分) with an ISO 4217 currency."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xiezhi.contracts.base import Record
from xiezhi.contracts.types import Amount, Currency, Day, Identifier, Instant, OrganisationId, PartyId


class Payment(Record):
    """One payment out of the treasury, or a refund of one (OCDS transaction; 国库集中支付)."""

    payer_id: OrganisationId
    payee_id: PartyId
    contract_id: Identifier | None = None
    project_id: Identifier | None = None
    kind: Literal["payment", "refund"]
    purpose: Literal["contract", "advance", "subsidy", "transfer", "other"]
    amount_minor: Amount
    currency: Currency
    paid_at: Instant
    budget_line: Identifier | None = None


class Budget(Record):
    """Money appropriated to one unit under one budget line for one year (预算指标)."""

    unit_id: OrganisationId
    budget_line: Identifier
    year: Annotated[int, Field(strict=True, ge=1949, le=2999)]
    appropriated_minor: Amount
    currency: Currency
    valid_from: Day
