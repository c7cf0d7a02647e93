"""Models of civil affairs' records. Kinship is restricted: router and judge alone read it."""

from __future__ import annotations

from typing import Annotated, Literal

from xiezhi.contracts.base import Record
from xiezhi.contracts.crossfield import different_from, later_than, not_before
from xiezhi.contracts.types import Amount, Currency, Day, Identifier, Instant, PersonToken


class Kinship(Record):
    """Two persons are registered as kin (亲属关系); of `parent`, a is the parent of b."""

    person_a: PersonToken
    person_b: Annotated[PersonToken, different_from("person_a")]
    kind: Literal["spouse", "parent", "sibling"]
    valid_from: Day | None = None
    valid_to: Annotated[Day | None, later_than("valid_from")] = None


class Death(Record):
    """A death as registered (死亡登记)."""

    person: PersonToken
    died_on: Day
    registered_on: Annotated[Day, not_before("died_on")]


class Allowance(Record):
    """One payment of a benefit to a person for a period, both days included (补助发放)."""

    person: PersonToken
    scheme: Identifier
    kind: Literal["living", "pension", "medical", "funeral", "survivor"]
    period_from: Day
    period_to: Annotated[Day, not_before("period_from")]
    amount_minor: Amount
    currency: Currency
    paid_at: Instant
