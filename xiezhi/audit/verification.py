"""A whole log checked again from its files, offline, with nothing but the public key.

Every entry against its leaf hash, every tile against the tiles below, every checkpoint of the history against the tree
at its size (so each extends the one before), the checkpoint in place against the history, checkpoints seen elsewhere
against both, and every other file against what may lie there. Findings name file and place.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TypeAlias

from xiezhi.audit import history, merkle, salts
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.disk import Disk
from xiezhi.audit.files import CHECKPOINT, CHECKPOINT_NEW, LOCK
from xiezhi.audit.note import Verifier
from xiezhi.audit.tiles import ENTRIES, LEVEL_BITS, WIDTH, Tile, at_size, right_edge, split_hashes, unbundle
from xiezhi.errors import AuditError, AuditTamperedError

#: Findings after which the check ends: one lost folder must not fill memory and screen with a line for every file.
FINDINGS_MAX = 100

#: Called with (leaves checked, leaves in all) after each tile.
Progress: TypeAlias = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found in order: the checkpoint in place, and how many lead up to it."""

    latest: SignedCheckpoint
    checkpoints: int

    @property
    def size(self) -> int:
        return self.latest.size


class _EnoughError(Exception):
    """The findings are as many as will be told."""


def verify_log(
    folder: Path,
    disk: Disk,
    verifier: Verifier,
    *,
    progress: Progress | None = None,
    seen: Sequence[SignedCheckpoint] = (),
    being_written: bool = False,
) -> Verification:
    """Raises AuditTamperedError with all findings, or OSError.

    `seen` are checkpoints of this log known from elsewhere; only they can tell that a log was put back as a whole.
    Files beyond the checkpoint in place are findings unless the log is `being_written`: a power cut leaves such files
    too, and opening the log removes them.
    """
    try:
        latest = SignedCheckpoint.open(disk.read(folder / CHECKPOINT), verifier)
    except (FileNotFoundError, AuditError) as error:
        raise AuditTamperedError([f"{CHECKPOINT}: {error}"]) from error
    check = _Check(folder, disk, verifier, latest, being_written)
    try:
        check.tree(progress, _seen(seen, check))
        check.other_files()
    except _EnoughError:
        check.findings.append(f"… and more; only the first {FINDINGS_MAX} are told")
    if check.findings:
        raise AuditTamperedError(check.findings)
    return Verification(latest, check.checkpoints)


def _seen(seen: Sequence[SignedCheckpoint], check: _Check) -> list[tuple[str, SignedCheckpoint]]:
    named = []
    for each in sorted(seen, key=lambda one: one.size):
        where = f"the checkpoint over {each.size} leaves seen elsewhere"
        try:
            named.append((where, SignedCheckpoint.open(each.note, check.verifier)))
        except AuditError as error:
            check.find(f"{where}: {error}")
        if each.size > check.latest.size:
            check.find(f"{CHECKPOINT}: the log has {check.latest.size} leaves only, but {where} was signed")
    return named


@dataclass(slots=True)
class _Check:
    folder: Path
    disk: Disk
    verifier: Verifier
    latest: SignedCheckpoint
    being_written: bool
    findings: list[str] = field(default_factory=list)
    checkpoints: int = 0
    _history_files: set[str] = field(default_factory=set)
    _earlier: set[Tile] = field(default_factory=set)  # narrower forms of tiles that are incomplete still
    _differs: bool = False  # a checkpoint is not over this tree; all later ones will not be either

    def find(self, what: str) -> None:
        self.findings.append(what)
        if len(self.findings) >= FINDINGS_MAX:
            raise _EnoughError

    def tree(self, progress: Progress | None, seen: Sequence[tuple[str, SignedCheckpoint]]) -> None:
        """Entries, tiles and checkpoints, from the first leaf to the last."""
        size = self.latest.size
        expected = [_Expected(self._history()), _Expected(iter(seen))]
        grown = _Grown()
        self._compare_due(expected, 0, lambda _: merkle.EMPTY_ROOT)
        for index in range(-(-size // WIDTH)):
            hashes = self._leaves(index)
            if hashes is None:
                self.find(
                    f"{self._path(0, index)}: the tree beyond leaf {index * WIDTH} could not be checked"
                )
                break
            levels = merkle.levels(hashes)
            first = index * WIDTH
            self._compare_due(expected, first + len(hashes), partial(grown.root_at, levels, first))
            if len(hashes) == WIDTH:
                for tile, found in grown.push(levels[-1][0]):
                    self._compare_tile(tile, found)
            if progress is not None:
                progress(index * WIDTH + len(hashes), size)
        else:
            for tile, found in grown.rest():
                self._compare_tile(tile, found)
        for each in expected:
            for _ in each.up_to(None):
                pass  # signatures and order beyond what could be compared

    def other_files(self) -> None:
        """What lies in the folder beside the files that the tree needs."""
        expected = salts.expected_lengths(self.folder, self.latest.size)
        for path, length in expected.items():
            found = self.disk.length(path)
            if found < length or (found > length and not self.being_written):
                self.find(f"{self._name(path)}: {length} bytes of salts were expected, there are {found}")
        found_earlier = set[Tile]()
        for path in self.disk.files(self.folder):
            tile = Tile.parse(self._name(path))
            if tile in self._earlier:
                found_earlier.add(tile)
                self._compare_narrower(tile)
            elif tile is not None:
                if tile != at_size(tile.level, tile.index, self.latest.size):
                    self._unsigned(tile.path)
            elif path not in expected:
                self._other_file(self._name(path))
        if not self.being_written:
            for tile in sorted(self._earlier - found_earlier):
                self.find(f"{tile.path}: the file is missing")

    def _other_file(self, name: str) -> None:
        if name in (CHECKPOINT, LOCK):
            return
        if name == CHECKPOINT_NEW or name.startswith(f"{salts.FOLDER}/"):
            self._unsigned(name)
        elif name.startswith(f"{history.FOLDER}/"):
            self._history_file(name)
        else:
            self.find(f"{name}: no such file belongs to an audit log")

    def _unsigned(self, name: str) -> None:
        if not self.being_written:
            self.find(
                f"{name}: no checkpoint needs this file; a power cut may have left it, then opening the log removes it"
            )

    def _history_file(self, name: str) -> None:
        if name not in self._history_files:
            self.find(f"{name}: a file of the history before this one is missing")

    def _history(self) -> Iterator[tuple[str, SignedCheckpoint]]:
        """Checkpoints up to the one in place, each after a greater number of leaves than the one before."""
        before, placed = -1, False
        for name, records, rest in history.read_records(self.folder, self.disk):
            first = len(self._history_files) * history.RECORDS_PER_FILE
            self._history_files.add(name)
            for number, record in enumerate(records, first):
                where = f"{name}: checkpoint {number}"
                if placed:
                    self._beyond(where)
                    continue
                try:
                    signed = history.open_record(record, number, self.verifier)
                except AuditError as error:
                    self.find(f"{where}: {error}")
                    continue
                placed = signed.note == self.latest.note
                if signed.size <= before or (before < 0 and signed.size):
                    self.find(f"{where} over {signed.size} leaves: the one before is over {max(before, 0)}")
                    continue
                before = signed.size
                self.checkpoints += 1
                self._earlier.update(self._still_incomplete(signed.size))
                yield where, signed
            self._end_of_file(name, len(records), rest)
        if not placed:
            self.find(f"{CHECKPOINT}: it is not in the history, which was cut or changed")

    def _still_incomplete(self, size: int) -> Iterator[Tile]:
        """Files that a checkpoint over `size` leaves rests on, and that no complete tile has replaced."""
        for tile in right_edge(size):
            now = at_size(tile.level, tile.index, self.latest.size)
            if now is not None and not now.is_full and now != tile:
                yield tile

    def _beyond(self, where: str) -> None:
        if not self.being_written:
            self.find(
                f"{CHECKPOINT}: {where} was signed later; an older one was put back, or a power cut kept the later one "
                "from its place, then opening the log puts it there"
            )

    def _end_of_file(self, name: str, count: int, rest: bytes) -> None:
        if rest and not self.being_written:
            self.find(f"{name}: {len(rest)} bytes after {count} checkpoints are none")
        following = history.file_of(self.folder, len(self._history_files) * history.RECORDS_PER_FILE)
        if count != history.RECORDS_PER_FILE and self.disk.length(following):
            self.find(f"{name}: {history.RECORDS_PER_FILE} checkpoints were expected, there are {count}")

    def _compare_due(self, expected: Sequence[_Expected], size: int, root: Callable[[int], bytes]) -> None:
        """Checkpoints over at most `size` leaves that were not compared yet."""
        for each in expected:
            for where, signed in each.up_to(size):
                if not self._differs and signed.root != root(signed.size):
                    self._differs = True
                    self.find(f"{where}: the tree over {signed.size} leaves is not the one that was signed")

    def _leaves(self, index: int) -> Sequence[bytes] | None:
        """Leaf hashes of one tile, from the tile or else from the bundle; None when neither can be read."""
        entries = self._read(ENTRIES, index, unbundle)
        hashes = self._read(0, index, split_hashes)
        if entries is None:
            return hashes
        computed = [merkle.leaf_hash(entry) for entry in entries]
        if hashes is not None and computed != hashes:
            at = next(at for at, pair in enumerate(zip(computed, hashes, strict=True)) if pair[0] != pair[1])
            bundle, tile = (self._path(level, index) for level in (ENTRIES, 0))
            self.find(
                f"{bundle}: entry {at} (leaf {index * WIDTH + at}) is not the one whose hash is in {tile}"
            )
        return hashes if hashes is not None else computed

    def _read(self, level: int, index: int, split: Callable[[bytes, int], list[bytes]]) -> list[bytes] | None:
        tile = at_size(level, index, self.latest.size)
        if tile is None:
            return None
        try:
            try:
                return split(self.disk.read(self.folder / tile.path), tile.width)
            except FileNotFoundError:
                if not self.being_written:
                    raise
                whole = self.disk.read(self.folder / Tile(level, index).path)  # completed meanwhile
                return split(whole, WIDTH)[: tile.width]
        except FileNotFoundError:
            self.find(f"{tile.path}: the file is missing")
        except AuditError as error:
            self.find(f"{tile.path}: {error}")
        return None

    def _compare_tile(self, tile: Tile, expected: Sequence[bytes]) -> None:
        found = self._read(tile.level, tile.index, split_hashes)
        if found is not None and found != list(expected):
            at = next(
                (at for at, pair in enumerate(zip(found, expected, strict=False)) if pair[0] != pair[1]), 0
            )
            self.find(f"{tile.path}: hash {at} is not the one of the tile below")

    def _compare_narrower(self, tile: Tile) -> None:
        """An earlier form of the incomplete tile must be its beginning."""
        try:
            narrower = self.disk.read(self.folder / tile.path)
        except FileNotFoundError:
            return  # completed and removed meanwhile
        split = unbundle if tile.level == ENTRIES else split_hashes
        wider = self._read(tile.level, tile.index, split)
        try:
            if wider is not None and split(narrower, tile.width) != wider[: tile.width]:
                self.find(f"{tile.path}: it is not the beginning of the wider one")
        except AuditError as error:
            self.find(f"{tile.path}: {error}")

    def _path(self, level: int, index: int) -> str:
        return (at_size(level, index, self.latest.size) or Tile(level, index)).path

    def _name(self, path: Path) -> str:
        return path.relative_to(self.folder).as_posix()


class _Expected:
    """Checkpoints in the order of their sizes, handed out as far as the tree has grown."""

    def __init__(self, checkpoints: Iterator[tuple[str, SignedCheckpoint]]) -> None:
        self._checkpoints = checkpoints
        self._next = next(checkpoints, None)

    def up_to(self, size: int | None) -> Iterator[tuple[str, SignedCheckpoint]]:
        while self._next is not None and (size is None or self._next[1].size <= size):
            yield self._next
            self._next = next(self._checkpoints, None)


class _Grown:
    """The tree over the complete tiles read so far: its largest perfect subtrees, and its tiles above the lowest."""

    def __init__(self) -> None:
        self._peaks: list[tuple[int, bytes]] = []  # (level, hash), from the left
        self._above: dict[int, list[bytes]] = {}  # tile level → hashes of its incomplete tile
        self._whole: dict[int, int] = {}  # tile level → complete tiles so far

    def push(self, root: bytes) -> Iterator[tuple[Tile, list[bytes]]]:
        """One more complete tile of the lowest level; yields tiles above that are complete now."""
        self._peaks.append((LEVEL_BITS, root))
        while True:
            level, found = self._peaks[-1]
            if level % LEVEL_BITS == 0:
                yield from self._push_above(level // LEVEL_BITS, found)
            if len(self._peaks) < 2 or self._peaks[-2][0] != level:
                return
            self._peaks[-2:] = [(level + 1, merkle.node_hash(self._peaks[-2][1], found))]

    def rest(self) -> Iterator[tuple[Tile, list[bytes]]]:
        """The incomplete tiles above the lowest level."""
        for level, held in self._above.items():
            if held:
                yield Tile(level, self._whole.get(level, 0), len(held)), held

    def root_at(self, levels: Sequence[Sequence[bytes]], first: int, size: int) -> bytes:
        """The root over `size` leaves, of which those from `first` on are in a tile with these levels."""
        count = size - first
        roots, begin = [root for _, root in self._peaks], 0
        for level in range(count.bit_length() - 1, -1, -1):
            if count >> level & 1:
                roots.append(levels[level][begin >> level])
                begin += 1 << level
        return merkle.root_of_peaks(roots)

    def _push_above(self, level: int, found: bytes) -> Iterator[tuple[Tile, list[bytes]]]:
        held = self._above.setdefault(level, [])
        held.append(found)
        if len(held) == WIDTH:
            index = self._whole.get(level, 0)
            yield Tile(level, index), held
            self._whole[level] = index + 1
            self._above[level] = []
