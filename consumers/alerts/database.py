"""Opening the alert store's database: SQLite with a write-ahead log by default, PostgreSQL by its URL.

Errors of the database become StoreError with what to do next; none of them is worth staying alive for, since the
supervisor restarts the process and the offsets are in the same database as the effects.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, insert, inspect, make_url, select, update
from sqlalchemy.exc import SQLAlchemyError

from consumers.alerts.tables import BEFORE_OUTBOX, SCHEMA_VERSION, meta, metadata, outbox, sequence
from xiezhi.errors import ConfigurationError, StoreError
from xiezhi.private_file import create_private
from xiezhi.settings import Settings

#: How long a writer waits for another one before it gives up. A batch takes milliseconds.
BUSY_WAIT_MS = 10_000

_MAKE_ROOM = "free some space there: nothing is lost, services go on by themselves"
_REMEDIES = {
    "disk is full": _MAKE_ROOM,
    "disk I/O error": _MAKE_ROOM,
    "database is locked": "another program holds the database; close it, then start again",
    "readonly database": "make the file and its folder writable for this user",
    "unable to open": "make sure that the folder exists and is writable for this user",
    "not a database": "the file is damaged or something else; move it away, the store is filled again from the log",
    "malformed": "the file is damaged; move it away, the store is filled again from the log",
}


def path_of(settings: Settings) -> Path:
    return settings.data_dir / "alerts.sqlite3"


def url_of(settings: Settings) -> str:
    return f"sqlite:///{path_of(settings)}"


def connect(url: str, *, durable: bool = True) -> Engine:
    """An engine on the database at `url`. `durable` makes every commit wait for the disk (SQLite)."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        if engine.url.database:
            with suppress(OSError):  # the database will say what is wrong, with what to do about it
                create_private(Path(engine.url.database))  # alerts name suspects
        _tune_sqlite(engine, durable=durable)
    return engine


def _tune_sqlite(engine: Engine, *, durable: bool) -> None:
    def connected(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # the driver would begin late and let two reads differ
        for pragma in (
            f"busy_timeout={BUSY_WAIT_MS}",
            "journal_mode=WAL",
            f"synchronous={'FULL' if durable else 'NORMAL'}",
        ):
            connection.execute(f"PRAGMA {pragma}")

    def begun(connection: Connection) -> None:
        # A writer that began as a reader would fail instead of waiting when another one commits meanwhile.
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    event.listen(engine, "connect", connected)
    event.listen(engine, "begin", begun)


def prepare(engine: Engine) -> None:
    """Create what is missing. Raises ConfigurationError when the tables belong to another program version."""
    with reading(engine) as connection:
        exists = inspect(connection).has_table(meta.name)
    if not exists:
        _create(engine)
    with reading(engine) as connection:
        found = connection.scalar(select(meta.c.value).where(meta.c.name == "schema"))
    if found == BEFORE_OUTBOX:
        found = _add_outbox(engine)
    if found != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{_name(engine)} has tables of version {found}, this program needs {SCHEMA_VERSION}: start the matching "
            "program, or move the database away and let the store fill it again from the log"
        )


def _create(engine: Engine) -> None:
    with writing(engine) as connection:
        metadata.create_all(connection)
        if connection.scalar(select(sequence.c.last_seq)) is None:  # else another process was faster
            connection.execute(insert(sequence).values(id=1, last_seq=0))
            connection.execute(insert(meta).values(name="schema", value=SCHEMA_VERSION))


def _add_outbox(engine: Engine) -> str:
    """Version 2 is version 1 with an outbox; a file is not refilled from the log for that."""
    with writing(engine) as connection:
        outbox.create(connection, checkfirst=True)
        connection.execute(update(meta).where(meta.c.name == "schema").values(value=SCHEMA_VERSION))
    return SCHEMA_VERSION


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that sees one state of the database."""
    with _reporting(engine), engine.begin() as connection:
        yield connection


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """A transaction that takes effect as a whole when the block ends, or not at all."""
    with (
        _reporting(engine),
        engine.connect().execution_options(writes=True) as connection,
        connection.begin(),
    ):
        yield connection


@contextmanager
def _reporting(engine: Engine) -> Iterator[None]:
    """Turns errors of the database into StoreError."""
    try:
        yield
    except SQLAlchemyError as error:
        cause = str(getattr(error, "orig", None) or type(error).__name__)
        remedy = next((advice for sign, advice in _REMEDIES.items() if sign in cause), "see the cause above")
        raise StoreError(f"alert store {_name(engine)}: {cause}; {remedy}") from error


def _name(engine: Engine) -> str:
    """The file, or the URL without its password."""
    return make_url(engine.url).database or engine.url.render_as_string(hide_password=True)
