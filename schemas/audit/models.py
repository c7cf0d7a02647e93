"""Models of the audit office's records."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xiezhi.contracts.base import Record
from xiezhi.contracts.crossfield import required_with
from xiezhi.contracts.types import Identifier, Instant, OrganisationId, ShortText


class Finding(Record):
    """What auditors found wrong at a unit (审计发现问题)."""

    unit_id: OrganisationId
    violation: Identifier
    found_at: Instant
    title: ShortText


class Rectification(Record):
    """How far a finding has been put right (整改); `accepted` closes it."""

    finding_id: Identifier
    unit_id: OrganisationId
    violation: Identifier
    status: Literal["reported", "accepted", "returned"]
    closed_at: Annotated[Instant | None, required_with("status", "accepted")] = Field(
        None, validate_default=True
    )
