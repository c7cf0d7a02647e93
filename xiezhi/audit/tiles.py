"""Names and bytes of the files that hold the tree and its entries: C2SP tlog-tiles 0.1.0.

A tile is up to 256 consecutive hashes of every eighth level of the tree; a bundle is up to 256 entries, each after its
length. A tile that is not full yet carries its width in its name (`tile/0/x001/067.p/13`), so no file ever changes
once a checkpoint was signed over it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from xiezhi.audit.merkle import HASH_BYTES
from xiezhi.errors import AuditFormatError

WIDTH: Final = 256
LEVEL_BITS: Final = 8
#: A bundle counts the bytes of an entry in 16 bits: the log keeps digests, not dossiers.
ENTRY_BYTES_MAX: Final = 65_535
#: Where the name of a tile has its level, the name of a bundle has this word.
ENTRIES: Final = -1
LEVEL_MAX: Final = 7  # 256**8 leaves are more than the 2**63 of merkle.SIZE_LIMIT

_PATH = re.compile(
    r"tile/(entries|[0-7])/((?:x[0-9]{3}/)*[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?",
    re.ASCII,
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """One file: the `index`-th tile of a level (or bundle, level ENTRIES), `width` hashes or entries wide (1-256)."""

    level: int
    index: int
    width: int = WIDTH

    @property
    def is_full(self) -> bool:
        return self.width == WIDTH

    @property
    def path(self) -> str:
        level = "entries" if self.level == ENTRIES else str(self.level)
        partial = "" if self.is_full else f".p/{self.width}"
        return f"tile/{level}/{index_path(self.index)}{partial}"

    @classmethod
    def parse(cls, path: str) -> Tile | None:
        """From a path below the log's folder; None when no tile has this path."""
        matched = _PATH.fullmatch(path)
        if matched is None:
            return None
        level = ENTRIES if matched[1] == "entries" else int(matched[1])
        index = int(matched[2].replace("/", "").replace("x", ""))
        tile = cls(level, index, int(matched[3] or WIDTH))
        return tile if tile.path == path else None


def index_path(index: int) -> str:
    """1234067 → x001/x234/067, which keeps folders small."""
    parts = [f"{index % 1000:03}"]
    while index := index // 1000:
        parts.append(f"x{index % 1000:03}")
    return "/".join(reversed(parts))


def at_size(level: int, index: int, size: int) -> Tile | None:
    """The tile as it is in a tree of `size` leaves; None when that tree has nothing there."""
    width = (size >> LEVEL_BITS * max(level, 0)) - index * WIDTH
    return Tile(level, index, min(width, WIDTH)) if width > 0 else None


def right_edge(size: int) -> Iterator[Tile]:
    """The incomplete tiles of a tree of `size` leaves, lowest level first, and the incomplete bundle."""
    for level in range(ENTRIES, LEVEL_MAX + 1):
        count = size >> LEVEL_BITS * max(level, 0)
        if count % WIDTH:
            yield Tile(level, count // WIDTH, count % WIDTH)


def bundle(entries: Sequence[bytes]) -> bytes:
    """Entries as they lie in a file, each after its length in two bytes, the greater first."""
    return b"".join([part for entry in entries for part in (len(entry).to_bytes(2, "big"), entry)])


def unbundle(data: bytes, count: int) -> list[bytes]:
    """The entries of a bundle. Raises AuditFormatError when it does not hold exactly `count`."""
    entries, at, end = [], 0, len(data)
    while at + 2 <= end:
        begin = at + 2
        at = begin + (data[at] << 8 | data[at + 1])
        entries.append(data[begin:at])
    if at != end or len(entries) != count:
        raise AuditFormatError(
            f"{count} whole entries were expected; entry {len(entries)} is cut or too many"
        )
    return entries


def split_hashes(data: bytes, count: int) -> list[bytes]:
    """The hashes of a tile. Raises AuditFormatError when it does not hold exactly `count`."""
    if len(data) != count * HASH_BYTES:
        raise AuditFormatError(f"{count * HASH_BYTES} bytes were expected, there are {len(data)}")
    return [data[at : at + HASH_BYTES] for at in range(0, len(data), HASH_BYTES)]
