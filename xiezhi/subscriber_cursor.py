"""The memory of one subscriber: which position it holds for each alert, and how far it read the topic.

One SQLite file, both in one transaction, durable when a call returns. The file belongs to one open cursor at a time: a
second process with the same name would do everything twice, so it is refused.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from xiezhi.contracts.alert import Alert
from xiezhi.errors import ConfigurationError, StoreError
from xiezhi.log import RawRecord

_TABLES = """
BEGIN EXCLUSIVE;
CREATE TABLE IF NOT EXISTS positions (alert_id TEXT PRIMARY KEY, position INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS offsets (partition INTEGER PRIMARY KEY, next_offset INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS cluster (id TEXT NOT NULL);
COMMIT;
"""
_HOLD = """
INSERT INTO positions VALUES (?, ?)
ON CONFLICT (alert_id) DO UPDATE SET position = max(position, excluded.position)
"""
_MOVE = """
INSERT INTO offsets VALUES (?, ?)
ON CONFLICT (partition) DO UPDATE SET next_offset = max(next_offset, excluded.next_offset)
"""


class SubscriberCursor:
    """Opens or creates the file; its folder is created too. Not thread-safe. All calls raise StoreError."""

    def __init__(self, path: Path) -> None:
        self._path = path
        with self._reporting():
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=1.0, isolation_level=None)
        try:
            with self._reporting():
                self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
                self._connection.execute("PRAGMA journal_mode = WAL")
                self._connection.execute("PRAGMA synchronous = FULL")
                self._connection.executescript(_TABLES)
        except StoreError:
            self._connection.close()
            raise

    def position(self, alert_id: str) -> int | None:
        """The greatest position acknowledged for this alert."""
        with self._reporting():
            found = self._connection.execute("SELECT position FROM positions WHERE alert_id = ?", (alert_id,))
            row = found.fetchone()
        return None if row is None else int(row[0])

    def next_offsets(self) -> dict[int, int]:
        """Partition → offset to read on from."""
        with self._reporting():
            return dict(self._connection.execute("SELECT partition, next_offset FROM offsets"))

    def save(self, next_offsets: Mapping[int, int], held: tuple[str, int] | None = None) -> None:
        """Store how far was read and, with it, the (alert id, position) that was acknowledged."""
        with self._reporting(), self._transaction():
            if held is not None:
                self._connection.execute(_HOLD, held)
            self._connection.executemany(_MOVE, next_offsets.items())

    def claim(self, cluster_id: str) -> None:
        """Tie the file to one cluster. Raises ConfigurationError when it was filled from another one."""
        with self._reporting():
            row = self._connection.execute("SELECT id FROM cluster").fetchone()
            if row is None:
                self._connection.execute("INSERT INTO cluster VALUES (?)", (cluster_id,))
        if row is not None and row[0] != cluster_id:
            raise ConfigurationError(
                f"{self._path} remembers alerts of another Kafka cluster ({row[0]}, this one is {cluster_id}); "
                "choose another subscriber name or move the file away"
            )

    def close(self) -> None:
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    @contextmanager
    def _reporting(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            remedy = "make sure that the disk has room and that this user may write there"
            if "locked" in str(error):
                remedy = "another process has it open: one subscriber of a name runs at a time"
            raise StoreError(f"subscriber cursor {self._path}: {error}; {remedy}") from error


class Progress:
    """Which offsets were read, which deliveries are open, and from where to read after a restart."""

    def __init__(self) -> None:
        self.delivered: dict[str, int] = {}  # alert id → greatest position that waits for acknowledge
        self.unsaved = 0
        self._read: dict[int, int] = {}  # partition → offset after the last record read
        self._open: dict[int, dict[int, None]] = {}  # partition → offsets of open deliveries, ascending

    @property
    def unacknowledged(self) -> int:
        return sum(map(len, self._open.values()))

    def pass_over(self, record: RawRecord) -> None:
        self._read[record.partition] = record.offset + 1
        self.unsaved += 1

    def deliver(self, record: RawRecord, alert: Alert) -> None:
        self.pass_over(record)
        self._open.setdefault(record.partition, {})[record.offset] = None
        self.delivered[alert.record_id] = alert.position

    def acknowledge(self, record: RawRecord, alert: Alert) -> bool:
        """Close the delivery; False when it was closed before."""
        still_open = self._open.get(record.partition, {})
        if record.offset not in still_open:
            return False
        del still_open[record.offset]
        if self.delivered.get(alert.record_id) == alert.position:
            del self.delivered[alert.record_id]
        return True

    def next_offsets(self) -> dict[int, int]:
        """Up to the first open delivery; what was acknowledged beyond it is known by its position."""
        return {part: next(iter(self._open.get(part, ())), after) for part, after in self._read.items()}
