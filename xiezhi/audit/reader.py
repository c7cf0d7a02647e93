"""Reading a log from its files: entries, salts, roots and proofs. Needs no lock and trusts nothing but the public key.

May be used while the log is written: what a checkpoint covers does not change any more. Entries, roots and proofs come
from the files as they are; whoever uses them checks the proof against a signed root, or verifies the whole log first.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from xiezhi.audit import history, merkle, salts
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.disk import Disk, LocalDisk
from xiezhi.audit.files import CHECKPOINT, LOCK
from xiezhi.audit.note import Verifier
from xiezhi.audit.tiles import ENTRIES, LEVEL_BITS, WIDTH, Tile, at_size, split_hashes, unbundle
from xiezhi.audit.verification import Progress, Verification, verify_log
from xiezhi.errors import AuditFormatError, AuditStorageError

#: Tiles kept in memory, with all hashes above them: about 45 kB each.
CACHED_TILES_MAX = 256
#: A tile can be replaced by a larger one between looking for it and reading it; more often than so is no coincidence.
_ATTEMPTS = 3

T = TypeVar("T")


class AuditLogReader:
    """Opens nothing until asked. Not thread-safe. Calls raise AuditError when files are missing or damaged."""

    def __init__(self, folder: Path, verifier: Verifier, *, disk: Disk | None = None) -> None:
        self.folder, self.verifier, self._disk = folder, verifier, disk or LocalDisk()
        self._latest: SignedCheckpoint | None = None  # saves verifying the same signature for every proof
        self._cache: OrderedDict[Tile, list[Sequence[bytes]]] = OrderedDict()

    def latest(self) -> SignedCheckpoint:
        """The checkpoint in place, its signature verified."""
        path = self.folder / CHECKPOINT
        try:
            note = self._disk.read(path)
        except OSError as error:
            raise AuditStorageError(
                f"cannot read {path}: {error}; is this the folder of an audit log?"
            ) from error
        if self._latest is None or self._latest.note != note:
            self._latest = SignedCheckpoint.open(note, self.verifier)
        return self._latest

    def checkpoints(self) -> Iterator[SignedCheckpoint]:
        """Every checkpoint up to the one in place, in order, signatures verified."""
        latest = self.latest()
        number = 0
        for _, records, _ in history.read_records(self.folder, self._disk):
            for record in records:
                signed = history.open_record(record, number, self.verifier)
                number += 1
                yield signed
                if signed.note == latest.note:
                    return

    def is_being_written(self) -> bool:
        """Whether an appender has the log open on this machine."""
        return self._disk.is_locked(self.folder / LOCK)

    def entries(self, start: int, end: int, at: SignedCheckpoint | None = None) -> Iterator[bytes]:
        """Entries from `start` up to `end`, which the log must have; `at` is the checkpoint to read under."""
        size = (at or self.latest()).size
        if not 0 <= start <= end <= size:
            raise AuditFormatError(f"the log has {size} entries, not those from {start} up to {end}")
        for index in range(start // WIDTH, -(-end // WIDTH)):
            found = self._read(ENTRIES, index, at, unbundle)
            first = index * WIDTH
            yield from found[max(0, start - first) : end - first]

    def salt(self, index: int) -> bytes | None:
        """The salt of a leaf (16 bytes); None when it was erased."""
        path, offset = salts.place(self.folder, index)
        try:
            found = self._disk.read_at(path, offset, salts.SALT_BYTES)
        except OSError as error:
            raise AuditStorageError(f"cannot read {path}: {error}") from error
        if len(found) != salts.SALT_BYTES:
            raise AuditFormatError(f"{path} ends before the salt of leaf {index}")
        return None if found == salts.ERASED else found

    def root(self, size: int, at: SignedCheckpoint | None = None) -> bytes:
        """The root that the files give for the first `size` leaves; no signature speaks for it."""
        return merkle.root(size, self._node(at or self.latest(), size))

    def inclusion_proof(self, index: int, size: int) -> list[bytes]:
        """Hashes from leaf `index` to the root of the first `size` leaves, lowest first."""
        return merkle.inclusion_proof(index, size, self._node(self.latest(), size))

    def consistency_proof(self, old: int, new: int) -> list[bytes]:
        """Hashes that show that the tree of `old` leaves is the beginning of the one of `new`."""
        return merkle.consistency_proof(old, new, self._node(self.latest(), new))

    def verify(
        self,
        progress: Progress | None = None,
        *,
        seen: Sequence[SignedCheckpoint] = (),
        being_written: bool = False,
    ) -> Verification:
        """Check every file of the log; see `verification.verify_log`. Raises AuditTamperedError."""
        return verify_log(
            self.folder, self._disk, self.verifier, progress=progress, seen=seen, being_written=being_written
        )

    def _node(self, at: SignedCheckpoint, size: int) -> merkle.Node:
        if size > at.size:
            raise AuditFormatError(f"the log has {at.size} leaves under its checkpoint, not {size}")

        def node(level: int, index: int) -> bytes:
            height = level % LEVEL_BITS
            tile, within = divmod(index << height, WIDTH)
            return self._levels(level // LEVEL_BITS, tile, at)[height][within >> height]

        return node

    def _levels(self, level: int, index: int, at: SignedCheckpoint) -> list[Sequence[bytes]]:
        """A tile's hashes and those above them. What a checkpoint covers never changes, so it may be kept."""
        key = at_size(level, index, at.size)
        if key is not None and key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        found = merkle.levels(self._read(level, index, at, split_hashes))
        if key is not None:
            self._cache[key] = found
            if len(self._cache) > CACHED_TILES_MAX:
                self._cache.popitem(last=False)
        return found

    def _read(
        self, level: int, index: int, at: SignedCheckpoint | None, split: Callable[[bytes, int], T]
    ) -> T:
        """A tile or bundle as wide as the checkpoint makes it, or wider when it was completed meanwhile."""
        for attempt in range(_ATTEMPTS):
            tile = at_size(level, index, (at if at and not attempt else self.latest()).size)
            if tile is None:
                break
            try:
                return split(self._disk.read(self.folder / tile.path), tile.width)
            except FileNotFoundError:
                continue
            except OSError as error:
                raise AuditStorageError(f"cannot read {self.folder / tile.path}: {error}") from error
            except AuditFormatError as error:
                raise AuditFormatError(f"{self.folder / tile.path}: {error}") from error
        raise AuditFormatError(f"{self.folder}: the files of the tree are not all there; verify the log")
