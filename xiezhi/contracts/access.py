"""The access record: who looked at or did what, for which purpose, when. Watching the watchers starts here."""

from __future__ import annotations

from typing import Literal

from xiezhi.contracts.base import Record
from xiezhi.contracts.types import Identifier, Instant


class Access(Record):
    """One access to an object of the bus by a user or a service account."""

    actor: Identifier
    action: Literal["read", "search", "export", "change"]
    object_type: Identifier
    object_id: Identifier
    purpose: str
    accessed_ms: Instant
