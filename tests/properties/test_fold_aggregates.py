"""Every aggregate, after any history of additions, repeats, corrections and removals, is that of what stands."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.folds.aggregates import Aggregates
from streams.folds.quantiles import quantile
from streams.folds.recomputed import Recomputed
from streams.kernel import FoldView, Number, Statement, Totals
from tests.unit.folds.bags import FOLD, TOPIC, MemoryBlocks, contribution, entry

DETERMINISTIC = settings(derandomize=True, deadline=None, database=None)

numbers = st.one_of(st.integers(-50, 50), st.fractions(-5, 5, max_denominator=6))
shares = st.fractions(0, 1, max_denominator=12)
bounds = st.none() | st.integers(-60, 60)

#: What a record says, or None when it is taken back; some names may be missing, and a float cannot be told.
contributions = st.none() | st.builds(
    lambda number, day, party, kept: {
        name: value for name, value in contribution(number, day, party).items() if name in kept
    },
    numbers | st.just(0.5),
    st.integers(0, 9),
    st.sampled_from("abc"),
    st.sets(st.sampled_from(sorted(FOLD.aggregates)), min_size=3),
)
histories = st.lists(st.tuples(st.integers(0, 12), contributions), max_size=60)


class Maintained:
    """Records under one key, each replaced as a whole by what is said of it later."""

    def __init__(self, entries_max: int) -> None:
        self.standing: dict[str, Statement] = {}
        self._told: dict[str, dict[str, Any] | None] = {}
        blocks: defaultdict[str, MemoryBlocks] = defaultdict(MemoryBlocks)
        self._blocks_of: Callable[[str], MemoryBlocks] = blocks.__getitem__
        self._entries_max = entries_max
        self.aggregates = self._new()

    def say(self, record_id: str, value: dict[str, Any] | None) -> None:
        slot = (TOPIC, record_id)
        if self.standing.pop(record_id, None):
            self.aggregates.count(slot, self._told.pop(record_id), -1)
        if value is not None:
            self.standing[record_id] = entry(record_id, value)
            self._told[record_id] = FOLD.contribution_of(self.standing[record_id])
            self.aggregates.count(slot, self._told[record_id], 1)

    def reread(self) -> None:
        """Go on with what was written."""
        row = self.aggregates.to_bytes()
        self.aggregates = self._new()
        self.aggregates.restore(row)

    def _new(self) -> Aggregates:
        return Aggregates("k", FOLD, self._blocks_of, lambda slot: self.standing[slot[1]], self._entries_max)


Question = Callable[[FoldView], Any]

QUESTIONS: dict[str, Callable[[Any, Any, Fraction], Question]] = {
    "records": lambda low, high, share: lambda view: (view.key, view.records, view.unfolded),
    "sum": lambda low, high, share: lambda view: view.sum("total"),
    "per day": lambda low, high, share: lambda view: view.within("daily", low, high),
    "days": lambda low, high, share: lambda view: view.days("daily", low, high),
    "distinct": lambda low, high, share: lambda view: view.distinct("parties"),
    "multiset": lambda low, high, share: lambda view: view.within("amounts", low, high),
    "quantile": lambda low, high, share: lambda view: view.quantile("amounts", share, low, high),
    "ranked": lambda low, high, share: lambda view: view.ranked("largest", 4, low=low, high=high),
    "ranked from the end": lambda low, high, share: (
        lambda view: view.ranked("largest", 4, low=low, high=high, descending=True)
    ),
}


@pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)
def test_an_aggregate_is_that_of_what_stands(question: Callable[[Any, Any, Fraction], Question]) -> None:
    @settings(DETERMINISTIC, max_examples=40)
    @given(histories, st.integers(2, 5), bounds, bounds, shares)
    def compare(
        history: list[tuple[int, dict[str, Any] | None]],
        entries_max: int,
        low: int | None,
        high: int | None,
        share: Fraction,
    ) -> None:
        kept, ask = Maintained(entries_max), question(low, high, share)
        for step, (record, value) in enumerate(history):
            kept.say(f"r{record}", value)
            if step % 7 == 6:
                kept.reread()
        assert ask(kept.aggregates) == ask(Recomputed("k", FOLD, kept.standing.values()))

    compare()


@settings(DETERMINISTIC, max_examples=50)
@given(st.dictionaries(st.integers(0, 20), contributions, max_size=20), st.randoms())
def test_the_order_in_which_records_come_makes_no_difference(
    said: dict[int, dict[str, Any] | None], chance: Any
) -> None:
    shuffled = list(said.items())
    chance.shuffle(shuffled)
    one, other = Maintained(3), Maintained(3)
    for record, value in said.items():
        one.say(f"r{record}", value)
    for record, value in shuffled:
        other.say(f"r{record}", value)
    for question in QUESTIONS.values():
        ask = question(None, 9, Fraction(1, 4))
        assert ask(one.aggregates) == ask(other.aggregates)


def test_nothing_is_kept_under_a_key_that_all_records_left() -> None:
    kept = Maintained(3)
    for number in range(20):
        kept.say(f"r{number}", contribution(number, number, "a"))
    for number in range(20):
        kept.say(f"r{number}", None)
    assert kept.aggregates.to_bytes() != b""
    view = kept.aggregates
    assert (view.records, view.sum("total"), view.distinct("parties")) == (0, 0, 0)
    assert view.within("amounts") == Totals(0, 0)
    assert view.quantile("amounts", Fraction(1, 2)) is None


# -- quantiles ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        # worked from the definition: the place among five numbers is 16 p / 3 + 1 / 3, from 1 to 5
        (Fraction(0), 1),
        (Fraction(1, 4), Fraction(5, 3)),
        (Fraction(1, 2), 4),
        (Fraction(3, 4), Fraction(32, 3)),
        (Fraction(9, 10), 16),
        (Fraction(1), 16),
    ],
)
def test_quantiles_are_those_of_definition_8(share: Fraction, expected: Number) -> None:
    ascending = [1, 2, 4, 8, 16]
    assert quantile(share, len(ascending), ascending.__getitem__) == expected


def test_there_are_no_quantiles_of_nothing_or_beyond_the_ends() -> None:
    assert quantile(Fraction(1, 2), 0, [].__getitem__) is None
    for share in (Fraction(-1, 9), Fraction(10, 9)):
        with pytest.raises(ValueError, match="share"):
            quantile(share, 1, [1].__getitem__)


# -- declarations ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "value",
    [
        {"total": 0.5},
        {"total": True},
        {"total": "1"},
        {"daily": 3},
        {"daily": (1.0, 3)},
        {"daily": (1, 2.5)},
        {"parties": 7},
        {"amounts": None},
        {"largest": [1]},
        {"undeclared": 1},
    ],
)
def test_what_an_aggregate_cannot_take_counts_as_untold(value: dict[str, Any]) -> None:
    assert FOLD.contribution_of(entry("r", value)) is None


def test_whole_fractions_are_written_as_integers() -> None:
    told = FOLD.contribution_of(entry("r", {"total": Fraction(4, 2), "daily": (1, Fraction(3, 1))}))
    assert told == {"total": 2, "daily": [1, 3]}
    assert told is not None
    assert [type(told["total"]), type(told["daily"][1])] == [int, int]


@pytest.mark.parametrize("name", ["total", "parties", "largest", "missing"])
def test_asking_for_an_aggregate_that_is_not_declared_is_an_error(name: str) -> None:
    kept = Maintained(3)
    for view in (kept.aggregates, Recomputed("k", FOLD, [])):
        with pytest.raises(KeyError):
            view.within(name)
