"""Rules between two fields of one record, written where the second field is declared.

A rule is attached to the later field, so that the error names it. Only what cannot be meant is refused here (an
amount without a currency, a period that ends before it starts); what is merely suspicious is for the supervision
rules, which never see a refused record.
"""

from __future__ import annotations

from typing import Any

from pydantic import AfterValidator, ValidationInfo


def required_with(other: str, *values: Any) -> AfterValidator:
    """The field may not be null when `other` is present, or is one of `values` if any are given.

    Needs `Field(default=None, validate_default=True)`, or an absent field is never looked at.
    """

    def check(value: Any, info: ValidationInfo) -> Any:
        given = info.data.get(other)
        if value is None and (given in values if values else given is not None):
            raise ValueError(f"required when {other} is {given if values else 'given'}")
        return value

    return AfterValidator(check)


def later_than(other: str) -> AfterValidator:
    """The field must be greater than `other`, when both are present (ends are exclusive)."""

    def check(value: Any, info: ValidationInfo) -> Any:
        start = info.data.get(other)
        if value is not None and start is not None and value <= start:
            raise ValueError(f"must be later than {other}")
        return value

    return AfterValidator(check)


def not_before(other: str) -> AfterValidator:
    """The field must not be smaller than `other`, when both are present (ends are inclusive)."""

    def check(value: Any, info: ValidationInfo) -> Any:
        start = info.data.get(other)
        if value is not None and start is not None and value < start:
            raise ValueError(f"must not be before {other}")
        return value

    return AfterValidator(check)


def different_from(other: str) -> AfterValidator:
    """The field must name somebody else than `other` does."""

    def check(value: Any, info: ValidationInfo) -> Any:
        if value == info.data.get(other):
            raise ValueError(f"must differ from {other}")
        return value

    return AfterValidator(check)


def distinct(values: list[Any]) -> list[Any]:
    """No entry may stand twice. For `AfterValidator(distinct)` on a list."""
    if len(set(values)) != len(values):
        raise ValueError("every entry may stand once only")
    return values
