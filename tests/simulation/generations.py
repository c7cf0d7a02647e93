"""A generation of router and judge: groups, fact topic and stores of its own, and the joins of its code.

What the joins of a later generation may be is here, too: the same, for a fact log that lost its beginning, or joins
that file less, elsewhere, or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from streams.folds.state import Bounds
from streams.judge import Judging
from streams.kernel import Join, Selector, Statement, Value
from tests.simulation.assignments import Core
from tests.simulation.groups import Group, StartProcess
from tests.simulation.parts import Parts
from tests.simulation.processes import Machine, Process, Site
from tests.simulation.world import CODEC, JOINS, guard, spent
from xiezhi.contracts.naming import RELATION, fact_topic
from xiezhi.groups import JUDGE, ROUTER, of_generation
from xiezhi.store import KeyedStore


class Generation:
    """Number, joins, and whoever works for it."""

    def __init__(
        self, site: Site, parts: Parts, topics: Sequence[str], number: int = 1, joins: Sequence[Join] = JOINS
    ) -> None:
        chance = site.chance
        self.number, self.joins, self.facts = number, joins, fact_topic(number)
        self._site, self._parts, self._guard = site, parts, guard(site.broker.partitions)
        self._judging = Judging(
            joins=joins,
            decode=CODEC.decode,
            activate=CODEC.activator(),
            generation=number,
            views_cached_max=chance.choice((0, 1, 1, 3, 1000)),
            fold_bounds=Bounds(
                entries_max=chance.choice((2, 3, 64)),
                blocks_cached_max=chance.choice((0, 2, 1000)),
                heads_cached_max=chance.choice((0, 1, 1000)),
            ),
        )
        self.routers = self._group(ROUTER, (*topics, RELATION), self._start_router)
        self.judges = self._group(JUDGE, (self.facts,), self._start_judge)

    @property
    def groups(self) -> tuple[Group, Group]:
        return self.routers, self.judges

    @property
    def inputs(self) -> Mapping[str, Sequence[str]]:
        """Group -> topics."""
        return {group.name: tuple(dict.fromkeys(topic for topic, _ in group.places)) for group in self.groups}

    def start_all(self) -> None:
        for group in self.groups:
            group.start_all()

    def is_at_work(self) -> bool:
        """Whether its groups have members."""
        return any(group.members for group in self.groups)

    def _group(self, name: str, topics: Sequence[str], start: StartProcess) -> Group:
        places = [(topic, partition) for topic in topics for partition in range(self._site.broker.partitions)]
        size = self._site.chance.randint(1, self._site.workers_max)
        return Group(self._site, of_generation(name, self.number), places, size, start)

    def _start_router(self, machine: Machine) -> Process:
        def open_core(_: str, __: int, store: KeyedStore) -> Core:
            router = self._parts.router(self.joins, self._guard, store)
            return self._parts.router_core(router, self.facts, self._wall_ms)

        return self._parts.process(self._site, self.routers.name, machine, open_core, judges=False)

    def _start_judge(self, machine: Machine) -> Process:
        def open_core(_: str, partition: int, store: KeyedStore) -> Core:
            judge = self._parts.judge(self._judging, store)
            return self._parts.judge_core(judge, partition, CODEC.encode, CODEC.decode, self._wall_ms)

        return self._parts.process(self._site, self.judges.name, machine, open_core, judges=True)

    def _wall_ms(self) -> int:
        return int(self._site.timeline.now_ms)


# -- the joins of later code -------------------------------------------------------------------------------------


def _without(select: Selector, keys: Collection[str]) -> Selector:
    """Files nothing under some keys. What cannot be a key is none still."""

    def less(value: Value) -> Iterable[str]:
        return [key for key in select(value) if key not in keys]

    return less


def _doubled(select: Selector) -> Selector:
    """Files under other keys."""

    def elsewhere(value: Value) -> Iterable[str]:
        return [key + key for key in select(value)]

    return elsewhere


def _refiled(change: Callable[[Selector], Selector], *names: str) -> Sequence[Join]:
    """The joins with the selectors of some of them changed."""
    return [
        replace(join, inputs=tuple(replace(one, keys=change(one.keys)) for one in join.inputs))
        if join.name in names
        else join
        for join in JOINS
    ]


def _spent_in_halves(payment: Statement) -> Mapping[str, Any]:
    told = spent(payment)
    return {**told, "thirds": Fraction(payment["amount"], 2)} if "thirds" in told else told


def _counted_otherwise() -> Sequence[Join]:
    return [
        replace(join, fold=replace(join.fold, contribute=_spent_in_halves)) if join.fold else join
        for join in JOINS
    ]


#: What has changed in the code of a later generation, if anything.
LATER_JOINS: Mapping[str, Sequence[Join]] = {
    "nothing": JOINS,
    "files less": _refiled(lambda select: _without(select, {*"bdflvy"}), "account", "item", "payer"),
    "files elsewhere": _refiled(_doubled, "account", "item", "payer"),
    "a join is gone": [join for join in JOINS if join.name != "chain"],
    "counts otherwise": _counted_otherwise(),
}
