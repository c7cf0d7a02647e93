"""The access outbox: where an access to the alert store is durable before content is shown, broker or no broker.

It lies in the database that is read: whoever can read alerts can record that, and who cannot record it is shown
nothing. `forwarding.py` takes it to the bus. Calls block and raise StoreError.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager

from sqlalchemy import Engine, delete, func, insert, select

from consumers.alerts.database import connect, reading, url_of, writing
from consumers.alerts.tables import outbox
from xiezhi.access import Act, accesses, purpose_of, refusing
from xiezhi.contracts.access import Access, Action
from xiezhi.errors import StoreError
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

#: Records that may wait: years of a desk's work, and an end for a script that reads while no service ever runs.
WAITING_MAX = 100_000

Note = Callable[[Action, Sequence[str]], None]


class AccessOutbox:
    """Access records on their way to the bus. The tables must exist (`AlertStore.open`)."""

    def __init__(self, engine: Engine, *, waiting_max: int = WAITING_MAX) -> None:
        self._engine, self._waiting_max = engine, waiting_max

    def put(self, records: Sequence[Access]) -> None:
        """Durable when this returns, if the engine is; nothing of it is there when it raises."""
        rows = [
            {"record_id": one.record_id, "accessed_ms": one.accessed_ms, "content": one.model_dump_json()}
            for one in records
        ]
        with writing(self._engine) as connection:
            waiting = connection.scalar(select(func.count()).select_from(outbox)) or 0
            if waiting + len(rows) > self._waiting_max:
                raise StoreError(
                    f"{waiting:,} accesses wait to be forwarded and no more are taken; start the services (`make up`)"
                )
            connection.execute(insert(outbox), rows)

    def waiting(self, limit: int) -> tuple[Access, ...]:
        """The oldest that were not yet forwarded."""
        return tuple(Access.model_validate_json(content) for content in self.rows(limit).values())

    def rows(self, limit: int, *, without: Collection[str] = ()) -> dict[str, str]:
        """The same as record id → JSON, unread: whatever somebody wrote there. Passes over the ids in `without`."""
        query = select(outbox.c.record_id, outbox.c.content).order_by(
            outbox.c.accessed_ms, outbox.c.record_id
        )
        with reading(self._engine) as connection:
            found = connection.execute(query.where(outbox.c.record_id.not_in(without)).limit(limit))
            return {row.record_id: row.content for row in found}

    def forwarded(self, record_ids: Sequence[str]) -> None:
        """The bus has these; they need not wait any longer."""
        with writing(self._engine) as connection:
            connection.execute(delete(outbox).where(outbox.c.record_id.in_(record_ids)))

    def close(self) -> None:
        self._engine.dispose()


@contextmanager
def trail(settings: Settings, command: str, *, purpose: str) -> Iterator[Note]:
    """A function that records a look at alerts, durable when it returns; content is shown only after that.

    Raises AccessRefusedError, at once where a purpose is due and none is stated.
    """
    purpose_of(settings, command, purpose)
    with closing(
        AccessOutbox(connect(url_of(settings)))
    ) as opened:  # durable, unlike the reader's own connection

        def note(action: Action, alert_ids: Sequence[str]) -> None:
            act = Act(action, "alert", tuple(alert_ids), command)
            records = accesses(settings, act, purpose=purpose, now_ms=now_ms())
            with refusing(act):
                opened.put(records)

        yield note
