"""The alert store's service on a simulated broker: the real service and store, a consumer that is simulated.

Its database outlives it. It can be killed at any statement of a transaction, after the commit, and before its group is
told; it can live on as a zombie that writes into the same database; and the database can be lost, to be filled again
from the log.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cache
from typing import Any

from confluent_kafka import TopicPartition
from sqlalchemy import Engine, delete, event, update

from consumers.alerts import tables
from consumers.alerts.database import connect, prepare, writing
from consumers.alerts.rejection import Rejected
from consumers.alerts.service import AlertStoreService
from consumers.alerts.store import AlertStore
from tests.simulation.broker import Place
from tests.simulation.processes import Site
from tests.simulation.timeline import Action
from tests.simulation.world import CODEC
from xiezhi.contracts.naming import ALERT
from xiezhi.groups import ALERT_STORE
from xiezhi.log import RawRecord

#: How long it waits for more, on average.
PATIENCE_MS = (20.0, 300.0, 1_500.0)
#: Statements that a transaction makes at most, and the commit itself.
STATEMENTS_MAX = 10


class StoreDiedError(Exception):
    """The service was killed in the middle of a transaction."""


class Database:
    """SQLite in memory, of which a transaction may be cut short."""

    def __init__(self) -> None:
        self.engine: Engine = connect("sqlite://")
        self._stores: dict[type[AlertStore], AlertStore] = {}
        self.lives: int | None = None  # so many statements are still made
        prepare(self.engine)
        event.listen(self.engine, "before_cursor_execute", self._live)
        event.listen(self.engine, "commit", self._live)

    def opened_by(self, kind: type[AlertStore]) -> AlertStore:
        """Looking whether all tables are there takes as long as a hundred events."""
        if kind not in self._stores:
            self._stores[kind] = kind(self.engine)
        return self._stores[kind]

    def empty(self) -> None:
        """As if the file were gone, but sooner."""
        self.lives = None
        with writing(self.engine) as connection:
            for table in (tables.alerts, tables.history, tables.offsets):
                connection.execute(delete(table))
            connection.execute(update(tables.sequence).values(last_seq=0))

    def _live(self, *_: Any) -> None:
        if self.lives is not None:
            self.lives -= 1
            if self.lives < 0:
                self.lives = None
                raise StoreDiedError


@cache
def shared_database() -> Database:
    """Creating tables takes longer than emptying them."""
    return Database()


class StoreProcess:
    """One life of the service. Stands for the consumer that the service is given."""

    def __init__(
        self,
        site: Site,
        service: type[AlertStoreService],
        store: AlertStore,
        generation: int,
        on_death: Action,
    ) -> None:
        self._site, self._generation, self._on_death = site, generation, on_death
        self._patience_ms = site.chance.choice(PATIENCE_MS)
        self._batch_records = site.chance.choice((1, 4, 500))
        self._positions: dict[int, int] = {}
        self._look_is_due = False
        self.is_dead = False
        self.service = service(
            consumer=self,
            codec=CODEC.codec,
            store=store,
            reject=_refuse,
            forward=lambda: None,
            clock=lambda: int(site.timeline.now_ms),
            stopping=threading.Event(),
        )
        places = [TopicPartition(ALERT, partition) for partition in range(site.broker.partitions)]
        self.service.assigned(self, places)
        for partition in self._positions:
            site.broker.listen(ALERT, partition, self.wake)
        self.wake()

    # -- what the service uses of a consumer ---------------------------------------------------------------------

    def assign(self, partitions: Sequence[TopicPartition]) -> None:
        self._positions = {one.partition: max(one.offset, 0) for one in partitions}

    def committed(self, partitions: Sequence[TopicPartition]) -> list[TopicPartition]:
        committed_of = self._site.broker.committed_of
        return [
            TopicPartition(one.topic, one.partition, committed_of(ALERT_STORE, one.topic, one.partition))
            for one in partitions
        ]

    def commit(self, offsets: Sequence[TopicPartition], *, asynchronous: bool) -> None:
        told: dict[Place, int] = {(one.topic, one.partition): one.offset for one in offsets}
        if self._site.broker.commit(ALERT_STORE, self._generation, told):
            self.service.committed(None, offsets)

    # -- its life ------------------------------------------------------------------------------------------------

    def wake(self) -> None:
        if not self._look_is_due and not self.is_dead and self._behind():
            self._look_is_due = True
            self._site.timeline.after(self._site.chance.random() * 2 * self._patience_ms, self._look)

    def die(self) -> None:
        self.is_dead = True
        for partition in self._positions:
            self._site.broker.hush(ALERT, partition, self.wake)

    def _behind(self) -> list[int]:
        return [p for p, position in self._positions.items() if position < self._site.broker.end(ALERT, p)]

    def _look(self) -> None:
        self._look_is_due = False
        if self.is_dead:
            return
        try:
            self._take()
        except StoreDiedError:
            self._on_death()
        self.wake()

    def _take(self) -> None:
        """What has arrived: of some partitions more than of others."""
        records: list[RawRecord] = []
        for partition in self._behind():
            start = self._positions[partition]
            some = self._site.broker.read(ALERT, partition, start, start + self._batch_records)
            self._positions[partition] = start + len(some)
            records += some
        self._site.timeline.note("alert store", "stores", len(records))
        self.service.take(records)


class StoreGroup:
    """The service from life to life: one that is alive, and at most one that should be dead."""

    def __init__(
        self,
        site: Site,
        store: type[AlertStore],
        service: type[AlertStoreService],
        database: Database,
    ) -> None:
        self._site, self._service, self.database = site, service, database
        database.empty()
        self.store = database.opened_by(store)
        self._alive: StoreProcess | None = None
        self._zombie: StoreProcess | None = None
        self._start()

    def kill(self) -> None:
        """At the next transaction, wherever in it."""
        self.database.lives = self._site.chance.randrange(STATEMENTS_MAX)

    def take_for_dead(self) -> None:
        """Another one reads on from where the database is; the old one still writes what it has, and what comes."""
        if self._alive is None:
            return
        if self._zombie is not None:
            self._zombie.die()
        self._zombie, self._alive = self._alive, None
        self._site.timeline.note("alert store", "is cut off")
        self._start()

    def lose_database(self) -> None:
        self.die()
        self.database.empty()
        self._site.timeline.note("alert store", "loses database")
        self._start()

    def die(self) -> None:
        for one in (self._alive, self._zombie):
            if one is not None:
                one.die()
        self._alive = self._zombie = None

    def restart(self) -> None:
        """After a death: whoever is there is gone, too."""
        self.die()
        self._site.timeline.note("alert store", "is killed")
        self._start()

    def calm(self) -> None:
        self.database.lives = None

    def _start(self) -> None:
        self.database.lives = None
        self._site.broker.generations[ALERT_STORE] += 1
        generation = self._site.broker.generations[ALERT_STORE]
        self._alive = StoreProcess(self._site, self._service, self.store, generation, self.restart)


def _refuse(rejected: Rejected) -> None:
    """Whatever is on the alert topic here was said by a judge."""
    assert not rejected, rejected
