"""How rules speak: short forms of the outcomes, and evidence with each record named once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from itertools import chain

from streams.kernel import Evidence, Finding, Outcome, Statement
from xiezhi.contracts.naming import RELATION

# The short forms have few different values, one for every reason in the cards, and are made at every evaluation.


@lru_cache(1024)
def clear(reason: str) -> Finding:
    """Looked, nothing wrong."""
    return Finding(outcome=Outcome.CLEAR, reason=reason)


@lru_cache(1024)
def not_applicable(reason: str, *, wake_at_ms: int | None = None) -> Finding:
    """The rule does not speak about such a view (until `wake_at_ms`, if given)."""
    return Finding(outcome=Outcome.NOT_APPLICABLE, reason=reason, wake_at_ms=wake_at_ms)


@lru_cache(1024)
def insufficient(reason: str, *, wake_at_ms: int | None = None) -> Finding:
    """The rule would speak, but something is missing."""
    return Finding(outcome=Outcome.INSUFFICIENT_DATA, reason=reason, wake_at_ms=wake_at_ms)


def evidence_of(statement: Statement, *fields: str) -> tuple[Evidence, ...]:
    """What to cite for `statement`: itself, or for a relation the departments' records that it rests on.

    A relation's version is a position in the log, which another schedule would number differently; the records
    behind it are the same in every schedule and are what a reader can check.
    """
    if statement.record_type != RELATION:
        return (Evidence.of(statement, *fields),)
    return Evidence.through(statement)


def merged(*groups: Iterable[Evidence]) -> tuple[Evidence, ...]:
    """Every record once, with all fields that mattered, ordered by record."""
    kept: dict[tuple[str, str, int, str], Evidence] = {}
    for evidence in chain(*groups):
        record = (evidence.record_type, evidence.record_id, evidence.version, evidence.digest)
        held = kept.setdefault(record, evidence)
        if held.fields != evidence.fields:
            kept[record] = replace(held, fields=tuple(sorted({*held.fields, *evidence.fields})))
    return tuple(kept[record] for record in sorted(kept))
