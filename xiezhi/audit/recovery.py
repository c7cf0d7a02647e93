"""Opening a log after a crash: what was signed stands, what lies beyond it goes, nothing smaller is signed again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from xiezhi.audit import epoch, history, salts
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.disk import Disk
from xiezhi.audit.edge import Edge
from xiezhi.audit.files import CHECKPOINT, CHECKPOINT_NEW, LOCK, TILES
from xiezhi.audit.history import HistoryEnd, Tail
from xiezhi.audit.merkle import leaf_hash
from xiezhi.audit.note import Verifier
from xiezhi.audit.reader import AuditLogReader
from xiezhi.audit.storage import Storage
from xiezhi.audit.tiles import ENTRIES, Tile, at_size, right_edge, split_hashes, unbundle
from xiezhi.errors import AuditError, AuditUnusableError

_REMEDY = "run a full verification to see what is wrong, then bring back the whole folder from a copy"


@dataclass(frozen=True, slots=True)
class Recovered:
    """A log as its last signed checkpoint says. `unplaced` is that checkpoint when a crash kept it from its place."""

    latest: SignedCheckpoint
    edge: Edge
    end: HistoryEnd
    unplaced: SignedCheckpoint | None
    is_closed: bool


def recover(storage: Storage, verifier: Verifier, at_least: SignedCheckpoint | None) -> Recovered:
    """Checks first; only then removes what a crash left. Raises AuditUnusableError, AuditStorageError."""
    folder, disk = storage.folder, storage.disk
    with storage.reporting("read"):
        tail = history.read_tail(folder, disk)
        placed, signed, count = _signed(folder, disk, tail, verifier)
        edge = _edge(folder, disk, signed)
        reader = AuditLogReader(folder, verifier, disk=disk)
        if at_least is not None:
            require_at_least(at_least, signed, verifier, lambda size: reader.root(size, signed))
        last = b"".join(reader.entries(signed.size - 1, signed.size, signed)) if signed.size else b""
        leftovers = list(_leftovers(folder, disk, signed.size))
    for path in leftovers:
        storage.remove(path)
    end = tail.end_after(count)
    storage.settle(history.file_of(folder, tail.first + count - 1))  # before its note is put in place
    if tail.length_after(count):
        storage.truncate(end.path(folder), end.offset)
    _cut_salts(storage, signed.size)
    storage.sync()
    unplaced = None if placed == signed.note else signed
    return Recovered(signed, edge, end, unplaced, epoch.is_closing(last))


def is_begun(storage: Storage, verifier: Verifier) -> bool:
    """Whether the folder holds more than a crash during `create` can leave before the first note is durable."""
    folder, disk = storage.folder, storage.disk
    with storage.reporting("read"):
        tail = history.read_tail(folder, disk)
        names = {path.relative_to(folder).parts[0] for path in disk.files(folder)}
    return bool(names - {LOCK, history.FOLDER}) or tail.first > 0 or bool(_opening(tail, 0, verifier))


def require_at_least(
    known: SignedCheckpoint, ours: SignedCheckpoint, verifier: Verifier, root: Callable[[int], bytes]
) -> None:
    """That our log goes on from a checkpoint known from elsewhere. Raises AuditUnusableError; `root` gives ours."""
    try:
        known = SignedCheckpoint.open(known.note, verifier)
    except AuditError as error:
        raise AuditUnusableError(
            f"the checkpoint known from elsewhere is none of this log: {error}"
        ) from error
    if known.size > ours.size:
        raise AuditUnusableError(
            f"this audit log has {ours.size} leaves, but a checkpoint over {known.size} was signed and seen elsewhere: "
            "an older copy of the folder was put back, or its end was lost. Bring back a copy with at least "
            f"{known.size} leaves, or continue in a new log that names that checkpoint as the last of this one"
        )
    if root(known.size) != known.root:
        raise AuditUnusableError(
            f"the first {known.size} leaves of this audit log are not those that were signed and seen elsewhere: "
            "two logs were written with one key. Find out which one is right before anything is signed"
        )


def _signed(
    folder: Path, disk: Disk, tail: Tail, verifier: Verifier
) -> tuple[bytes | None, SignedCheckpoint, int]:
    """The note in place, the last checkpoint of the history, and how many of the tail's records lead up to it.

    What a power cut left after the note in place may look like a record: its signatures tell.
    """
    try:
        placed = disk.read(folder / CHECKPOINT)
    except FileNotFoundError:
        placed = None  # only a crash during creation leaves none
    if placed is None and not (tail.records and tail.first == 0):
        raise AuditUnusableError(f"there is no audit log in {folder}; create one, or name its folder")
    begin = 0
    if placed is not None:
        found = [at for at, record in enumerate(tail.records) if record.startswith(placed)]
        if not found:
            raise AuditUnusableError(f"{folder / CHECKPOINT} is not among the last of the history; {_REMEDY}")
        begin = found[0]
    opened = _opening(tail, begin, verifier)
    if not opened or (placed is None and opened[-1].size) or placed not in (None, opened[0].note):
        raise AuditUnusableError(
            f"{folder / CHECKPOINT} is missing or was not signed by {verifier}; {_REMEDY}"
        )
    count = begin + len(opened)
    if tail.length_after(count) > history.RECORD_BYTES_MAX:
        raise AuditUnusableError(
            f"{folder / history.FOLDER} is damaged after checkpoint {count - 1}; {_REMEDY}"
        )
    return placed, opened[-1], count


def _opening(tail: Tail, begin: int, verifier: Verifier) -> list[SignedCheckpoint]:
    """Checkpoints from the tail's `begin`-th record on, as far as they are signed."""
    opened: list[SignedCheckpoint] = []
    for at in range(begin, len(tail.records)):
        try:
            opened.append(history.open_record(tail.records[at], tail.first + at, verifier))
        except AuditError:
            break
    return opened


def _edge(folder: Path, disk: Disk, signed: SignedCheckpoint) -> Edge:
    """The right edge from its files, checked against the signed root."""
    held: dict[int, tuple[int, list[bytes]]] = {}
    try:
        for tile in right_edge(signed.size):
            data = disk.read(folder / tile.path)
            split = unbundle if tile.level == ENTRIES else split_hashes
            held[tile.level] = tile.index, split(data, tile.width)
    except (FileNotFoundError, AuditError) as error:
        raise AuditUnusableError(
            f"{folder}: the tree of the last checkpoint is damaged: {error}; {_REMEDY}"
        ) from error
    entries = tuple(held.pop(ENTRIES, (0, []))[1])
    levels = range(max(held, default=-1) + 1)
    edge = Edge(signed.size, entries, tuple(tuple(held.get(level, (0, []))[1]) for level in levels))
    lowest = edge.tiles[0] if edge.tiles else ()
    if edge.root() != signed.root or tuple(map(leaf_hash, entries)) != lowest:
        raise AuditUnusableError(f"{folder}: the tree is not the one of its last checkpoint; {_REMEDY}")
    return edge


def _leftovers(folder: Path, disk: Disk, size: int) -> Iterator[Path]:
    """Files beyond the last checkpoint, and incomplete tiles whose complete ones are there."""
    for path in disk.files(folder / TILES):
        tile = Tile.parse(path.relative_to(folder).as_posix())
        if tile is not None:
            signed = at_size(tile.level, tile.index, size)
            if signed is None or tile.width > signed.width or (signed.is_full and not tile.is_full):
                yield path
    if disk.length(folder / CHECKPOINT_NEW):
        yield folder / CHECKPOINT_NEW


def _cut_salts(storage: Storage, size: int) -> None:
    expected = salts.expected_lengths(storage.folder, size)
    for path in list(storage.disk.files(storage.folder / salts.FOLDER)):
        if path not in expected:
            storage.remove(path)
        elif storage.disk.length(path) > expected[path]:
            storage.truncate(path, expected[path])
