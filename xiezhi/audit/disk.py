"""The few things that the log asks of a disk, so that tests can cut the power between any two of them.

Nothing is durable before `fsync` of the file; a new, renamed or removed name not before `fsync` of its folder. All
calls raise OSError and may block. `LocalDisk` is the real thing.
"""

from __future__ import annotations

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from xiezhi.audit import salts

#: Files made durable at once. A disk answers many fsyncs together nearly as fast as one; more threads gain no more.
FSYNC_THREADS = 8
#: A reader that looks whether the log is being written holds the lock for an instant.
LOCK_TIMEOUT_S = 2.0
_LOCK_RETRY_S = 0.02
#: Modes of new folders, before umask. Whoever reads a salt can guess what a leaf commits to; the rest may be shown.
PRIVATE, PUBLIC = 0o700, 0o777


class Disk(Protocol):
    """What the log needs of a file system."""

    def read(self, path: Path) -> bytes: ...
    def read_at(self, path: Path, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer where the file ends."""
        ...

    def files(self, folder: Path) -> Iterator[Path]:
        """Every file below the folder, in no order; none when there is no such folder."""
        ...

    def is_folder(self, path: Path) -> bool: ...
    def length(self, path: Path) -> int:
        """Bytes of the file; 0 when there is none."""
        ...

    def make_folder(self, path: Path) -> None:
        """One new folder; its parent exists."""
        ...

    def write(self, path: Path, data: bytes) -> None:
        """Create the file, or replace all it holds."""
        ...

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        """Write within or after what the file holds; created when missing, filled with zeros up to `offset`."""
        ...

    def truncate(self, path: Path, length: int) -> None: ...
    def rename(self, source: Path, target: Path) -> None:
        """Replace `target` at once: a reader finds the old file or the new one."""
        ...

    def remove(self, path: Path) -> None: ...
    def remove_folder(self, path: Path) -> None:
        """One empty folder."""
        ...

    def fsync(self, paths: Sequence[Path]) -> None:
        """When it returns, the files' bytes, or the folders' names, are durable; when it raises, any may not be."""
        ...

    def lock(self, path: Path) -> Callable[[], None]:
        """Take the exclusive lock on a file and return what releases it. Raises BlockingIOError."""
        ...

    def is_locked(self, path: Path) -> bool:
        """Whether somebody holds the lock."""
        ...


class LocalDisk:
    """Files of this machine."""

    def read(self, path: Path) -> bytes:
        return path.read_bytes()

    def read_at(self, path: Path, offset: int, length: int) -> bytes:
        with path.open("rb", buffering=0) as file:
            return os.pread(file.fileno(), length, offset)

    def files(self, folder: Path) -> Iterator[Path]:
        for parent, _, names in os.walk(folder):
            for name in names:
                yield Path(parent, name)

    def is_folder(self, path: Path) -> bool:
        return path.is_dir()

    def length(self, path: Path) -> int:
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return 0

    def make_folder(self, path: Path) -> None:
        path.mkdir(PRIVATE if path.name == salts.FOLDER else PUBLIC)

    def write(self, path: Path, data: bytes) -> None:
        with path.open("wb", buffering=0) as file:
            _write_all(file.fileno(), data, 0)

    def write_at(self, path: Path, offset: int, data: bytes) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT, 0o666)
        try:
            _write_all(descriptor, data, offset)
        finally:
            os.close(descriptor)

    def truncate(self, path: Path, length: int) -> None:
        os.truncate(path, length)

    def rename(self, source: Path, target: Path) -> None:
        source.replace(target)

    def remove(self, path: Path) -> None:
        path.unlink()

    def remove_folder(self, path: Path) -> None:
        path.rmdir()

    def fsync(self, paths: Sequence[Path]) -> None:
        if len(paths) < 2:
            for path in paths:
                _fsync(path)
            return
        with ThreadPoolExecutor(FSYNC_THREADS, "audit-fsync") as threads:
            for _ in threads.map(_fsync, paths):
                pass  # taking the result raises what the thread raised

    def lock(self, path: Path) -> Callable[[], None]:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        deadline = time.monotonic() + LOCK_TIMEOUT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    os.close(descriptor)
                    raise
                time.sleep(_LOCK_RETRY_S)
            else:
                return lambda: os.close(descriptor)

    def is_locked(self, path: Path) -> bool:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False


def _write_all(descriptor: int, data: bytes, offset: int) -> None:
    left = memoryview(data)
    while left:
        written = os.pwrite(descriptor, left, offset)
        if not written:
            raise OSError(errno.EIO, "nothing was written")
        left, offset = left[written:], offset + written


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
