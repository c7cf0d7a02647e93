"""The access record: who looked at or did what, for which purpose, when. Watching the watchers starts here."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from xiezhi.contracts.base import Record
from xiezhi.contracts.types import Identifier, Instant, ShortText

Action = Literal["read", "search", "export", "change"]

#: Objects that one record names; an act on more takes several records, so that none outgrows a message.
OBJECTS_MAX = 1_000


class Access(Record):
    """One access to objects of the bus by a user or a service account."""

    actor: Identifier
    action: Action
    object_type: Identifier
    object_id: Identifier
    purpose: Annotated[str, Field(min_length=1, max_length=500)]
    accessed_ms: Instant
    object_ids: Annotated[list[Identifier], Field(max_length=OBJECTS_MAX)] = Field([])
    command: ShortText = ""
    account: ShortText = ""
