"""Rules between two fields name the later field and refuse only what cannot be meant."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from pydantic import AfterValidator, BaseModel, Field, ValidationError

from xiezhi.contracts.crossfield import different_from, distinct, later_than, not_before, required_with


class Sample(BaseModel):
    status: str = "open"
    amount: int | None = None
    currency: Annotated[str | None, required_with("amount")] = Field(None, validate_default=True)
    closed: Annotated[int | None, required_with("status", "closed")] = Field(None, validate_default=True)
    start: int | None = None
    exclusive: Annotated[int | None, later_than("start")] = None
    inclusive: Annotated[int | None, not_before("start")] = None
    one: str = "a"
    other: Annotated[str, different_from("one")] = "b"
    parts: Annotated[list[str], AfterValidator(distinct)] = []


def field_refused(**values: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        Sample(**values)
    (error,) = refused.value.errors()
    return str(error["loc"][0])


def test_the_error_names_the_later_field() -> None:
    assert field_refused(amount=0) == "currency"
    assert field_refused(amount=1, currency=None) == "currency"
    assert field_refused(status="closed") == "closed"
    assert field_refused(start=5, exclusive=5) == "exclusive"
    assert field_refused(start=5, inclusive=4) == "inclusive"
    assert field_refused(other="a") == "other"
    assert field_refused(parts=["x", "y", "x"]) == "parts"


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"amount": 1, "currency": "CNY"},
        {"currency": "CNY"},
        {"status": "closed", "closed": 0},
        {"start": 5, "exclusive": 6, "inclusive": 5},
        {"exclusive": 1, "inclusive": 1},
        {"start": 5},
        {"parts": ["x", "y"]},
    ],
)
def test_what_can_be_meant_is_accepted(values: dict[str, Any]) -> None:
    Sample(**values)


def test_a_broken_first_field_does_not_accuse_the_second() -> None:
    assert field_refused(start="soon", exclusive=1) == "start"
