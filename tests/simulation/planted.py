"""Mistakes on the oracle's side, to see that the comparison notices them; those of the stream are in `weakened`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction

from streams.evaluation import ActiveRule
from streams.folds.aggregates import Aggregates
from streams.folds.recomputed import Recomputed
from streams.kernel import Join, Number, Statement, Totals, View
from streams.oracle import Verdict, judge_log
from streams.records import Guard
from xiezhi.log import RawRecord


def first_version(
    records: Sequence[RawRecord],
    joins: Sequence[Join],
    active: Mapping[str, ActiveRule],
    guard: Guard,
    now_ms: int,
) -> Verdict:
    """Takes the first statement about each record for its last."""
    first: dict[tuple[str, bytes | None], RawRecord] = {}
    for raw in records:
        first.setdefault((raw.topic, raw.key), raw)
    return judge_log(first.values(), joins, active, guard, now_ms)


def without_withdrawals(
    records: Sequence[RawRecord],
    joins: Sequence[Join],
    active: Mapping[str, ActiveRule],
    guard: Guard,
    now_ms: int,
) -> Verdict:
    """Does not see what was withdrawn."""
    return judge_log([raw for raw in records if raw.value is not None], joins, active, guard, now_ms)


def without_relations(
    records: Sequence[RawRecord],
    joins: Sequence[Join],
    active: Mapping[str, ActiveRule],
    guard: Guard,
    now_ms: int,
) -> Verdict:
    """Derives nothing."""
    return judge_log(records, [replace(join, derivations=()) for join in joins], active, guard, now_ms)


def timeless(
    records: Sequence[RawRecord],
    joins: Sequence[Join],
    active: Mapping[str, ActiveRule],
    guard: Guard,
    now_ms: int,
) -> Verdict:
    """Never looks at the clock."""
    return judge_log(records, joins, active, guard, 0)


class UnsortedView(View):
    """Statements in the order in which they happened to come."""

    @staticmethod
    def _in_order(statements: Iterable[Statement]) -> Iterable[Statement]:
        return statements


class ShiftedRecomputed(Recomputed):
    """Quantiles of everything, whatever the bounds."""

    def quantile(
        self, name: str, share: Fraction, low: Number | None = None, high: Number | None = None
    ) -> Number | None:
        return super().quantile(name, share)


class UnboundedRecomputed(Recomputed):
    """Totals that do not look at the upper bound."""

    def within(self, name: str, low: Number | None = None, high: Number | None = None) -> Totals:
        return super().within(name, low)


class UnboundedAggregates(Aggregates):
    """The same on the stream's side."""

    def within(self, name: str, low: Number | None = None, high: Number | None = None) -> Totals:
        return super().within(name, low)


class ShiftedAggregates(Aggregates):
    """The same of quantiles."""

    def quantile(
        self, name: str, share: Fraction, low: Number | None = None, high: Number | None = None
    ) -> Number | None:
        return super().quantile(name, share)
