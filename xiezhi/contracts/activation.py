"""The activation: from its place in the log on, a rule speaks with this card, these parameters and this code."""

from __future__ import annotations

from xiezhi.contracts.base import Record
from xiezhi.contracts.evidence import Digest, SmallCount
from xiezhi.contracts.types import Identifier, Instant


class Activation(Record):
    """One rule switched on or off; `record_id` is the rule id, the last activation of a rule is in force."""

    rule_id: Identifier
    rule_version: SmallCount
    enabled: bool
    pack: str
    card: str
    code_hash: Digest
    actor: str
    reason: str
    activated_ms: Instant
