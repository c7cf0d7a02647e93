"""Where the salts of leaves lie: beside the tree and not part of it, so that a salt can be overwritten for good.

File `salt/000` holds the salts of the first 65,536 leaves, 16 bytes each, in order; an erased one is all zero.
A salt lies within one sector of the disk, which is written as a whole or not at all.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from xiezhi.audit.tiles import index_path

FOLDER = "salt"
SALT_BYTES = 16
SALTS_PER_FILE = 65_536
ERASED = bytes(SALT_BYTES)


def place(folder: Path, index: int) -> tuple[Path, int]:
    """File and offset of the salt of leaf `index`."""
    number, within = divmod(index, SALTS_PER_FILE)
    return folder / FOLDER / index_path(number), within * SALT_BYTES


def salt_runs(folder: Path, first: int, salts: Sequence[bytes]) -> Iterator[tuple[Path, int, bytes]]:
    """(File, offset, bytes) to write so that `salts` lie where those of the leaves from `first` on belong."""
    at = 0
    while at < len(salts):
        path, offset = place(folder, first + at)
        count = SALTS_PER_FILE - offset // SALT_BYTES
        yield path, offset, b"".join(salts[at : at + count])
        at += count


def expected_lengths(folder: Path, size: int) -> dict[Path, int]:
    """Every salt file of a tree of `size` leaves, with its length in bytes."""
    firsts = range(0, size, SALTS_PER_FILE)
    return {place(folder, at)[0]: min(size - at, SALTS_PER_FILE) * SALT_BYTES for at in firsts}
