"""Parts that several of the bus's own records share: two languages, and the address of one piece of evidence."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from xiezhi.contracts.types import Instant, Jurisdiction

#: A division code, or "" where the records behind a statement name none.
JurisdictionOrUnknown = Jurisdiction | Literal[""]
#: SHA-256 as 64 lower-case hexadecimal digits.
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: A number that only counts up: versions, offsets, positions, attempts.
Count = Annotated[int, Field(strict=True, ge=0, le=2**63 - 1)]
#: The same, where Avro holds it in an int.
SmallCount = Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)]


class Part(BaseModel):
    """A record inside a record."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Bilingual(Part):
    """One text for readers, in Chinese and in English."""

    zh: str
    en: str


class EvidenceRef(Part):
    """Where the log holds one record that a statement rests on, and which of its fields mattered."""

    record_type: str
    record_id: str
    version: Count
    event_id: str
    digest: Digest
    topic: str
    partition: SmallCount
    offset: Count
    ingested_ms: Instant
    occurred_ms: Instant
    fields: list[str]
    traceparent: str = ""
    sent_ms: Instant = 0
    routed_ms: Instant = 0
