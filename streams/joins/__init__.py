"""The joins of the project, one module each, and the check that their graph makes sense.

`JOINS` is all that router, judge and oracle know about supervision; a new join is added here and nowhere else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from streams.joins import (
    bidder,
    cadre,
    contract,
    control,
    official,
    payment_series,
    person_benefit,
    procedure,
    rectification,
)
from streams.kernel import Join
from xiezhi.contracts.naming import RELATION
from xiezhi.errors import ConfigurationError


def check_graph(joins: Sequence[Join]) -> None:
    """Refuse joins that could not be judged: double names, relations from nowhere, cycles.

    The one cycle allowed is a derivation `by_depth`, whose results rest on lower depths only. Raises
    ConfigurationError.
    """
    _refuse_doubles("join", (join.name for join in joins))
    _refuse_doubles("rule", (rule.id for join in joins for rule in join.rules))
    _refuse_doubles("derivation", (derivation.name for join in joins for derivation in join.derivations))
    derived = {derivation.kind for join in joins for derivation in join.derivations}
    for join in joins:
        for taken in join.inputs:
            if taken.record_type == RELATION and taken.kind not in derived:
                raise ConfigurationError(
                    f"join {join.name!r} takes relations of kind {taken.kind!r}, which no join derives"
                )
    _refuse_cycles(joins)


def upstream(joins: Sequence[Join], name: str) -> list[Join]:
    """The join called `name` and every join whose relations reach it, by name."""
    by_name = {join.name: join for join in joins}
    found: set[str] = set()
    pending = [name]
    while pending:
        current = pending.pop()
        if current not in found:
            found.add(current)
            pending += _sources(joins, by_name[current])
    return [by_name[found_name] for found_name in sorted(found)]


def _sources(joins: Sequence[Join], join: Join) -> list[str]:
    """Names of the joins that derive what `join` takes; a derivation by depth does not count as its own source."""
    taken = {one.kind for one in join.inputs if one.record_type == RELATION}
    return [
        other.name
        for other in joins
        for derivation in other.derivations
        if derivation.kind in taken and not (other is join and derivation.by_depth)
    ]


def _refuse_doubles(what: str, names: Iterable[str]) -> None:
    double = sorted(name for name, times in Counter(names).items() if times > 1)
    if double:
        raise ConfigurationError(f"the {what} names {double} are used twice; every {what} needs its own")


def _refuse_cycles(joins: Sequence[Join]) -> None:
    waiting = {join.name: set(_sources(joins, join)) for join in joins}
    while waiting:
        ready = [name for name, sources in waiting.items() if not sources & waiting.keys()]
        if not ready:
            raise ConfigurationError(f"the joins {sorted(waiting)} derive from each other in a circle")
        for name in ready:
            del waiting[name]


JOINS: tuple[Join, ...] = (
    contract.JOIN,
    control.JOIN,
    bidder.JOIN,
    official.JOIN,
    procedure.JOIN,
    person_benefit.JOIN,
    payment_series.JOIN,
    cadre.JOIN,
    rectification.JOIN,
)

check_graph(JOINS)
