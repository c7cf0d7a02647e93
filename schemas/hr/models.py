"""Models of the organisation department's records."""

from __future__ import annotations

from typing import Annotated

from xiezhi.contracts.base import Record
from xiezhi.contracts.crossfield import later_than
from xiezhi.contracts.types import Day, Identifier, OrganisationId, PersonToken


class Appointment(Record):
    """A person holds a post in a unit for a time (任职)."""

    person: PersonToken
    unit_id: OrganisationId
    post: Identifier
    rank: Identifier | None = None
    valid_from: Day
    valid_to: Annotated[Day | None, later_than("valid_from")] = None
