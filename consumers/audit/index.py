"""Where each record's leaf is: runs of consecutive offsets that have consecutive leaves, in a SQLite file.

The index is a cache of the logs: whatever it says follows from their entries, and it is brought up to date, or made
anew, from them. It is never ahead of a log, since leaves are indexed once they are published; if it seems to be, the
log was put back or exchanged, and all of it is read again. Calls block and raise StoreError; several processes may use
one file, one of them writing at a time.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from xiezhi.audit.leaf import GapLeaf, Leaf, RecordLeaf, TopicLeaf, parse
from xiezhi.audit.reader import AuditLogReader
from xiezhi.errors import AuditStorageError, StoreError
from xiezhi.private_file import create_private

logger = logging.getLogger(__name__)

Place = tuple[str, int]  # topic, partition

#: Entries per transaction while the index is brought up to date: bounds memory and what a crash repeats.
BATCH_LEAVES = 20_000
_BUSY_WAIT_S = 10.0
#: First and last leaves of logs that follow each other; they hold no record.
EPOCH_PREFIX = b"xiezhi-epoch/"
_TABLES = """
CREATE TABLE IF NOT EXISTS runs (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    count INTEGER NOT NULL, log INTEGER NOT NULL, leaf INTEGER NOT NULL,
    PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS gaps (
    topic TEXT NOT NULL, partition INTEGER NOT NULL, offset INTEGER NOT NULL,
    until INTEGER NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (topic, partition, offset)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS topics (
    topic TEXT PRIMARY KEY, cluster TEXT NOT NULL, topic_id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS logs (log INTEGER PRIMARY KEY, size INTEGER NOT NULL, last TEXT NOT NULL);
"""
_NAMES = ("runs", "gaps", "topics", "logs")


@dataclass(frozen=True, slots=True)
class Run:
    """Records `offset` to `offset + count - 1` of a partition are leaf `leaf` and those after it of log `log`."""

    topic: str
    partition: int
    offset: int
    count: int
    log: int
    leaf: int


@dataclass(frozen=True, slots=True)
class Content:
    """What entries of one log say, in the form in which the index keeps it."""

    runs: tuple[Run, ...]
    gaps: tuple[GapLeaf, ...]
    topics: tuple[TopicLeaf, ...]


@dataclass(frozen=True, slots=True)
class IndexContent:
    """What the index says, and up to how many leaves of each log it says it."""

    content: Content
    sizes: Mapping[int, int]


def content_of(log: int, first: int, leaves: Iterable[Leaf | None]) -> Content:
    """The content of leaves that stand from `first` on in log number `log`; None stands for a leaf between logs."""
    runs: list[Run] = []
    gaps: list[GapLeaf] = []
    topics: list[TopicLeaf] = []
    open_runs: dict[Place, Run] = {}
    for index, leaf in enumerate(leaves, first):
        if isinstance(leaf, RecordLeaf):
            place = (leaf.topic, leaf.partition)
            run = open_runs.get(place)
            if run and (run.offset + run.count, run.leaf + run.count) == (leaf.offset, index):
                open_runs[place] = replace(run, count=run.count + 1)
                continue
            if run:
                runs.append(run)
            open_runs[place] = Run(*place, leaf.offset, 1, log, index)
        elif isinstance(leaf, GapLeaf):
            gaps.append(leaf)
        elif isinstance(leaf, TopicLeaf):
            topics.append(leaf)
    return Content((*runs, *open_runs.values()), tuple(gaps), tuple(topics))


class LeafIndex:
    """One index file. An instance belongs to one thread."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection, self._path = connection, path

    @classmethod
    def open(cls, path: Path) -> LeafIndex:
        """Open or create the file; its folder must exist. A file that is no index is replaced by an empty one."""
        try:
            return cls(_connect(path), path)
        except sqlite3.DatabaseError as error:
            if not _is_damaged(error):
                raise StoreError(f"cannot open the index of the audit log, {path}: {error}") from error
            logger.warning("%s is damaged (%s); it is made anew from the log", path, error)
            for each in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
                each.unlink(missing_ok=True)
            return cls(_connect(path), path)

    def close(self) -> None:
        self._connection.close()

    def follow(self, logs: Mapping[int, AuditLogReader]) -> int:
        """Bring the index up to what the logs have published; returns how many leaves were read.

        Raises AuditError when entries cannot be read.
        """
        read = 0
        if any(self._is_beside(number, reader) for number, reader in logs.items()):
            logger.warning("the index is not one of these logs; it is made anew")
            with self._writing():
                for name in _NAMES:
                    self._connection.execute(f"DELETE FROM {name}")  # noqa: S608 -- names are ours
        for number, reader in sorted(logs.items()):
            while done := self._follow_some(number, reader):
                read += done
        return read

    def add(self, log: int, first: int, leaves: Sequence[Leaf], last: bytes) -> bool:
        """Index leaves that were just published, `last` the entry of the last one.

        False when the index is not exactly up to `first`: then nothing happened, and `follow` is needed.
        """
        with self._writing():
            if self._size(log)[0] != first:
                return False
            self._write(log, first + len(leaves), content_of(log, first, leaves), last)
        return True

    def next_offsets(self) -> dict[Place, int]:
        """By partition the offset after the last one that has a leaf or is in a gap."""
        found: dict[Place, int] = {}
        for table, end in (("runs", "offset + count"), ("gaps", "until")):
            query = f"SELECT topic, partition, max({end}) FROM {table} GROUP BY topic, partition"  # noqa: S608
            for topic, partition, after in self._all(query):
                found[topic, partition] = max(after, found.get((topic, partition), 0))
        return found

    def find(self, topic: str, partition: int, offset: int) -> tuple[int, int] | None:
        """(log, leaf) of a record; None when it has none."""
        query = (
            "SELECT offset, count, log, leaf FROM runs WHERE topic = ? AND partition = ? AND offset <= ? "
            "ORDER BY offset DESC LIMIT 1"
        )
        for start, count, log, leaf in self._all(query, (topic, partition, offset)):
            if offset < start + count:
                return log, leaf + offset - start
        return None

    def topics(self) -> dict[str, tuple[str, str]]:
        """By audited topic its cluster and topic id."""
        return {topic: (cluster, id_) for topic, cluster, id_ in self._all("SELECT * FROM topics")}

    def gaps(self) -> list[tuple[str, int, int, int, str]]:
        """Recorded gaps: topic, partition, first offset, the one after the last, reason."""
        return list(self._all("SELECT * FROM gaps ORDER BY topic, partition, offset"))

    def sizes(self) -> dict[int, int]:
        """By log how many of its leaves are indexed."""
        return dict(self._all("SELECT log, size FROM logs"))

    def content(self) -> IndexContent:
        """All of it, as of one moment."""
        with self._writing():
            runs = tuple(Run(*row) for row in self._all("SELECT * FROM runs"))
            gaps = tuple(GapLeaf(*row) for row in self._all("SELECT *, 0 FROM gaps"))
            topics = tuple(TopicLeaf(*row) for row in self._all("SELECT *, 0 FROM topics"))
            return IndexContent(Content(runs, gaps, topics), self.sizes())

    def _is_beside(self, number: int, reader: AuditLogReader) -> bool:
        size, last = self._size(number)
        if size > reader.latest().size:
            return True
        return bool(size) and _digest(next(reader.entries(size - 1, size))) != last

    def _follow_some(self, number: int, reader: AuditLogReader) -> int:
        with self._writing():
            size, _ = self._size(number)
            entries = list(reader.entries(size, min(reader.latest().size, size + BATCH_LEAVES)))
            if entries:
                leaves = [None if entry.startswith(EPOCH_PREFIX) else parse(entry) for entry in entries]
                self._write(number, size + len(entries), content_of(number, size, leaves), entries[-1])
        return len(entries)

    def _size(self, log: int) -> tuple[int, str]:
        found = list(self._all("SELECT size, last FROM logs WHERE log = ?", (log,)))
        return found[0] if found else (0, "")

    def _write(self, log: int, size: int, content: Content, last: bytes) -> None:
        runs = [(r.topic, r.partition, r.offset, r.count, r.log, r.leaf) for r in content.runs]
        gaps = [(g.topic, g.partition, g.offset, g.until, g.reason) for g in content.gaps]
        topics = [(t.topic, t.cluster, t.topic_id) for t in content.topics]
        self._connection.executemany("INSERT OR REPLACE INTO runs VALUES (?, ?, ?, ?, ?, ?)", runs)
        self._connection.executemany("INSERT OR REPLACE INTO gaps VALUES (?, ?, ?, ?, ?)", gaps)
        self._connection.executemany("INSERT OR REPLACE INTO topics VALUES (?, ?, ?)", topics)
        self._connection.execute("INSERT OR REPLACE INTO logs VALUES (?, ?, ?)", (log, size, _digest(last)))

    def _all(self, query: str, values: Sequence[object] = ()) -> Iterator[Any]:
        with self._reporting():
            yield from self._connection.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """A transaction that takes effect as a whole or not at all; other writers wait for it."""
        with self._reporting():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if "disk is full" in str(error) or "disk I/O error" in str(error):
                raise AuditStorageError(f"the index of the audit log, {self._path}: {error}") from error
            raise StoreError(
                f"the index of the audit log, {self._path}: {error}; if it is damaged, stop the audit service and "
                "delete it: it is made anew from the log"
            ) from error


def _connect(path: Path) -> sqlite3.Connection:
    with suppress(OSError):  # SQLite will say what is wrong
        create_private(path)
    connection = sqlite3.connect(path, timeout=_BUSY_WAIT_S, isolation_level=None)
    # A power cut may take the last transactions, never the order of them: what is lost is read again from the log.
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    connection.executescript(_TABLES)
    return connection


def _is_damaged(error: sqlite3.DatabaseError) -> bool:
    return "not a database" in str(error) or "malformed" in str(error)


def _digest(entry: bytes) -> str:
    return sha256(entry).hexdigest()
