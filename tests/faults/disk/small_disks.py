"""Disks of a few megabytes, each mounted over one folder, that a test can fill to the last byte and empty again.

They are tmpfs mounts, so whoever makes them runs as root or in a mount namespace of its own (`private`), which takes
them away when it ends, however it ends.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

#: Runs a command as root of a user and mount namespace of its own: what it mounts nobody else sees.
PRIVATE = ("unshare", "--map-root-user", "--mount", "--propagation", "private")
_BALLAST = "ballast"
_BLOCK = bytes(1 << 16)
_TIMEOUT_S = 10.0


def private(arguments: Sequence[str]) -> list[str]:
    """The command that runs this Python with `arguments` where it may mount."""
    return [*PRIVATE, sys.executable, *arguments]


def why_not(folder: Path) -> str:
    """Why this machine cannot mount a small disk over `folder`; "" when it can."""
    mount = ("mount", "-t", "tmpfs", "-o", "size=1m", "xiezhi-try", str(folder))
    try:
        tried = subprocess.run(
            [*PRIVATE, *mount], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    return (
        ""
        if tried.returncode == 0
        else tried.stderr.strip() or f"mount ended with exit code {tried.returncode}"
    )


class SmallDisk:
    """A disk of `megabytes` over `folder`, which is made when missing. Made inside `private` only."""

    def __init__(self, folder: Path, megabytes: int) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        mount = ("mount", "-t", "tmpfs", "-o", f"size={megabytes}m", "xiezhi-test", str(folder))
        subprocess.run(mount, check=True, timeout=_TIMEOUT_S)

    def fill(self) -> None:
        """Leave no room at all; again what somebody gave back meanwhile."""
        descriptor = os.open(self.folder / _BALLAST, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            while True:
                os.write(descriptor, _BLOCK)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        finally:
            os.close(descriptor)

    def make_room(self) -> None:
        (self.folder / _BALLAST).unlink(missing_ok=True)

    @property
    def free_bytes(self) -> int:
        state = os.statvfs(self.folder)
        return state.f_bavail * state.f_frsize
