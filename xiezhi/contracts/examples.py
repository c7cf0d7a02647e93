"""The two examples of a contract: a record as a department would write it, and one that must be refused.

They are written for people (times in ISO 8601) and kept beside the schema; tests hold the model to both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from xiezhi.contracts.base import Contract


@dataclass(frozen=True)
class InvalidExample:
    """A record that breaks the contract, the dotted path of the field that the error must name, and why."""

    field: str
    reason: str
    record: dict[str, Any]


def valid_example(contract: Contract) -> dict[str, Any]:
    """The record's fields as people write them."""
    example: dict[str, Any] = json.loads(_text(contract, "valid"))
    return example


def valid_record(contract: Contract) -> BaseModel:
    """The valid example as an instance of the contract's model."""
    return contract.model.model_validate_json(_text(contract, "valid"))


def invalid_example(contract: Contract) -> InvalidExample:
    return InvalidExample(**json.loads(_text(contract, "invalid")))


def _text(contract: Contract, which: str) -> str:
    return (contract.folder / f"{contract.record}.{which}.json").read_text("utf-8")
