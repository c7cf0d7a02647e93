"""The alert: a suspected problem (疑似问题) with its evidence. It shows a suspicion and never pronounces guilt."""

from __future__ import annotations

from typing import Literal

from xiezhi.contracts.base import Record
from xiezhi.contracts.evidence import (
    Bilingual,
    Count,
    Digest,
    EvidenceRef,
    JurisdictionOrUnknown,
    Part,
    SmallCount,
)
from xiezhi.contracts.types import Instant


class Times(Part):
    """The three times of a statement."""

    occurred_ms: Instant
    ingested_ms: Instant
    judged_ms: Instant


class Alert(Record):
    """What is said about one subject under one rule; `record_id` is the alert id.

    A withdrawn alert keeps its last content with `state` withdrawn and the reason, so that everyone who got the
    alert can be told what was taken back; an alert is never a null value. A reader ignores a statement whose
    `position` is not greater than the one it holds for this alert.
    """

    state: Literal["raised", "changed", "withdrawn"]
    severity: Literal["red", "orange", "yellow"]
    handling: Literal["open", "sealed"]
    rule_id: str
    rule_version: SmallCount
    activation: str
    parameters: dict[str, str]
    join: str
    join_key: str
    subject: dict[str, str]
    jurisdiction: JurisdictionOrUnknown
    office: str
    title: Bilingual
    explanation: Bilingual
    rule_text: Bilingual
    legal_basis: list[str]
    tier: Literal["T1", "T2", "T3"]
    reason: str
    evidence: list[EvidenceRef]
    content_digest: Digest
    position: Count
    times: Times
