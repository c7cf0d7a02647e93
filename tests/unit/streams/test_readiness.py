"""The readiness board shows every active rule, also one that nothing was ever published for."""

from __future__ import annotations

from streams.cli import with_silent_rules
from streams.kernel import Outcome

CLEAR, MISSING = ("C03", Outcome.CLEAR, "within"), ("C03", Outcome.INSUFFICIENT_DATA, "contract_missing")


def test_a_rule_without_any_outcome_has_insufficient_data() -> None:
    assert with_silent_rules({CLEAR: 2, MISSING: 1}, ["S01", "C03", "A02"]) == [
        (("A02", Outcome.INSUFFICIENT_DATA, "no_records"), 0),
        (CLEAR, 2),
        (MISSING, 1),
        (("S01", Outcome.INSUFFICIENT_DATA, "no_records"), 0),
    ]


def test_a_rule_that_applied_to_nothing_has_insufficient_data() -> None:
    nobody_died = ("S01", Outcome.NOT_APPLICABLE, "no_death_registered")
    assert with_silent_rules({CLEAR: 2, nobody_died: 5}, ["S01", "C03"]) == [
        (CLEAR, 2),
        (("S01", Outcome.INSUFFICIENT_DATA, "nothing_it_applies_to"), 0),
        (nobody_died, 5),
    ]


def test_what_is_counted_of_rules_that_are_off_by_now_stays() -> None:
    assert with_silent_rules({CLEAR: 2}, []) == [(CLEAR, 2)]
