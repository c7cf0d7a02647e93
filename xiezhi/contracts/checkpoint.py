"""The checkpoint: what the audit log says of itself at one size, signed, where everybody on the bus can keep it."""

from __future__ import annotations

from xiezhi.contracts.base import Record
from xiezhi.contracts.evidence import Count, Digest
from xiezhi.contracts.types import Identifier, Instant


class Checkpoint(Record):
    """One checkpoint; `record_id` is origin and size. The note alone is signed, the rest repeats it for readers."""

    origin: Identifier
    size: Count
    root: Digest
    note: str
    signed_ms: Instant
