"""A disk in memory whose power can be cut, or which can fail, at any operation. Knows what an fsync really promised.

Every file and folder has a durable state and a list of changes since. A cut throws the machine away and keeps the
durable state plus whatever of the changes a `Survival` chooses: none, all, names without bytes, bytes without names, or
a random part with torn and garbled bytes. Bytes that were durable are changed in whole sectors only.

After a failed fsync the changes count as written back, as Linux has it: a later fsync of the same file does not bring
them back, only writing again does.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum, auto
from pathlib import Path
from random import Random
from typing import TypeAlias

SECTOR_BYTES = 512


class PowerCut(BaseException):
    """The machine is gone. Not an Exception, so that nothing under test can catch it by accident."""


class Survival(Enum):
    """What is left of changes that no fsync made durable."""

    NOTHING = auto()
    EVERYTHING = auto()
    NAMES = auto()  # names of folders' entries, but no bytes
    BYTES = auto()  # bytes, but no names
    CHANCE = auto()  # each change by a coin: whole, torn, garbled, or not at all


@dataclass(frozen=True, slots=True)
class Change:
    """`data` at `offset` of a file; or, without data, the file cut off at `offset`."""

    offset: int
    data: bytes | None

    def apply(self, held: bytes) -> bytes:
        if self.data is None:
            return held[: self.offset]
        padded = held.ljust(self.offset, b"\0")
        return padded[: self.offset] + self.data + padded[self.offset + len(self.data) :]


@dataclass(slots=True)
class File:
    """`held` is what programs read."""

    held: bytes = b""
    durable: bytes = b""
    changes: list[Change] = field(default_factory=list)
    doubtful: list[Change] = field(default_factory=list)  # of an fsync that failed

    def change(self, change: Change) -> None:
        self.held = change.apply(self.held)
        self.changes.append(change)

    def fsync(self) -> None:
        for change in self.changes:
            self.durable = change.apply(self.durable)
        self.changes = []

    def fail_fsync(self) -> None:
        self.doubtful += self.changes
        self.changes = []


@dataclass(slots=True)
class Folder:
    """Name → file or folder. A change with no node removes the name."""

    held: dict[str, Node] = field(default_factory=dict)
    durable: dict[str, Node] = field(default_factory=dict)
    changes: list[dict[str, Node | None]] = field(default_factory=list)

    def change(self, change: dict[str, Node | None]) -> None:
        _change_names(self.held, change)
        self.changes.append(change)

    def fsync(self) -> None:
        self.durable = dict(self.held)
        self.changes = []


Node: TypeAlias = "File | Folder"


def _change_names(names: dict[str, Node], change: dict[str, Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node


@dataclass(frozen=True, slots=True)
class Plan:
    """At which operation (counted from 1) the power is cut, and which ones fail with which error."""

    cut_at: int = 0
    fail_from: int = 0
    fail_until: int = 0  # exclusive
    error: int = errno.ENOSPC


class SimulatedDisk:
    """Keeps the contract of `xiezhi.audit.disk.Disk`."""

    def __init__(self, plan: Plan | None = None, root: Folder | None = None) -> None:
        self.plan = plan or Plan()
        self.root = root or Folder()
        self.operations = 0
        self.on_rename: Callable[[Path, bytes], None] = lambda path, data: None

    def survivor(self, survival: Survival, random: Random) -> SimulatedDisk:
        """The disk of the next start."""
        return SimulatedDisk(root=_survive_folder(self.root, survival, random))

    def read(self, path: Path) -> bytes:
        return self._file(path).held

    def read_at(self, path: Path, offset: int, length: int) -> bytes:
        return self._file(path).held[offset : offset + length]

    def files(self, folder: Path) -> Iterator[Path]:
        node = self._find(folder)
        for name, below in list(node.held.items()) if isinstance(node, Folder) else ():
            if isinstance(below, File):
                yield folder / name
            else:
                yield from self.files(folder / name)

    def is_folder(self, path: Path) -> bool:
        return isinstance(self._find(path), Folder)

    def length(self, path: Path) -> int:
        node = self._find(path)
        return len(node.held) if isinstance(node, File) else 0

    def make_folder(self, path: Path) -> None:
        self._operate(lambda: self._folder(path.parent).change({path.name: Folder()}))

    def write(self, path: Path, data: bytes) -> None:
        def begin() -> None:
            self._made(path).change(Change(0, None))

        def write() -> None:
            begin()
            self._file(path).change(Change(0, data))

        self._operate(write, begin)

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        def half() -> None:
            self._made(path).change(Change(offset, data[: len(data) // 2]))

        self._operate(lambda: self._made(path).change(Change(offset, data)), half)

    def truncate(self, path: Path, length: int) -> None:
        self._operate(lambda: self._file(path).change(Change(length, None)))

    def rename(self, source: Path, target: Path) -> None:
        def rename() -> None:
            file = self._file(source)
            self._folder(source.parent).change({source.name: None, target.name: file})
            self.on_rename(target, file.held)

        self._operate(rename)

    def remove(self, path: Path) -> None:
        def remove() -> None:
            self._file(path)
            self._folder(path.parent).change({path.name: None})

        self._operate(remove)

    def remove_folder(self, path: Path) -> None:
        if self._folder(path).held:
            raise OSError(errno.ENOTEMPTY, "not empty", str(path))
        self._operate(lambda: self._folder(path.parent).change({path.name: None}))

    def fsync(self, paths: Sequence[Path]) -> None:
        for path in paths:
            node = self._find(path)
            if node is None:
                raise FileNotFoundError(errno.ENOENT, "nothing to fsync", str(path))
            failed = node.fail_fsync if isinstance(node, File) else _nothing
            self._operate(node.fsync, failed, cut_first=True)

    def lock(self, path: Path) -> Callable[[], None]:
        self._made(path)
        return _nothing

    def is_locked(self, path: Path) -> bool:
        return False

    def _operate(
        self,
        operate: Callable[[], object],
        failed: Callable[[], None] | None = None,
        *,
        cut_first: bool = False,
    ) -> None:
        """Count, then do, fail or cut. A cut finds the operation done but not durable; an fsync not done."""
        self.operations += 1
        if self.operations == self.plan.cut_at and cut_first:
            raise PowerCut
        if self.plan.fail_from <= self.operations < self.plan.fail_until:
            if failed is not None:
                failed()
            raise OSError(self.plan.error, errno.errorcode[self.plan.error])
        operate()
        if self.operations == self.plan.cut_at:
            raise PowerCut

    def _find(self, path: Path) -> Node | None:
        node: Node | None = self.root
        for name in path.parts[1:]:
            node = node.held.get(name) if isinstance(node, Folder) else None
        return node

    def _file(self, path: Path) -> File:
        node = self._find(path)
        if not isinstance(node, File):
            raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
        return node

    def _folder(self, path: Path) -> Folder:
        node = self._find(path)
        if not isinstance(node, Folder):
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(path))
        return node

    def _made(self, path: Path) -> File:
        if self._find(path) is None:
            self._folder(path.parent).change({path.name: File()})
        return self._file(path)


def _nothing() -> None:
    pass


def _survive_folder(folder: Folder, survival: Survival, random: Random) -> Folder:
    names = dict(folder.durable)
    for change in folder.changes:
        kept = survival in (Survival.EVERYTHING, Survival.NAMES)
        if kept or (survival is Survival.CHANCE and random.random() < 0.5):
            _change_names(names, change)
    survived: dict[str, Node] = {
        name: _survive_folder(node, survival, random)
        if isinstance(node, Folder)
        else _survive_file(node, survival, random)
        for name, node in names.items()
    }
    return Folder(survived, dict(survived))


def _survive_file(file: File, survival: Survival, random: Random) -> File:
    held = file.durable
    for change in [*file.doubtful, *file.changes]:
        if survival in (Survival.EVERYTHING, Survival.BYTES):
            held = change.apply(held)
        elif survival is Survival.CHANCE:
            held = _by_chance(change, held, random)
    return File(held, held)


def _by_chance(change: Change, held: bytes, random: Random) -> bytes:
    """The change whole, torn, garbled where nothing durable was, or not at all."""
    luck = random.random()
    if luck < 0.3:
        return held
    if luck < 0.6 or not change.data:
        return change.apply(held)
    cut = change.offset + random.randrange(len(change.data))
    if cut < len(held):
        cut = max(change.offset, cut - cut % SECTOR_BYTES)  # what is there changes in whole sectors
    data = change.data[: cut - change.offset]
    if luck > 0.8 and cut >= len(held):
        data += random.randbytes(len(change.data) - len(data))
    return Change(change.offset, data).apply(held)
