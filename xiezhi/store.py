"""The keyed store: what one worker remembers of one partition, as a cache of the log.

Rows live under a *view* (a join key, or a reserved name such as "#said"). Writes collect in the current batch; `seal`
closes the batch, `commit` makes it durable together with the input offset in one write batch, strictly in order.
Until then later batches see the writes through an overlay, so that batches can be pipelined while deliveries are
still under way. Anything here may be deleted at any time: the log restores it.
"""

from __future__ import annotations

import contextlib
import struct
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Protocol

from rocksdict import AccessType, BlockBasedOptions, Cache, Options, Rdict, WriteBatch, WriteOptions

from xiezhi.errors import StoreError

_VIEW_LENGTH = struct.Struct(">H")
_NO_LENGTH = 0xFFFF  # no view is 65,535 bytes long, so no row collides with the three below
_NEXT_OFFSET = b"\xff\xffnext"
_FINGERPRINT = b"\xff\xfffingerprint"
_PARTITIONS = b"\xff\xffpartitions"
#: Shared by all stores of a process; without a bound each open partition would grow its own cache.
BLOCK_CACHE_BYTES = 64 * 2**20
#: Memory a store may hold in unflushed writes; a router opens one store per input partition.
WRITE_BUFFER_BYTES = 8 * 2**20

_MAKE_ROOM = "free some space there: nothing is lost, the stage goes on by itself"
#: By a part of what RocksDB says: what to do. Nothing is lost in any case, since the log restores the store.
_REMEDIES = {
    "No space left": _MAKE_ROOM,
    "quota exceeded": _MAKE_ROOM,
    "lock": "another worker uses it; give this one a folder of its own (XIEZHI_WORKER)",
    "Permission denied": "let this user write there",
    "Corruption": "stop the stage and delete the folder; it is filled again from the log",
}

_block_cache: Cache | None = None


@dataclass(slots=True)
class Sealed:
    """One closed batch: its writes, and the offset of the input after it."""

    writes: dict[tuple[bytes, bytes], bytes | None]
    next_offset: int
    number: int


class Backend(Protocol):
    """Durable bytes. Implementations: RocksDB for services, a dict for tests and the simulation."""

    def get(self, key: bytes) -> bytes | None: ...
    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Rows whose key starts with `prefix`, in key order."""
        ...

    def seek(self, start: bytes) -> bytes | None:
        """The first key at or after `start`."""
        ...

    def write(self, rows: Mapping[bytes, bytes | None]) -> None:
        """Apply all rows atomically (None deletes). What is durable when it returns survives a killed process."""
        ...

    def close(self) -> None: ...


class MemoryBackend:
    """A dict with the same contract as RocksDB; for tests and for the simulation."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []  # sorted, so that a scan costs what it yields

    def get(self, key: bytes) -> bytes | None:
        return self.rows.get(key)

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for index in range(bisect_left(self._keys, prefix), len(self._keys)):
            key = self._keys[index]
            if not key.startswith(prefix):
                return
            yield key, self.rows[key]

    def seek(self, start: bytes) -> bytes | None:
        index = bisect_left(self._keys, start)
        return self._keys[index] if index < len(self._keys) else None

    def write(self, rows: Mapping[bytes, bytes | None]) -> None:
        for key, row in rows.items():
            if row is not None:
                if key not in self.rows:
                    insort(self._keys, key)
                self.rows[key] = row
            elif self.rows.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    def close(self) -> None:
        pass


class RocksBackend:
    """RocksDB through rocksdict in raw mode. Its write-ahead log survives `kill -9`; Kafka restores a lost disk."""

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._db = Rdict(str(folder), options=_options(), access_type=AccessType.read_write())
        except Exception as error:
            raise StoreError(f"cannot open the store at {folder}: {error}; {_remedy(error)}") from error
        self._folder, self._sync = folder, WriteOptions()

    def get(self, key: bytes) -> bytes | None:
        row: bytes | None = self._db.get(key)
        return row

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        for key, row in self._db.items(from_key=prefix):
            if not key.startswith(prefix):
                return
            yield key, row

    def seek(self, start: bytes) -> bytes | None:
        key: bytes | None = next(iter(self._db.keys(from_key=start)), None)
        return key

    def write(self, rows: Mapping[bytes, bytes | None]) -> None:
        batch = WriteBatch(raw_mode=True)
        for key, row in rows.items():
            if row is None:
                batch.delete(key)
            else:
                batch.put(key, row)
        try:
            self._db.write(batch, self._sync)
        except Exception as error:
            raise StoreError(
                f"cannot write to the store at {self._folder}: {error}; {_remedy(error)}"
            ) from error

    def close(self) -> None:
        with contextlib.suppress(
            Exception
        ):  # closing twice, or after a failed write, must not hide the first error
            self._db.close()


def _remedy(error: Exception) -> str:
    return next((advice for sign, advice in _REMEDIES.items() if sign in str(error)), "see the cause above")


def _options() -> Options:
    global _block_cache
    if _block_cache is None:
        _block_cache = Cache(BLOCK_CACHE_BYTES)
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.set_write_buffer_size(WRITE_BUFFER_BYTES)
    options.set_max_background_jobs(2)
    options.set_keep_log_file_num(2)
    table = BlockBasedOptions()
    table.set_block_cache(_block_cache)
    table.set_bloom_filter(10, block_based=False)
    options.set_block_based_table_factory(table)
    return options


def in_store_order(view: bytes) -> tuple[int, bytes]:
    """Names of views sort by length first: that is how their rows lie in the store."""
    return len(view), view


def _place(view: bytes) -> bytes:
    """What the keys of a view's rows begin with."""
    return _VIEW_LENGTH.pack(len(view)) + view


def _past(prefix: bytes) -> bytes:
    """The first key beyond all that begin with `prefix`."""
    head = prefix.rstrip(b"\xff")
    return head[:-1] + bytes([head[-1] + 1])


@dataclass(slots=True)
class KeyedStore:
    """Rows under views, with an overlay of batches that are sealed but not yet committed."""

    backend: Backend
    _overlay: dict[bytes, dict[bytes, tuple[int, bytes | None]]] = field(default_factory=dict)
    _writes: dict[tuple[bytes, bytes], bytes | None] = field(default_factory=dict)
    _number: int = 0
    _committed: int = -1

    @property
    def next_offset(self) -> int:
        """Offset of the first input record that this store has not seen; 0 for a new store."""
        row = self.backend.get(_NEXT_OFFSET)
        return int(row) if row else 0

    def check_fingerprint(self, fingerprint: str) -> bool:
        """Whether the rows were written by code with this fingerprint; a new store takes it as its own."""
        held = self.backend.get(_FINGERPRINT)
        if held is None:
            self.backend.write({_FINGERPRINT: fingerprint.encode()})
            return True
        return held == fingerprint.encode()

    def first_partitions(self, partitions: int) -> int:
        """How many partitions its topic had when this store first heard of it; a new store takes `partitions`."""
        held = self.backend.get(_PARTITIONS)
        if held is None:
            self.backend.write({_PARTITIONS: b"%d" % partitions})
            return partitions
        return int(held)

    def get(self, view: bytes, row: bytes) -> bytes | None:
        rows = self._overlay.get(view)
        if rows is not None and row in rows:
            return rows[row][1]
        return self.backend.get(_place(view) + row)

    def load(self, view: bytes) -> dict[bytes, bytes]:
        """All rows of one view."""
        prefix = _place(view)
        rows = {key[len(prefix) :]: row for key, row in self.backend.scan(prefix)}
        for row, (_, value) in self._overlay.get(view, {}).items():
            if value is None:
                rows.pop(row, None)
            else:
                rows[row] = value
        return rows

    def views_after(self, prefix: bytes, after: bytes, views_max: int) -> list[bytes]:
        """The first names of views that start with `prefix` beyond `after` (b"": all), `in_store_order`.

        Costs one look into the store per name, not per row, and one per length of name that there is.
        """
        floor = in_store_order(after)
        beyond = (view for view in self._overlay if view.startswith(prefix) and in_store_order(view) > floor)
        stored = islice(self._stored_views(prefix, after), views_max)
        return sorted({*beyond, *stored}, key=in_store_order)[:views_max]

    def _stored_views(self, prefix: bytes, after: bytes) -> Iterator[bytes]:
        start = _past(_place(after)) if after else _place(prefix)
        while (key := self.backend.seek(start)) is not None:
            (length,) = _VIEW_LENGTH.unpack_from(key)
            view = key[2 : 2 + length]
            if length == _NO_LENGTH:
                return
            if view.startswith(prefix):
                yield view
                start = _past(_place(view))
            else:  # on to where such names begin: of this length, or of the next
                longer = length if view < prefix else length + 1
                start = _VIEW_LENGTH.pack(max(longer, len(prefix))) + prefix

    def put(self, view: bytes, row: bytes, value: bytes | None) -> None:
        """Write one row (None deletes it) in the current batch."""
        self._writes[view, row] = value
        self._overlay.setdefault(view, {})[row] = (self._number, value)

    def seal(self, next_offset: int) -> Sealed:
        """Close the current batch; `next_offset` is the input offset after it. Nothing is durable yet."""
        sealed = Sealed(self._writes, next_offset, self._number)
        self._writes = {}
        self._number += 1
        return sealed

    def commit(self, sealed: Sealed) -> None:
        """Make a sealed batch durable, with its offset, in one write. Batches commit in the order they were sealed."""
        if sealed.number != self._committed + 1:
            raise StoreError(f"batch {sealed.number} committed out of order after {self._committed}")
        length = _VIEW_LENGTH.pack
        rows = {length(len(view)) + view + row: value for (view, row), value in sealed.writes.items()}
        rows[_NEXT_OFFSET] = str(sealed.next_offset).encode()
        self.backend.write(rows)
        self._committed = sealed.number
        for view, row in sealed.writes:
            overlay = self._overlay[view]
            if overlay[row][0] == sealed.number:
                del overlay[row]
                if not overlay:
                    del self._overlay[view]

    def close(self) -> None:
        self.backend.close()
