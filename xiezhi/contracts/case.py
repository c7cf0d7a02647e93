"""The case: what an office makes of one or more alerts, from taking it up to closing it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from xiezhi.contracts.base import Record
from xiezhi.contracts.crossfield import distinct, not_before, required_with
from xiezhi.contracts.types import Identifier, Instant, OrganisationId


class Case(Record):
    """The state of one case; `record_id` is the case id."""

    alert_ids: Annotated[list[Identifier], AfterValidator(distinct), Field(min_length=1)]
    status: Literal["open", "verifying", "substantiated", "unfounded", "closed"]
    office_id: OrganisationId
    opened_ms: Instant
    closed_ms: Annotated[
        Instant | None, not_before("opened_ms"), required_with("status", "closed", "unfounded")
    ] = Field(None, validate_default=True)
    reason: str
