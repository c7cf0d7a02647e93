"""What a contract is: one record type of one owner, its Avro schema, its model and how it may be used."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from xiezhi.contracts.naming import topic_name
from xiezhi.contracts.types import Identifier


class Classification(StrEnum):
    """How widely a record may be read (data grade of GB/T 43697-2024, by reader)."""

    OPEN = "open"  # published anyway, e.g. a tender notice
    INTERNAL = "internal"  # departments with a grant
    RESTRICTED = "restricted"  # router and judge alone, e.g. kinship


class Compatibility(StrEnum):
    """Compatibility level that the registry enforces for a subject."""

    FULL_TRANSITIVE = "FULL_TRANSITIVE"  # between departments: both sides upgrade when they can
    BACKWARD_TRANSITIVE = "BACKWARD_TRANSITIVE"  # the bus's own: readers upgrade first


class Record(BaseModel):
    """A department's statement about one business object; replaced or withdrawn as a whole.

    Version, time and jurisdiction travel in the envelope, so no field may be called `version`, `occurred_at` or
    `jurisdiction`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    record_id: Identifier


@dataclass(frozen=True)
class Contract:
    """One record type of one owner. `folder` holds `<record>.avsc`, `<record>.valid.json`, `<record>.invalid.json`."""

    owner: str
    record: str
    model: type[BaseModel]
    folder: Path
    classification: Classification
    major: int = 1
    compatibility: Compatibility = Compatibility.FULL_TRANSITIVE
    expected_every: timedelta | None = None  # None: no rhythm is promised, silence is not lateness

    @cached_property
    def topic(self) -> str:
        return topic_name(self.owner, self.record, self.major)

    @property
    def name(self) -> str:
        """`<owner>.<record>`: what people type."""
        return f"{self.owner}.{self.record}"

    @property
    def subject(self) -> str:
        """Registry subject (TopicNameStrategy)."""
        return f"{self.topic}-value"

    @cached_property
    def schema(self) -> dict[str, Any]:
        """The Avro schema as a JSON object."""
        loaded: dict[str, Any] = json.loads((self.folder / f"{self.record}.avsc").read_text("utf-8"))
        return loaded
