"""The log with one of its protections taken out, each of which the simulated power cuts must notice."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.faults.power.disk import SimulatedDisk
from xiezhi.audit import history, recovery
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.files import CHECKPOINT
from xiezhi.audit.log import AuditLog
from xiezhi.audit.storage import Storage
from xiezhi.errors import AuditStorageError

Weaken = Callable[[pytest.MonkeyPatch], None]


def _files_are_not_synced(patch: pytest.MonkeyPatch) -> None:
    def sync(self: Storage) -> None:
        self._unsynced.clear()
        self.disk.fsync(sorted(self._changed, reverse=True))
        self._changed.clear()

    patch.setattr(Storage, "sync", sync)


def _folders_are_not_synced(patch: pytest.MonkeyPatch) -> None:
    def sync(self: Storage) -> None:
        with self.reporting("write"):
            self.disk.fsync(sorted(self._unsynced))
        self._unsynced.clear()
        self._changed.clear()

    patch.setattr(Storage, "sync", sync)


def _without_sync(patch: pytest.MonkeyPatch, owner: type, name: str) -> None:
    """The method does all it did, but makes nothing durable."""
    method = getattr(owner, name)

    def unsynced(self: AuditLog | Storage, *arguments: object) -> object:
        with pytest.MonkeyPatch.context() as inner:
            inner.setattr(Storage, "sync", lambda self: None)
            return method(self, *arguments)

    patch.setattr(owner, name, unsynced)


def _rename_before_sync(patch: pytest.MonkeyPatch) -> None:
    def replace(self: Storage, path: Path, data: bytes) -> None:
        beside = path.with_name(path.name + ".new")
        self.write({beside: data})
        with self.reporting("write"):
            self.disk.rename(beside, path)
        self._unsynced.discard(beside)
        self._unsynced.add(path)
        self.sync()

    patch.setattr(Storage, "replace", replace)


def _written_over(patch: pytest.MonkeyPatch) -> None:
    def replace(self: Storage, path: Path, data: bytes) -> None:
        self.write({path: data})
        assert isinstance(self.disk, SimulatedDisk)
        self.disk.on_rename(path, data)
        self.sync()

    patch.setattr(Storage, "replace", replace)


def _placed_before_recorded(patch: pytest.MonkeyPatch) -> None:
    record = AuditLog._record

    def placed_first(self: AuditLog, signed: SignedCheckpoint) -> None:
        self._storage.replace(self._storage.folder / CHECKPOINT, signed.note)
        record(self, signed)

    patch.setattr(AuditLog, "_record", placed_first)


def _signed_before_stored(patch: pytest.MonkeyPatch) -> None:
    """The files follow the checkpoint that speaks of them."""
    store, finish = AuditLog._store, AuditLog._finish
    later: list[Callable[[], None]] = []

    def keep(self: AuditLog, files: Mapping[object, bytes]) -> None:
        salts, edge = list(self._salts), self._edge

        def now() -> None:
            grown, self._edge, kept, self._salts = self._edge, edge, self._salts, salts
            store(self, files)  # type: ignore[arg-type]  # handed on as they came
            self._edge, self._salts = grown, kept

        later.append(now)

    def finish_then_store(self: AuditLog) -> None:
        filled, self._filled = self._filled, set()
        finish(self)
        while later:
            later.pop()()
        self._filled = filled
        finish(self)

    patch.setattr(AuditLog, "_store", keep)
    patch.setattr(AuditLog, "_finish", finish_then_store)


def _partials_removed_early(patch: pytest.MonkeyPatch) -> None:
    record = AuditLog._record

    def remove_first(self: AuditLog, signed: SignedCheckpoint) -> None:
        while self._filled:
            self._remove_partials(next(iter(self._filled)))
        self._storage.sync()
        record(self, signed)

    patch.setattr(AuditLog, "_record", remove_first)


def _partials_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(AuditLog, "_remove_partials", lambda self, tile: self._filled.discard(tile))


def _leftovers_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(recovery, "_leftovers", lambda *_: ())


def _failed_attempts_kept(patch: pytest.MonkeyPatch) -> None:
    store = AuditLog._store

    def forgetful(self: AuditLog, files: Mapping[object, bytes]) -> None:
        self._abandoned.clear()
        store(self, files)  # type: ignore[arg-type]  # handed on as they came

    patch.setattr(AuditLog, "_store", forgetful)


def _signed_again(patch: pytest.MonkeyPatch) -> None:
    """After an error the signed checkpoint is forgotten, its leaves are published once more with others."""
    publish = AuditLog.publish

    def forgetful(self: AuditLog) -> SignedCheckpoint:
        before = self._edge, list(self._entries), list(self._salts)
        try:
            return publish(self)
        except AuditStorageError:
            if self._unrecorded is not None:
                self._unrecorded = None
                self._edge, self._entries, self._salts = before
            raise

    patch.setattr(AuditLog, "publish", forgetful)


def _tail_kept(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(history.Tail, "length_after", lambda self, count: 0)


#: Protection → how to take it out; a power cut shows that it is missing.
WEAKENED: Mapping[str, Weaken] = {
    "files are made durable": _files_are_not_synced,
    "names are made durable": _folders_are_not_synced,
    "the tree is durable before it is signed": lambda patch: _without_sync(patch, AuditLog, "_store"),
    "the history is durable before the checkpoint is in place": lambda patch: _without_sync(
        patch, AuditLog, "_record"
    ),
    "a checkpoint is durable before it is renamed": _rename_before_sync,
    "a checkpoint is renamed into place, not written over": _written_over,
    "a checkpoint is in the history before it is in place": _placed_before_recorded,
    "the tree is written before it is signed": _signed_before_stored,
    "incomplete tiles stay until nothing rests on them": _partials_removed_early,
    "incomplete tiles go when complete ones are there": _partials_kept,
    "opening removes what a cut left": _leftovers_kept,
    "opening cuts off what is no note": _tail_kept,
    "an erased salt is durable": lambda patch: _without_sync(patch, AuditLog, "erase_salt"),
}
#: Protections that only a disk that fails shows to be missing.
WEAKENED_AGAINST_ERRORS: Mapping[str, Weaken] = {
    "the files of a failed attempt are removed": _failed_attempts_kept,
    "what was signed once is brought to its end": _signed_again,
}
#: Noticed by any life, without fault.
NOTICED_WITHOUT_FAULTS = {"incomplete tiles go when complete ones are there"}
