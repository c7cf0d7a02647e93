"""The audit log as a target: its files, every kind of change to them, and the verification that must find each.

The bytes of salts are left out: they are no part of the tree, so that they can be erased; a changed salt no longer
opens the commitment of its leaf. Missing or cut salt files are found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from unittest.mock import patch

from tests.edits import EDITS, other_spelling
from tests.faults.power.disk import SimulatedDisk
from xiezhi.audit import history, merkle
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.edge import Edge
from xiezhi.audit.history import split_records
from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer
from xiezhi.audit.reader import AuditLogReader
from xiezhi.audit.tiles import WIDTH, Tile, bundle, unbundle
from xiezhi.errors import AuditError

Files = dict[str, bytes]

FOLDER = Path("/log")
NAME = "audit.test/tamper"
OURS = Signer(NAME, bytes(range(32)))
THEIRS = Signer(NAME, bytes(range(1, 33)))
SIZES = (3, 255, 256, 300, 511, 513, 560, 600)
#: So that a short log has several files of history.
RECORDS_PER_FILE = 4


class LogTarget:
    """A log of 600 leaves and 9 checkpoints."""

    name = "log"

    def __init__(self) -> None:
        self._states = _states(OURS, b"")
        self._files = self._states[-1]
        self._seen = self._latest(self._files)
        self._forged = _states(THEIRS, b"forged ")[-1]
        self._forked = _states(OURS, b"forged ")[-1]
        self._without_seen: Mapping[str, Callable[[Files, Random], None]] = {
            "edit a file": _edit_file,
            "edit the checkpoint": _edit_checkpoint,
            "edit the history": _edit_history,
            "remove a file": _remove_file,
            "swap two files": _swap_files,
            "add a file": _add_file,
            "spell a checkpoint otherwise": _spell_otherwise,
            "reorder, drop or repeat checkpoints": _rearrange_history,
            "put an older checkpoint in place": self._put_back_checkpoint,
            "change entries and all hashes": _rewrite_entries,
            "another log with another key": self._put_forged,
            "files of another log": self._mix_forged,
        }
        self._with_seen: Mapping[str, Callable[[Files, Random], None]] = {
            "put back the whole log": self._put_back_log,
            "another log with the same key": self._put_forked,
        }

    def check_unchanged(self) -> None:
        for state in self._states:
            self._verify(state, [])
        self._verify(self._files, [self._latest(state) for state in self._states])

    def tamper(self, random: Random) -> tuple[str, bool]:
        kinds = {**self._without_seen, **self._with_seen}
        while True:
            kind = random.choice(sorted(kinds))
            files = dict(self._files)
            kinds[kind](files, random)
            if files != self._files:
                break  # an edit may leave things as they were
        try:
            self._verify(files, [self._seen] if kind in self._with_seen else [])
        except AuditError:
            return kind, True
        return kind, False

    def _verify(self, files: Files, seen: list[SignedCheckpoint]) -> None:
        with patch.object(history, "RECORDS_PER_FILE", RECORDS_PER_FILE):
            AuditLogReader(FOLDER, OURS.verifier, disk=_disk(files)).verify(seen=seen)

    def _latest(self, files: Files) -> SignedCheckpoint:
        return SignedCheckpoint.open(files["checkpoint"], OURS.verifier)

    def _put_back_checkpoint(self, files: Files, random: Random) -> None:
        """Alone, or with the history cut to it."""
        older = random.choice(self._states[:-1])
        files["checkpoint"] = older["checkpoint"]
        if random.random() < 0.5:
            for name in [name for name in files if name.startswith("history/")]:
                del files[name]
            files.update({name: data for name, data in older.items() if name.startswith("history/")})

    def _put_back_log(self, files: Files, random: Random) -> None:
        files.clear()
        files.update(random.choice(self._states[:-1]))

    def _put_forged(self, files: Files, random: Random) -> None:
        files.clear()
        files.update(self._forged)

    def _put_forked(self, files: Files, random: Random) -> None:
        files.clear()
        files.update(self._forked)

    def _mix_forged(self, files: Files, random: Random) -> None:
        other = random.choice([self._forged, self._forked])
        for name in random.sample(_evidence(files), random.randint(1, 4)):
            files[name] = other[name]


def _states(signer: Signer, prefix: bytes) -> list[Files]:
    """The files of a log after each of its checkpoints."""
    with patch.object(history, "RECORDS_PER_FILE", RECORDS_PER_FILE):
        disk = SimulatedDisk()
        log = AuditLog.create(FOLDER, NAME, signer, disk=disk)
        states = [_files(disk)]
        for size in SIZES:
            indexes = range(log.size, size)
            log.append(
                [prefix + f"leaf {at}".encode() * 3 for at in indexes], [b"%016d" % at for at in indexes]
            )
            log.publish()
            states.append(_files(disk))
        return states


def _files(disk: SimulatedDisk) -> Files:
    return {str(path.relative_to(FOLDER)): disk.read(path) for path in disk.files(FOLDER)}


def _disk(files: Files) -> SimulatedDisk:
    disk = SimulatedDisk()
    folders = {parent for name in files for parent in (FOLDER / name).parents if parent != Path("/")}
    for folder in sorted(folders):
        disk.make_folder(folder)
    for name, data in files.items():
        disk.write(FOLDER / name, data)
    return disk


def _evidence(files: Files) -> list[str]:
    return sorted(name for name in files if name != "lock" and not name.startswith("salt/"))


def _edit_file(files: Files, random: Random) -> None:
    name = random.choice(_evidence(files))
    files[name] = random.choice(EDITS)(files[name], random)


def _edit_checkpoint(files: Files, random: Random) -> None:
    files["checkpoint"] = random.choice(EDITS)(files["checkpoint"], random)


def _edit_history(files: Files, random: Random) -> None:
    name = random.choice([name for name in files if name.startswith("history/")])
    files[name] = random.choice(EDITS)(files[name], random)


def _remove_file(files: Files, random: Random) -> None:
    del files[random.choice(sorted(files.keys() - {"lock"}))]


def _swap_files(files: Files, random: Random) -> None:
    first, second = random.sample(_evidence(files), 2)
    files[first], files[second] = files[second], files[first]


def _add_file(files: Files, random: Random) -> None:
    copied = files[random.choice(_evidence(files))]
    tile = Tile(random.randint(-1, 3), random.randint(0, 4), random.randint(1, WIDTH))
    name = random.choice(
        [tile.path, "history/009", "salt/001", "checkpoint.new", "tile/0/x000/000", "notes.txt"]
    )
    files.setdefault(name, copied)


def _spell_otherwise(files: Files, random: Random) -> None:
    name = random.choice(["checkpoint", *(name for name in files if name.startswith("history/"))])
    files[name] = other_spelling(files[name], random)


def _rearrange_history(files: Files, random: Random) -> None:
    names = sorted(name for name in files if name.startswith("history/"))
    notes = [note for name in names for note in split_records(files[name])[0]]
    how = random.randrange(3)
    at = random.randrange(len(notes))
    if how == 0:
        random.shuffle(notes)
    elif how == 1:
        del notes[at]
    else:
        notes.insert(at, random.choice(notes))
    for name in names:
        del files[name]
    for number in range(0, len(notes), RECORDS_PER_FILE):
        files[f"history/{number // RECORDS_PER_FILE:03}"] = b"".join(
            notes[number : number + RECORDS_PER_FILE]
        )


def _rewrite_entries(files: Files, random: Random) -> None:
    """As whoever lacks the key would do it: entries exchanged, dropped or changed, and every hash made to fit."""
    bundles = sorted(_widest(files))
    entries = [entry for tile in bundles for entry in unbundle(files[tile.path], tile.width)]
    first, second = random.sample(range(len(entries)), 2)
    if random.random() < 0.5:
        entries[first], entries[second] = entries[second], entries[first]
    else:
        entries[first] = random.randbytes(random.randint(0, 60))
    _, grown = Edge().grown(entries, list(map(merkle.leaf_hash, entries)))
    files.update({tile.path: data for tile, data in grown.items()})
    for name in files:
        tile = Tile.parse(name)
        if tile is not None and not tile.is_full and tile not in grown and tile.level <= 0:
            held = entries[tile.index * WIDTH :][: tile.width]
            files[name] = bundle(held) if tile.level < 0 else b"".join(map(merkle.leaf_hash, held))


def _widest(files: Files) -> list[Tile]:
    found: dict[int, Tile] = {}
    for tile in map(Tile.parse, files):
        if (
            tile is not None
            and tile.level < 0
            and (tile.index not in found or found[tile.index].width < tile.width)
        ):
            found[tile.index] = tile
    return list(found.values())
