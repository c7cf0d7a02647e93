"""Tables of the alert store, in SQL that SQLite and PostgreSQL both understand.

`alerts` holds the statement that stands for each alert, `alert_history` every statement that was accepted. `offsets`
says how far the topic was read, in the same transaction as the effect. `seq` numbers accepted statements in the order
in which they became visible, so that a follower who remembers one number misses nothing.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, MetaData, String, Table, Text

#: Raised whenever a table changes shape; an older program refuses a newer database and the other way round.
SCHEMA_VERSION = "2"
#: The version that lacks the outbox and nothing else.
BEFORE_OUTBOX = "1"

metadata = MetaData()


def _statement_columns() -> tuple[Column[Any], ...]:
    return (
        Column("position", BigInteger, nullable=False),
        Column("state", String(10), nullable=False),
        Column("severity", String(10), nullable=False),
        Column("handling", String(10), nullable=False),
        Column("rule_id", Text, nullable=False),
        Column("jurisdiction", String(12), nullable=False),
        Column("occurred_ms", BigInteger, nullable=False),
        Column("ingested_ms", BigInteger, nullable=False),
        Column("judged_ms", BigInteger, nullable=False),
        Column("said_ms", BigInteger, nullable=False),  # append time of the statement itself
        Column("stored_ms", BigInteger, nullable=False),
        Column("topic", String(249), nullable=False),
        Column("partition", Integer, nullable=False),
        Column("offset", BigInteger, nullable=False),
        Column("event_id", String(36), nullable=False),
        Column("traceparent", String(55), nullable=False),
        Column("content", Text, nullable=False),  # the alert as JSON
    )


alerts = Table(
    "alerts",
    metadata,
    Column("alert_id", String(200), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    *_statement_columns(),
    Index("alerts_by_seq", "seq", unique=True),
)

history = Table(
    "alert_history",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("alert_id", String(200), nullable=False),
    *_statement_columns(),
    Index("alert_history_by_alert", "alert_id", "position", unique=True),
)

#: One row. Updating it first makes writers queue, so that `seq` grows in the order of commits on every database.
sequence = Table(
    "sequence",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last_seq", BigInteger, nullable=False),
)

offsets = Table(
    "offsets",
    metadata,
    Column("topic", String(249), primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("next_offset", BigInteger, nullable=False),
)

cursors = Table(
    "cursors",
    metadata,
    Column("name", String(100), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("filters", Text, nullable=False),
    Column("moved_ms", BigInteger, nullable=False),
)

#: Accesses that the trail on the bus does not have yet: written before content is shown, deleted once delivered.
outbox = Table(
    "access_outbox",
    metadata,
    Column("record_id", String(200), primary_key=True),
    Column("accessed_ms", BigInteger, nullable=False),
    Column("content", Text, nullable=False),  # the access record as JSON
    Index("access_outbox_by_time", "accessed_ms"),
)

meta = Table(
    "meta",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("value", Text, nullable=False),
)
