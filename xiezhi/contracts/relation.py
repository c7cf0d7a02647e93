"""The relation: a record that the judge derives from others, and that joins take like any other record."""

from __future__ import annotations

from typing import Annotated

from xiezhi.contracts.base import Record
from xiezhi.contracts.crossfield import later_than
from xiezhi.contracts.evidence import Count, Digest, EvidenceRef, JurisdictionOrUnknown, SmallCount
from xiezhi.contracts.types import Instant


class Relation(Record):
    """One derived link; `record_id` is the relation id. Withdrawn by a null value with the envelope."""

    kind: str
    derivation: str
    join: str
    join_key: str
    attributes: dict[str, str]
    depth: SmallCount
    valid_from_ms: Instant | None = None
    valid_to_ms: Annotated[Instant | None, later_than("valid_from_ms")] = None
    jurisdiction: JurisdictionOrUnknown
    evidence: list[EvidenceRef]
    content_digest: Digest
    position: Count
