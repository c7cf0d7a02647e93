"""The power is cut at every operation of the log, on a disk that promises nothing but its fsyncs."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from random import Random

import pytest

from tests.faults.power.disk import Plan, Survival
from tests.faults.power.life import BrokenPromiseError, cut_and_go_on, operations_of_a_life
from tests.faults.power.weakened import NOTICED_WITHOUT_FAULTS, WEAKENED, WEAKENED_AGAINST_ERRORS
from xiezhi.audit import history, salts
from xiezhi.errors import XiezhiError

#: Random survivals of each cut: torn and garbled bytes, names without bytes, in any mixture.
CHANCES = 2
COMBINATIONS = 400


@pytest.fixture(autouse=True)
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a short life begins new files of history and salts."""
    monkeypatch.setattr(history, "RECORDS_PER_FILE", 3)
    monkeypatch.setattr(salts, "SALTS_PER_FILE", 256)


def every_cut() -> Iterator[tuple[Plan, Survival, int]]:
    for at in range(1, operations_of_a_life() + 1):
        for survival in Survival:
            for seed in range(CHANCES if survival is Survival.CHANCE else 1):
                yield Plan(cut_at=at), survival, seed


def every_error(error: int) -> Iterator[Plan]:
    for at in range(1, operations_of_a_life() + 1):
        for length in (1, 12):
            yield Plan(fail_from=at, fail_until=at + length, error=error)


def errors_and_a_cut() -> Iterator[tuple[Plan, Survival, int]]:
    last = operations_of_a_life()
    for seed in range(COMBINATIONS):
        random = Random(seed)
        failing = random.randint(1, last)
        until = failing + random.randint(1, 12)
        error = random.choice([errno.ENOSPC, errno.EIO])
        yield Plan(until + random.randint(0, 25), failing, until, error), random.choice(list(Survival)), seed


def explore(faults: Iterable[tuple[Plan, Survival, int]]) -> int:
    """How many lives were cut short, all of which kept every promise."""
    return sum(cut_and_go_on(plan, survival, seed) for plan, survival, seed in faults)


def test_a_power_cut_at_any_operation_loses_nothing_that_was_signed() -> None:
    assert explore(every_cut()) > 500


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_any_operation_corrupts_nothing_and_the_log_goes_on(error: int) -> None:
    explore((plan, Survival.NOTHING, 0) for plan in every_error(error))


def test_errors_and_then_a_power_cut_lose_nothing_that_was_signed() -> None:
    explore(errors_and_a_cut())


@pytest.mark.parametrize("protection", WEAKENED)
def test_a_protection_taken_out_is_noticed(protection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    WEAKENED[protection](monkeypatch)
    if protection not in NOTICED_WITHOUT_FAULTS:
        cut_and_go_on(Plan(), Survival.NOTHING, 0)
    with pytest.raises((BrokenPromiseError, XiezhiError, OSError)):
        explore(every_cut())


@pytest.mark.parametrize("protection", WEAKENED_AGAINST_ERRORS)
def test_a_protection_against_errors_taken_out_is_noticed(
    protection: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    WEAKENED_AGAINST_ERRORS[protection](monkeypatch)
    cut_and_go_on(Plan(), Survival.NOTHING, 0)
    with pytest.raises((BrokenPromiseError, XiezhiError, OSError)):
        explore(errors_and_a_cut())
