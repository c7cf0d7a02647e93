"""Making many files durable at once, and knowing afterwards which ones a failed attempt has left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from xiezhi.audit.disk import Disk
from xiezhi.errors import AuditStorageError


class Storage:
    """Writes below one folder. Calls raise AuditStorageError; what they were to write may then be there in part."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self.folder, self.disk = folder, disk
        self._known: set[Path] = set()  # folders that exist
        self._changed: set[Path] = set()  # folders whose names are not durable yet
        self._unsynced: set[Path] = set()  # files whose bytes are not durable yet

    def write(self, files: Mapping[Path, bytes]) -> None:
        """Create or replace files; durable after `sync`."""
        with self.reporting("write"):
            for path, data in files.items():
                self._prepare(path)
                self.disk.write(path, data)
                self._unsynced.add(path)

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """Write within or after a file; durable after `sync`."""
        with self.reporting("write"):
            self._prepare(path)
            self.disk.write_at(path, offset, data)
            self._unsynced.add(path)

    def truncate(self, path: Path, length: int) -> None:
        """Cut a file off; durable after `sync`."""
        with self.reporting("write"):
            self.disk.truncate(path, length)
            self._unsynced.add(path)

    def remove(self, path: Path) -> None:
        """Remove a file if it is there; durable after `sync`."""
        self._changed.add(path.parent)
        self._unsynced.discard(path)
        with self.reporting("write"), suppress(FileNotFoundError):  # an earlier attempt got so far
            self.disk.remove(path)

    def settle(self, path: Path) -> None:
        """What an earlier process wrote to a file and perhaps never made durable is durable after `sync`."""
        self._changed.add(path.parent)
        self._unsynced.add(path)

    def replace(self, path: Path, data: bytes) -> None:
        """Replace a file as a whole, durable on return; whoever reads finds the old one or the new one."""
        beside = path.with_name(path.name + ".new")
        self.write({beside: data})
        self.sync()
        with self.reporting("write"):
            self._changed.add(path.parent)
            self.disk.rename(beside, path)
        self.sync()

    def sync(self) -> None:
        """Everything written and removed so far is durable on return."""
        with self.reporting("write"):
            self.disk.fsync(sorted(self._unsynced))
            self._unsynced.clear()
            self.disk.fsync(sorted(self._changed, reverse=True))
            self._changed.clear()

    @contextmanager
    def reporting(self, what: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise AuditStorageError(
                f"audit log {self.folder}: cannot {what}: {error}; make sure that the disk has room and that this "
                "user may write there; nothing was signed, and the next attempt goes on from here"
            ) from error

    def remove_folder(self, folder: Path) -> None:
        """Remove an empty folder."""
        self._known.discard(folder)
        self._changed.discard(folder)
        self._changed.add(folder.parent)
        with self.reporting("write"):
            self.disk.remove_folder(folder)

    def _prepare(self, path: Path) -> None:
        self.make_folders(path.parent)
        self._unsynced.discard(path)  # a write that fails leaves nothing worth making durable
        self._changed.add(path.parent)

    def make_folders(self, folder: Path) -> None:
        """The folder and those above it; durable after `sync`."""
        if folder in self._known:
            return
        if not self.disk.is_folder(folder):
            self.make_folders(folder.parent)
            self._changed.add(folder.parent)
            self.disk.make_folder(folder)
        self._known.add(folder)
