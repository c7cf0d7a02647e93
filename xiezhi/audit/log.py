"""The one appender of an audit log.

    log = AuditLog.create(folder, "audit.example/xiezhi", signer)
    log.append(entries, salts)
    checkpoint = log.publish()

`append` only remembers; `publish` makes entries, tiles and salts durable, then signs, then makes the note durable in
the history, then renames it into place as `checkpoint`. So a checkpoint that anybody could see rests on files that are
there, and a power cut anywhere leaves either the old or the new one. What a cut leaves beyond the last checkpoint is
removed by the next `open`.

Salts lie beside the tree, 16 bytes a leaf, so that they can be erased: whoever commits to a value with a salt can later
make the commitment unreadable without touching the tree.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

from xiezhi.audit import epoch
from xiezhi.audit.checkpoint import Checkpoint, SignedCheckpoint
from xiezhi.audit.disk import Disk, LocalDisk
from xiezhi.audit.edge import Edge
from xiezhi.audit.files import CHECKPOINT, LOCK
from xiezhi.audit.history import HistoryEnd, record_of
from xiezhi.audit.merkle import leaf_hash
from xiezhi.audit.note import Signer, Verifier
from xiezhi.audit.recovery import Recovered, is_begun, recover, require_at_least
from xiezhi.audit.salts import ERASED, SALT_BYTES, place, salt_runs
from xiezhi.audit.storage import Storage
from xiezhi.audit.tiles import ENTRY_BYTES_MAX, WIDTH, Tile, right_edge
from xiezhi.errors import AuditFormatError, AuditStorageError, AuditUnusableError

#: Entries that may wait for `publish`. Without a bound a disk that stays full would fill the memory of the appender.
PENDING_ENTRIES_MAX = 1_000_000


class AuditLog:
    """Opened by `create` or `open`; holds an exclusive lock until `close`. Not thread-safe."""

    def __init__(
        self, storage: Storage, signer: Signer, recovered: Recovered, release: Callable[[], None]
    ) -> None:
        self._storage, self._signer, self._release = storage, signer, release
        self._latest = recovered.latest  # the last one that is in place as `checkpoint`
        self._edge: Edge = recovered.edge  # the tree of the last note of the history
        self._end: HistoryEnd = recovered.end
        self._unplaced: SignedCheckpoint | None = recovered.unplaced  # in the history, not yet in place
        self._unrecorded: SignedCheckpoint | None = None  # signed, not yet in the history
        self._is_closed = recovered.is_closed
        self._entries: list[bytes] = []  # not in the tree yet
        self._salts: list[bytes] = []
        self._abandoned: set[Path] = set()  # files of a publication that failed
        self._filled: set[Tile] = set()  # incomplete tiles whose complete ones were written

    @classmethod
    def create(
        cls,
        folder: Path,
        origin: str,
        signer: Signer,
        *,
        disk: Disk | None = None,
        at_least: SignedCheckpoint | None = None,
    ) -> Self:
        """A new, empty log, whose first checkpoint is in place on return.

        Raises AuditUnusableError when the folder holds a log, the key has another name than the log, or a checkpoint
        seen elsewhere (`at_least`) says that this log once had leaves.
        """
        if signer.name != origin:
            raise AuditUnusableError(f"the key of {origin} must have that name, not {signer.name}")
        empty = SignedCheckpoint.sign(Checkpoint(origin, 0, Edge().root()), signer)
        if at_least is not None:
            require_at_least(at_least, empty, signer.verifier, lambda _: empty.root)
        storage = Storage(folder, disk or LocalDisk())
        release = _prepare(storage, signer.verifier)
        try:
            log = cls(storage, signer, Recovered(empty, Edge(), HistoryEnd(), None, False), release)
            log._unrecorded = empty
            log._finish()
        except BaseException:
            release()
            raise
        return log

    @classmethod
    def open(
        cls,
        folder: Path,
        signer: Signer,
        *,
        disk: Disk | None = None,
        at_least: SignedCheckpoint | None = None,
    ) -> Self:
        """The log as its last checkpoint says; what a crash left beyond it is removed.

        `at_least` is a checkpoint of this log that is known from elsewhere. Raises AuditUnusableError when the log is
        damaged, in use, of another key, or smaller than or different from `at_least` (a backup was put back, say).
        """
        storage = Storage(folder, disk or LocalDisk())
        release = _lock(storage, folder)
        try:
            recovered = recover(storage, signer.verifier, at_least)
            log = cls(storage, signer, recovered, release)
            log._finish()
        except BaseException:
            release()
            raise
        return log

    @property
    def origin(self) -> str:
        return self._signer.name

    @property
    def size(self) -> int:
        """Leaves, those appended since the last checkpoint included."""
        return self._edge.size + len(self._entries)

    @property
    def latest(self) -> SignedCheckpoint:
        """The last checkpoint in place."""
        return self._latest

    @property
    def is_closed(self) -> bool:
        """Whether the last leaf says that another log continues this one."""
        return self._is_closed

    def append(self, entries: Sequence[bytes], salts: Sequence[bytes]) -> int:
        """Add leaves to what the next `publish` signs, all or none; returns the index of the first.

        Nothing is durable yet. An entry has up to 65,535 bytes, a salt 16 that are not all zero. Raises
        AuditFormatError for other lengths, AuditUnusableError when the log is closed or too much waits already.
        """
        if len(entries) != len(salts):
            raise AuditFormatError(f"{len(entries)} entries came with {len(salts)} salts")
        if any(len(entry) > ENTRY_BYTES_MAX for entry in entries):
            raise AuditFormatError(f"an entry has at most {ENTRY_BYTES_MAX} bytes")
        if any(len(salt) != SALT_BYTES or salt == ERASED for salt in salts):
            raise AuditFormatError(f"a salt has {SALT_BYTES} bytes that are not all zero")
        if self._is_closed:
            raise AuditUnusableError(
                f"{self.origin} was closed and is continued by another log; append there"
            )
        if len(self._entries) + len(entries) > PENDING_ENTRIES_MAX:
            raise AuditUnusableError(
                f"{len(self._entries)} entries wait to be published; publish, then append"
            )
        index = self.size
        self._entries += entries
        self._salts += salts
        if entries:
            self._is_closed = epoch.is_closing(entries[-1])
        return index

    def publish(self) -> SignedCheckpoint:
        """Make all that was appended durable and sign it; the checkpoint is in place and durable on return.

        Signs nothing when the tree has not grown. Raises AuditStorageError when the disk refuses: what was appended
        is kept, and the next call goes on where this one stopped.
        """
        self._finish()
        if self._entries:
            edge, files = self._edge.grown(self._entries, list(map(leaf_hash, self._entries)))
            self._store(files)
            self._filled = {
                tile for tile in right_edge(self._edge.size) if replace(tile, width=WIDTH) in files
            }
            # From here on this tree is the log's, come what may: the note may be on the disk even if writing it fails.
            self._unrecorded = SignedCheckpoint.sign(
                Checkpoint(self.origin, edge.size, edge.root()), self._signer
            )
            self._edge, self._entries, self._salts = edge, [], []
            self._abandoned.clear()
            self._finish()
        return self._latest

    def erase_salt(self, index: int) -> None:
        """Overwrite the salt of a published leaf; durable on return. The tree and its proofs stay as they are."""
        if not 0 <= index < self._edge.size:
            raise AuditFormatError(f"no leaf {index} is published, so it has no salt to erase")
        path, offset = place(self._storage.folder, index)
        self._storage.write_at(path, offset, ERASED)
        self._storage.sync()

    def close(self) -> None:
        """Give the lock back; closing twice does nothing. What was appended and not published is forgotten."""
        release, self._release = self._release, _nothing
        release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _store(self, files: dict[Tile, bytes]) -> None:
        """Entries, tiles and salts, durable on return."""
        folder = self._storage.folder
        by_path = {folder / tile.path: data for tile, data in files.items()}
        for path in sorted(self._abandoned - by_path.keys()):
            self._storage.remove(path)
        self._abandoned |= by_path.keys()
        self._storage.write(by_path)
        for path, offset, data in salt_runs(folder, self._edge.size, self._salts):
            self._storage.write_at(path, offset, data)
        self._storage.sync()

    def _finish(self) -> None:
        """Bring what was signed to its end; every step can be repeated."""
        if self._unrecorded is not None:
            self._record(self._unrecorded)
            self._unplaced, self._unrecorded = self._unrecorded, None
        if self._unplaced is not None:
            self._storage.replace(self._storage.folder / CHECKPOINT, self._unplaced.note)
            self._latest, self._unplaced = self._unplaced, None
        while self._filled:
            self._remove_partials(next(iter(self._filled)))

    def _record(self, signed: SignedCheckpoint) -> None:
        """The checkpoint in the history, durable on return."""
        path = self._end.path(self._storage.folder)
        record = record_of(signed, self._end.count, self._signer)
        if self._storage.disk.length(path) > self._end.offset:
            self._storage.truncate(path, self._end.offset)
        self._storage.write_at(path, self._end.offset, record)
        self._storage.sync()
        self._end = self._end.after(record)

    def _remove_partials(self, tile: Tile) -> None:
        """Every incomplete form of a tile, now that the checkpoint in place rests on the complete one."""
        folder = (self._storage.folder / tile.path).parent
        for path in sorted(self._storage.disk.files(folder)):
            self._storage.remove(path)
        if self._storage.disk.is_folder(folder):
            self._storage.remove_folder(folder)
        self._filled.discard(tile)


def _nothing() -> None:
    """There is no lock to give back any more."""


def _prepare(storage: Storage, verifier: Verifier) -> Callable[[], None]:
    """A folder for a new log, locked; refuses one in which a log is or was."""
    folder = storage.folder
    with storage.reporting("write"):
        storage.make_folders(folder)
    release = _lock(storage, folder)
    try:
        if is_begun(storage, verifier):
            raise AuditUnusableError(
                f"{folder} holds an audit log or other files; open it, or name another folder"
            )
    except BaseException:
        release()
        raise
    return release


def _lock(storage: Storage, folder: Path) -> Callable[[], None]:
    try:
        with storage.reporting("open"):
            return storage.disk.lock(folder / LOCK)
    except AuditStorageError as error:
        if isinstance(error.__cause__, BlockingIOError):
            raise AuditUnusableError(
                f"another process appends to {folder}; a log has one appender"
            ) from error
        if isinstance(error.__cause__, FileNotFoundError):
            raise AuditUnusableError(f"there is no audit log in {folder}; create one") from error
        raise
