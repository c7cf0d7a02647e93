"""Files that only their owner may read, whatever umask says."""

from __future__ import annotations

import os
from pathlib import Path


def create_private(path: Path) -> None:
    """Make an empty file unless there is one. Its folder exists. Raises OSError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return
    try:
        os.fchmod(descriptor, 0o600)  # umask may have taken away the owner's own rights
    finally:
        os.close(descriptor)
