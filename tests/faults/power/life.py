"""The life of one log on a simulated disk: some publications, a power cut or errors, and what must hold afterwards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TypeVar

from tests.faults.power.disk import Folder, Plan, PowerCut, SimulatedDisk, Survival
from xiezhi.audit import history
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.files import CHECKPOINT
from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer
from xiezhi.audit.reader import AuditLogReader
from xiezhi.errors import AuditStorageError, AuditTamperedError, AuditUnusableError

FOLDER = Path("/disk/log")
SIGNER = Signer("audit.test/power", bytes(range(32)))
#: Entries of each publication: one tile begun, continued, completed exactly, begun again, and completed within one.
ROUNDS = (3, 250, 3, 1, 300)
#: What is published after a cut: enough to complete whatever tile was begun.
ROUNDS_AFTER = (2, 256)
ERASED = 1
_ATTEMPTS_MAX = 40


T = TypeVar("T")


class BrokenPromiseError(AssertionError):
    """Something that must hold did not."""


def entry(index: int, life: int = 0) -> bytes:
    """What is appended at an index differs from one life of the machine to the next."""
    return f"leaf {index} life {life}".encode()


def salt(index: int, life: int = 0) -> bytes:
    return f"{life:04}{index:012}".encode()


@dataclass(slots=True)
class Witness:
    """Remembers every checkpoint that anybody could have read, and what was appended below it."""

    seen: list[SignedCheckpoint] = field(default_factory=list)
    written: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)  # index → entry and salt
    erased: set[int] = field(default_factory=set)

    def watch(self, disk: SimulatedDisk) -> None:
        disk.on_rename = self._renamed

    def _renamed(self, target: Path, note: bytes) -> None:
        if target.name == CHECKPOINT:
            self.saw(SignedCheckpoint.open(note, SIGNER.verifier))

    def saw(self, signed: SignedCheckpoint) -> None:
        if self.seen and signed.size < self.seen[-1].size:
            raise BrokenPromiseError(f"{signed.size} leaves were signed after {self.seen[-1].size}")
        self.seen.append(signed)

    def append(self, log: AuditLog, count: int, life: int) -> None:
        indexes = range(log.size, log.size + count)
        for index in indexes:
            self.written[index] = entry(index, life), salt(index, life)
        log.append([entry(index, life) for index in indexes], [salt(index, life) for index in indexes])


def live(disk: SimulatedDisk, witness: Witness, rounds: Sequence[int] = ROUNDS, life: int = 0) -> None:
    """Create or open the log, publish all rounds, erase a salt. An operation that failed is asked for again."""
    witness.watch(disk)
    log = _insist(lambda: _begin(disk, witness))
    _compare(disk, log.size, witness)
    for number, count in enumerate(rounds):
        witness.append(log, count, life)
        witness.saw(_publish(log, witness, life))
        if number == 1:
            _insist(lambda: log.erase_salt(ERASED))
            witness.erased.add(ERASED)
    log.close()


def cut_and_go_on(plan: Plan, survival: Survival, seed: int) -> bool:
    """One life with the plan's faults, then the next one on what survived. Raises BrokenPromiseError.

    Returns whether the plan's cut was reached; a life that ends before is checked as well.
    """
    disk, witness = SimulatedDisk(plan), Witness()
    try:
        live(disk, witness)
        was_cut = False
    except PowerCut:
        was_cut = True
        disk = disk.survivor(survival, Random(seed))
        _reading_before_opening(disk)
        live(disk, witness, ROUNDS_AFTER, life=1)
    _verify(disk, witness)
    return was_cut


def operations_of_a_life() -> int:
    """Changes that the log makes to its disk when nothing fails."""
    disk = SimulatedDisk()
    live(disk, Witness())
    return disk.operations


def _reading_before_opening(disk: SimulatedDisk) -> None:
    """Whoever finds a checkpoint on what survived must find all it speaks of, before anything is mended."""
    reader = AuditLogReader(FOLDER, SIGNER.verifier, disk=disk)
    if disk.length(FOLDER / CHECKPOINT) or disk.length(FOLDER / history.FOLDER / "001"):
        try:
            reader.verify(being_written=True)
        except AuditTamperedError as error:
            raise BrokenPromiseError(f"before opening: {error}") from error


def _verify(disk: SimulatedDisk, witness: Witness) -> None:
    try:
        AuditLogReader(FOLDER, SIGNER.verifier, disk=disk).verify(seen=witness.seen)
    except AuditTamperedError as error:
        raise BrokenPromiseError(str(error)) from error


def _compare(disk: SimulatedDisk, size: int, witness: Witness) -> None:
    """What the log holds after opening: all that anybody saw signed, exactly what was appended, and no more."""
    _verify(disk, witness)
    seen = witness.seen[-1].size if witness.seen else 0
    if size < seen:
        raise BrokenPromiseError(f"{size} leaves are left of {seen} that were signed")
    reader = AuditLogReader(FOLDER, SIGNER.verifier, disk=disk)
    for index, found in enumerate(reader.entries(0, size)):
        expected, salt_ = witness.written[index]
        if found != expected:
            raise BrokenPromiseError(f"leaf {index} is not what was appended")
        kept = reader.salt(index)
        if kept != salt_ and not (kept is None and index == ERASED):
            raise BrokenPromiseError(f"the salt of leaf {index} is not what was appended")
        if kept is not None and index in witness.erased:
            raise BrokenPromiseError(f"the salt of leaf {index} came back after it was erased")


def _begin(disk: SimulatedDisk, witness: Witness) -> AuditLog:
    if not disk.is_folder(FOLDER.parent):
        disk.root.held[FOLDER.parent.name] = disk.root.durable[FOLDER.parent.name] = Folder()
    known = witness.seen[-1] if witness.seen else None
    try:
        return AuditLog.open(FOLDER, SIGNER, disk=disk, at_least=known)
    except AuditUnusableError as refused:
        try:
            return AuditLog.create(FOLDER, SIGNER.name, SIGNER, disk=disk, at_least=known)
        except AuditUnusableError as error:
            raise BrokenPromiseError(f"neither opened ({refused}) nor created ({error})") from error


def _publish(log: AuditLog, witness: Witness, life: int) -> SignedCheckpoint:
    """Meanwhile the log grows, so that no attempt is like the one that failed."""
    for _ in range(_ATTEMPTS_MAX):
        try:
            return log.publish()
        except AuditStorageError:
            witness.append(log, 1, life)
    raise BrokenPromiseError("the log does not go on although the disk has recovered")


def _insist(operation: Callable[[], T]) -> T:
    for _ in range(_ATTEMPTS_MAX):
        try:
            return operation()
        except AuditStorageError:
            continue
    raise BrokenPromiseError("the log does not go on although the disk has recovered")
