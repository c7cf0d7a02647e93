"""The power is cut at every operation of the log, on a disk that promises nothing but its fsyncs."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Iterator
from pathlib import Path
from random import Random

import pytest

from tests.faults.power.disk import Plan, PowerCut, SimulatedDisk, Survival
from tests.faults.power.life import BrokenPromiseError, cut_and_go_on, operations_of_a_life
from tests.faults.power.weakened import NOTICED_WITHOUT_FAULTS, WEAKENED, WEAKENED_AGAINST_ERRORS
from xiezhi.audit import history, salts
from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer
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


def test_a_power_cut_after_a_kill_loses_nothing_that_the_next_process_has_shown() -> None:
    """Whoever opens the log after a kill reads what the system still had to write, and must not rely on it."""
    folder, signer = Path("/log"), Signer("audit.test/killed", bytes(32))

    def publish(disk: SimulatedDisk) -> int:
        with AuditLog.create(folder, signer.name, signer, disk=disk) as log:
            begun = disk.operations
            log.append([b"entry"], [b"\1" * 16])
            log.publish()
        return begun

    whole = SimulatedDisk()
    for at in range(publish(whole) + 1, whole.operations + 1):
        before = SimulatedDisk(Plan(cut_at=at))
        with pytest.raises(PowerCut):
            publish(before)
        after = SimulatedDisk(root=before.root)  # the process is dead, the machine is not
        with AuditLog.open(folder, signer, disk=after) as log:
            shown = log.latest
        rest = after.survivor(Survival.NOTHING, Random(0))
        with AuditLog.open(folder, signer, disk=rest, at_least=shown) as log:
            assert log.latest == shown


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
