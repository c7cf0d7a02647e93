"""What becomes of foreign data: read, then published, withdrawn, left aside, remarked on or refused.

Mappings yield outcomes and know no file; readers add the place; the command publishes and counts. Nothing that is
read disappears without an outcome.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from xiezhi.contracts.base import Contract
from xiezhi.errors import RecordRefusedError


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the input something stood. Lines and items count from 1; 0 = the format has none."""

    file: str
    line: int = 0
    item: int = 0  # element of an array or package

    def __str__(self) -> str:
        line = f":{self.line}" if self.line else ""
        return f"{self.file}{line}{f' item {self.item}' if self.item else ''}"


@dataclass(frozen=True, slots=True)
class Read:
    """An element of the input was read: a release, record or statement. Other outcomes say what came of it."""


@dataclass(frozen=True, slots=True)
class Imported:
    """A record that keeps its contract, ready to be published."""

    contract: Contract
    record: BaseModel
    record_id: str
    occurred_ms: int
    version: int


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A record that an earlier statement made and a later one no longer makes."""

    contract: Contract
    record_id: str
    occurred_ms: int
    version: int


@dataclass(frozen=True, slots=True)
class LeftAside:
    """Something correct that no contract has a place for, or that says too little."""

    reason: str


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that was published, with an assumption that the reader should know of."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Something that breaks its format or its contract. `field` is a dotted path, "" for the whole."""

    field: str
    reason: str
    record_id: str = ""

    @classmethod
    def because(cls, error: RecordRefusedError) -> Refused:
        return cls(error.field, error.reason, error.record_id)


Outcome = Read | Imported | Withdrawn | LeftAside | Remark | Refused
Located = tuple[Place, Outcome]


def imported(contract: Contract, *, occurred_ms: int, version: int, **fields: Any) -> Imported:
    """A validated record. Raises RecordRefusedError; no value is repeated in it, since values may name people."""
    try:
        record = contract.model(**fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        reason = f"{contract.name} {path}: {first['msg']}"
        raise RecordRefusedError(reason, field=path, record_id=str(fields["record_id"])) from None
    return Imported(contract, record, str(fields["record_id"]), occurred_ms, version)


T = TypeVar("T")
#: A step of a mapping: yields outcomes, returns what the next step needs. Raises RecordRefusedError.
Step = Generator[Outcome, None, T]


def guarded(step: Step[T]) -> Step[T | None]:
    """The outcomes of a step; if it refuses its input, that refusal is the last of them."""
    try:
        return (yield from step)
    except RecordRefusedError as error:
        yield Refused.because(error)
        return None


@dataclass
class Tally:
    """How many of each outcome there were."""

    read: int = 0
    published: Counter[str] = field(default_factory=Counter)  # by contract name
    withdrawn: Counter[str] = field(default_factory=Counter)
    left_aside: Counter[str] = field(default_factory=Counter)  # by reason
    remarks: Counter[str] = field(default_factory=Counter)
    refused: int = 0

    def count(self, outcome: Outcome) -> None:
        match outcome:
            case Read():
                self.read += 1
            case Imported(contract=contract):
                self.published[contract.name] += 1
            case Withdrawn(contract=contract):
                self.withdrawn[contract.name] += 1
            case LeftAside(reason=reason):
                self.left_aside[reason] += 1
            case Remark(reason=reason):
                self.remarks[reason] += 1
            case Refused():
                self.refused += 1

    def to_dict(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "published": dict(sorted(self.published.items())),
            "withdrawn": dict(sorted(self.withdrawn.items())),
            "left_aside": dict(self.left_aside.most_common()),
            "remarks": dict(self.remarks.most_common()),
            "refused": self.refused,
        }
