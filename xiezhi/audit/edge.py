"""The right edge of the tree, from which it grows: incomplete tiles and bundle. Pure; at most 255 hashes a level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xiezhi.audit.merkle import levels, peaks, root_of_peaks
from xiezhi.audit.tiles import ENTRIES, LEVEL_BITS, WIDTH, Tile, bundle


@dataclass(frozen=True, slots=True)
class Edge:
    """A tree of `size` leaves: hashes of the incomplete tile on each level, and entries of the incomplete bundle.

    A level above the last has no hashes. What is complete lies on the disk and is not needed to grow.
    """

    size: int = 0
    entries: tuple[bytes, ...] = ()
    tiles: tuple[tuple[bytes, ...], ...] = ()

    def root(self) -> bytes:
        return root_of_peaks([peak for hashes in reversed(self.tiles) for peak in peaks(hashes)])

    def grown(self, entries: Sequence[bytes], hashes: Sequence[bytes]) -> tuple[Edge, dict[Tile, bytes]]:
        """The edge after `entries`, whose leaf hashes are `hashes`, and the files that the larger tree needs."""
        files: dict[Tile, bytes] = {}
        bundled = [*self.entries, *entries]
        left = _cut(ENTRIES, self.size // WIDTH, bundled, files)
        grown, new, level = [], hashes, 0
        while new or level < len(self.tiles):
            before = self.tiles[level] if level < len(self.tiles) else ()
            held = [*before, *new]
            first = self.size >> LEVEL_BITS * (level + 1)
            rest = _cut(level, first, held, files) if new else before
            whole = range(0, len(held) - len(rest), WIDTH)
            new = [levels(held[at : at + WIDTH])[-1][0] for at in whole]
            grown.append(tuple(rest))
            level += 1
        return Edge(self.size + len(entries), tuple(left), tuple(grown)), files


def _cut(level: int, index: int, held: Sequence[bytes], files: dict[Tile, bytes]) -> Sequence[bytes]:
    """Fill tiles from `index` on with what is held, and return what is left in the incomplete one."""
    for at in range(0, len(held), WIDTH):
        part = held[at : at + WIDTH]
        files[Tile(level, index, len(part))] = bundle(part) if level == ENTRIES else b"".join(part)
        index += 1
    left = len(held) % WIDTH
    return held[len(held) - left :]
