"""The alert store: applies statements from the alert topic and answers questions about them.

A statement takes effect only beyond the position held for its alert, and the effect is stored in one transaction with
the offset after it. So a batch may be applied twice, in part again, or by two processes at once, and the result is the
same. Calls block; all raise StoreError when the database fails, after which nothing of the call took effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    bindparam,
    delete,
    exists,
    insert,
    or_,
    select,
    update,
)
from sqlalchemy.engine import RowMapping

from consumers.alerts import tables
from consumers.alerts.database import connect, prepare, reading, writing
from consumers.alerts.outbox import AccessOutbox
from consumers.alerts.statement import Filter, Statement, Stored, accept

Place = tuple[str, int]  # topic, partition

#: Bound parameters in one question; SQLite's own limit is 32,766, PostgreSQL's 65,535.
_PARAMETERS_MAX = 1_000

#: What is asked and written with every batch, made once: making a statement takes longer than a small one runs.
_HOLD_SEQUENCE = update(tables.sequence).values(last_seq=tables.sequence.c.last_seq)
_LAST_SEQ = select(tables.sequence.c.last_seq)
_MOVE_SEQUENCE = update(tables.sequence).values(last_seq=bindparam("moved_to"))
_HELD = select(tables.alerts.c.alert_id, tables.alerts.c.position).where(
    tables.alerts.c.alert_id.in_(bindparam("ids", expanding=True))
)
_REPLACED = delete(tables.alerts).where(tables.alerts.c.alert_id == bindparam("replaced_id"))
_OFFSETS = select(tables.offsets.c.partition, tables.offsets.c.next_offset).where(
    tables.offsets.c.topic == bindparam("of_topic")
)
_HERE = (tables.offsets.c.topic == bindparam("of_topic")) & (
    tables.offsets.c.partition == bindparam("of_partition")
)
_OFFSET = select(tables.offsets.c.next_offset).where(_HERE)
_MOVE_OFFSET = update(tables.offsets).where(_HERE).values(next_offset=bindparam("moved_to"))


@dataclass(frozen=True, slots=True)
class Page:
    """Statements in the order of `seq`, and the number up to which nothing else fits the filter."""

    statements: tuple[Stored, ...]
    upto_seq: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a named reader got, and with which filter."""

    name: str
    seq: int
    filters: str


class AlertStore:
    """One database of alerts. Safe to use from several processes; one instance belongs to one thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        prepare(engine)
        self.outbox = AccessOutbox(engine)

    @classmethod
    def open(cls, url: str, *, durable: bool = True) -> AlertStore:
        """Open the database at `url` and create missing tables. The folder of a SQLite file must exist."""
        return cls(connect(url, durable=durable))

    def close(self) -> None:
        self._engine.dispose()

    # What the consumer writes

    def apply(
        self, statements: Sequence[Statement], next_offsets: Mapping[Place, int], *, stored_ms: int
    ) -> tuple[Stored, ...]:
        """Store what takes effect of `statements`, and where to read on. Durable when this returns."""
        with writing(self._engine) as connection:
            last_seq = _queue_up(connection)
            held = _positions(connection, {statement.alert.record_id for statement in statements})
            accepted = accept(held, statements)
            stored = tuple(
                Stored(seq, stored_ms, statement) for seq, statement in enumerate(accepted, last_seq + 1)
            )
            _write(connection, stored)
            _move_offsets(connection, next_offsets)
        return stored

    def next_offsets(self, topic: str) -> dict[int, int]:
        """Partition → offset to read on from."""
        with reading(self._engine) as connection:
            rows = connection.execute(_OFFSETS, {"of_topic": topic})
            return {row.partition: row.next_offset for row in rows}

    def claim(self, cluster_id: str) -> str:
        """The cluster whose log this database holds: `cluster_id` from the first call on."""
        with writing(self._engine) as connection:
            _queue_up(connection)
            query = select(tables.meta.c.value).where(tables.meta.c.name == "cluster")
            found: str | None = connection.scalar(query)
            if found is None:
                connection.execute(insert(tables.meta).values(name="cluster", value=cluster_id))
            return found or cluster_id

    # What readers ask

    def standing(self, wanted: Filter, *, limit: int, said_at_ms: int | None = None) -> tuple[Stored, ...]:
        """The statement that stands for each alert that fits `wanted`, newest first; or that stood at an instant.

        An alert that another statement made fit later, or no longer fit, is asked for by what was said then.
        """
        table = tables.alerts if said_at_ms is None else tables.history
        query = select(table).where(wanted.clause(table))
        if said_at_ms is not None:
            query = query.where(tables.history.c.said_ms <= said_at_ms, ~_followed_by(said_at_ms))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(table.c.seq.desc()).limit(limit)).mappings()
            return tuple(Stored.from_row(row) for row in rows)

    def find(self, prefix: str, *, limit: int) -> tuple[str, ...]:
        """Ids of alerts that begin with `prefix`; the one that equals it comes first."""
        column = tables.alerts.c.alert_id
        query = select(column).where(column.startswith(prefix, autoescape=True)).order_by(column)
        with reading(self._engine) as connection:
            return tuple(connection.scalars(query.limit(limit)))

    def history(self, alert_id: str) -> tuple[Stored, ...]:
        """Every accepted statement about one alert, oldest first; the last one stands."""
        query = select(tables.history).where(tables.history.c.alert_id == alert_id)
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(tables.history.c.seq)).mappings()
            return tuple(Stored.from_row(row) for row in rows)

    def last_seq(self) -> int:
        with reading(self._engine) as connection:
            return _last_seq(connection)

    def after(self, seq: int, wanted: Filter, *, limit: int) -> Page:
        """Statements beyond `seq` that fit `wanted`, and those about alerts that fitted before.

        Who was told of a red alert is also told when a correction makes it yellow.
        """
        earlier = tables.history.alias("earlier")
        fitted_before = exists().where(
            earlier.c.alert_id == tables.history.c.alert_id,
            earlier.c.seq < tables.history.c.seq,
            wanted.clause(earlier),
        )
        with reading(self._engine) as connection:
            head = _last_seq(connection)
            query = select(tables.history).where(
                tables.history.c.seq > seq,
                tables.history.c.seq <= head,
                or_(wanted.clause(tables.history), fitted_before),
            )
            rows = connection.execute(query.order_by(tables.history.c.seq).limit(limit)).mappings().all()
        found = tuple(Stored.from_row(row) for row in rows)
        return Page(found, found[-1].seq if len(found) == limit else max(head, seq))

    # Named cursors

    def cursor(self, name: str) -> Cursor | None:
        query = select(tables.cursors).where(tables.cursors.c.name == name)
        with reading(self._engine) as connection:
            row: RowMapping | None = connection.execute(query).mappings().one_or_none()
        return None if row is None else Cursor(row["name"], row["seq"], row["filters"])

    def place_cursor(self, cursor: Cursor, *, moved_ms: int) -> None:
        """Put a named cursor where it is said to be, forwards or back."""
        row = {"seq": cursor.seq, "filters": cursor.filters, "moved_ms": moved_ms}
        table = tables.cursors
        with writing(self._engine) as connection:
            moved = connection.execute(update(table).where(table.c.name == cursor.name).values(row))
            if moved.rowcount == 0:
                connection.execute(insert(table).values(name=cursor.name, **row))


def _followed_by(said_at_ms: int) -> ColumnElement[bool]:
    """Whether a later statement about the same alert had been said by then."""
    later = tables.history.alias("later")
    return exists().where(
        later.c.alert_id == tables.history.c.alert_id,
        later.c.position > tables.history.c.position,
        later.c.said_ms <= said_at_ms,
    )


def _queue_up(connection: Connection) -> int:
    """Wait for other writers to commit, then say the last number given out."""
    connection.execute(_HOLD_SEQUENCE)
    return _last_seq(connection)


def _last_seq(connection: Connection) -> int:
    return int(connection.execute(_LAST_SEQ).scalar_one())


def _positions(connection: Connection, alert_ids: set[str]) -> dict[str, int]:
    """Alert id → position held."""
    ids, held = sorted(alert_ids), {}
    for start in range(0, len(ids), _PARAMETERS_MAX):
        rows = connection.execute(_HELD, {"ids": ids[start : start + _PARAMETERS_MAX]})
        held.update({row.alert_id: row.position for row in rows})
    return held


def _write(connection: Connection, stored: Sequence[Stored]) -> None:
    if not stored:
        return
    rows = [one.statement.to_row(one.seq, one.stored_ms) for one in stored]
    connection.execute(insert(tables.history), rows)
    standing = {row["alert_id"]: row for row in rows}
    connection.execute(_REPLACED, [{"replaced_id": alert_id} for alert_id in standing])
    connection.execute(insert(tables.alerts), list(standing.values()))
    connection.execute(_MOVE_SEQUENCE, {"moved_to": rows[-1]["seq"]})


def _move_offsets(connection: Connection, next_offsets: Mapping[Place, int]) -> None:
    """Forwards only: a process that lost its partition may still write, and must not make others read again."""
    for (topic, partition), next_offset in sorted(next_offsets.items()):
        here = {"of_topic": topic, "of_partition": partition}
        held = connection.scalar(_OFFSET, here)
        if held is None:
            row = {"topic": topic, "partition": partition, "next_offset": next_offset}
            connection.execute(insert(tables.offsets), row)
        elif held < next_offset:
            connection.execute(_MOVE_OFFSET, {**here, "moved_to": next_offset})
