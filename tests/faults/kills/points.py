"""Where a kill landed, read from what it left: offsets, stores and outputs, before the service is started again.

Nothing is asked of the service. Its group says what it acknowledged; its own store says what it had written; its output
topics say what it had sent. Whatever cannot be read (the broker is away, a store is half made) is UNSEEN, not guessed.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rocksdict import AccessType, Options, Rdict

from consumers.alerts.database import path_of
from consumers.audit.folder import AuditFolder
from consumers.audit.index import LeafIndex
from streams.facts import Filing, split_filing
from xiezhi.contracts.naming import ALERT, RELATION, fact_topic
from xiezhi.errors import BadRecordError, XiezhiError
from xiezhi.lag import PartitionLag
from xiezhi.log import LogReader, RawRecord
from xiezhi.settings import Settings
from xiezhi.store import KeyedStore

Place = tuple[str, int]  # topic, partition
#: Records looked at from the end of an output partition: more than a worker sends between two writes of its state.
TAIL_RECORDS = 500
#: A position is a generation above this many bits of offset (streams/judge.py).
_OFFSET = (1 << 44) - 1


class Point(StrEnum):
    """The stage of its work in which a service was killed."""

    STARTING = "starting or recovering: it had acknowledged nothing since its start"
    OUTPUTS_AHEAD = "outputs sent, the state behind them not written"
    STATE_AHEAD = "state written, the input not acknowledged"
    INPUT_WAITING = "input not acknowledged, nothing of it written"
    IDLE = "no input waiting"
    NO_INPUT = "it has no input"  # clock, monitor and broker
    UNSEEN = "not to be seen: the broker was away"


@dataclass(frozen=True)
class Landing:
    """Where one kill landed, and how many records were not acknowledged then."""

    point: Point
    unacknowledged: int = 0


def landing(service: str, settings: Settings, lags: Sequence[PartitionLag], *, acknowledged: bool) -> Landing:
    """Of a service that has just been killed.

    `lags` is its group after that; `acknowledged`: whether it had acknowledged anything since its start.
    """
    waiting = {(one.topic, one.partition): one for one in lags if one.records}
    if service not in _STATES:
        return Landing(Point.NO_INPUT)
    records = sum(one.records for one in waiting.values())
    if not waiting:
        return Landing(Point.IDLE)
    if not acknowledged:
        return Landing(Point.STARTING, records)
    try:
        state = _STATES[service](settings, waiting)
        sent = _OUTPUTS[service](settings) if service in _OUTPUTS else {}
    except (XiezhiError, sqlite3.Error):
        return Landing(Point.UNSEEN, records)
    if any(sent.get(place, -1) >= state.get(place, lag.committed) for place, lag in waiting.items()):
        return Landing(Point.OUTPUTS_AHEAD, records)
    if any(state.get(place, 0) > lag.committed for place, lag in waiting.items()):
        return Landing(Point.STATE_AHEAD, records)
    return Landing(Point.INPUT_WAITING, records)


# What a service had written: the input offset after it, by partition.


@dataclass(frozen=True)
class _ReadOnly:
    """A RocksDB store as its killed owner left it; looking changes nothing."""

    db: Rdict

    @classmethod
    @contextlib.contextmanager
    def of(cls, folder: Path) -> Iterator[_ReadOnly]:
        db = Rdict(str(folder), options=Options(raw_mode=True), access_type=AccessType.read_only())
        try:
            yield cls(db)
        finally:
            db.close()

    def get(self, key: bytes) -> bytes | None:
        row: bytes | None = self.db.get(key)
        return row

    def scan(self, prefix: bytes) -> Iterator[tuple[bytes, bytes]]:
        raise NotImplementedError

    def seek(self, start: bytes) -> bytes | None:
        raise NotImplementedError

    def write(self, rows: Mapping[bytes, bytes | None]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


def _stores(service: str) -> Callable[[Settings, Mapping[Place, PartitionLag]], dict[Place, int]]:
    def read(settings: Settings, waiting: Mapping[Place, PartitionLag]) -> dict[Place, int]:
        found = {}
        for topic, partition in waiting:
            folder = settings.data_dir / service / settings.worker / f"{topic}-{partition}"
            if (folder / "CURRENT").exists():  # else nothing was written there yet
                with _ReadOnly.of(folder) as backend:
                    found[topic, partition] = KeyedStore(backend).next_offset
        return found

    return read


def _alerts(settings: Settings, waiting: Mapping[Place, PartitionLag]) -> dict[Place, int]:
    with closing(sqlite3.connect(path_of(settings))) as connection:
        rows = connection.execute("SELECT topic, partition, next_offset FROM offsets").fetchall()
    return {(topic, partition): offset for topic, partition, offset in rows}


def _leaves(settings: Settings, waiting: Mapping[Place, PartitionLag]) -> dict[Place, int]:
    with closing(LeafIndex.open(AuditFolder.of(settings).index)) as index:
        return index.next_offsets()


# What a service had sent: the largest input offset of which something is on the broker, by partition.


def _tail(log: LogReader, topic: str, partition: int) -> Iterator[RawRecord]:
    low, high = log.range(topic, partition)
    for chunk in log.read(topic, partition, max(low, high - TAIL_RECORDS), high):
        yield from chunk


def _facts(settings: Settings) -> dict[Place, int]:
    sent: dict[Place, int] = {}
    with LogReader(settings.bootstrap_servers) as log:
        topic = fact_topic(settings.generation)
        for partition in range(log.partitions(topic)):
            for raw in _tail(log, topic, partition):
                filing, _ = split_filing(raw.headers)
                if filing is not None:  # else a tick or an activation
                    with contextlib.suppress(BadRecordError):
                        source = Filing.from_bytes(filing).source
                        place = (source.topic, source.partition)
                        sent[place] = max(sent.get(place, -1), source.offset)
    return sent


def _statements(settings: Settings) -> dict[Place, int]:
    sent: dict[Place, int] = {}
    facts = fact_topic(settings.generation)
    with LogReader(settings.bootstrap_servers) as log:
        for topic in (ALERT, RELATION):
            for partition in range(log.partitions(topic)):
                for raw in _tail(log, topic, partition):
                    position = int(dict(raw.headers).get("ce_recordversion") or b"-1") & _OFFSET
                    place = (facts, partition)  # statements stand on the partition of their facts
                    sent[place] = max(sent.get(place, -1), position)
    return sent


_STATES: Mapping[str, Callable[[Settings, Mapping[Place, PartitionLag]], dict[Place, int]]] = {
    "router": _stores("router"),
    "judge": _stores("judge"),
    "alert-store": _alerts,
    "audit": _leaves,
}
_OUTPUTS: Mapping[str, Callable[[Settings], dict[Place, int]]] = {"router": _facts, "judge": _statements}
WITH_INPUT = tuple(_STATES)
