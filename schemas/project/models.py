"""Models of project registers' records."""

from __future__ import annotations

from typing import Annotated, Literal

from xiezhi.contracts.base import Record
from xiezhi.contracts.crossfield import later_than
from xiezhi.contracts.types import Day, Identifier, PersonToken


class Assignment(Record):
    """A person's part in a project of a programme, for a time (项目责任人)."""

    person: PersonToken
    project_id: Identifier
    programme: Identifier
    role: Literal["responsible", "member", "nominal"]
    valid_from: Day
    valid_to: Annotated[Day | None, later_than("valid_from")] = None
