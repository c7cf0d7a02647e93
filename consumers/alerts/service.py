"""The service that fills the alert store from the alert topic: `python -m consumers.alerts.service`.

It joins a consumer group for its partitions, but reads on from the offsets in its own database, because those are
stored together with their effect. The group's offsets are committed afterwards and only show the lag. A record that
is no alert becomes a dead letter; an unreachable registry is waited for; every other failure ends the process before
anything is acknowledged, and the supervisor starts it again. Between batches it forwards the access outbox, which lies
in the same database, to the bus.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, Producer, TopicPartition

from consumers.alerts.database import path_of, url_of
from consumers.alerts.forwarding import Forwarder
from consumers.alerts.measuring import Measure
from consumers.alerts.rejection import DeadLetterDesk, Rejected
from consumers.alerts.statement import Statement
from consumers.alerts.store import AlertStore
from consumers.alerts.telling import tell_nobody, teller
from xiezhi.alert_log import holds_record, read_alert
from xiezhi.codec import Codec
from xiezhi.contracts.bus import ALERT
from xiezhi.dead_letters import DeadLetters
from xiezhi.errors import (
    BadRecordError,
    BrokerUnavailableError,
    ConfigurationError,
    RegistryUnavailableError,
    StoreError,
)
from xiezhi.groups import ALERT_STORE
from xiezhi.log import RawRecord
from xiezhi.registry import ConfluentRegistry
from xiezhi.service import consumer_options, producer_options, run_service
from xiezhi.settings import Settings
from xiezhi.telemetry.meters import Meters
from xiezhi.telemetry.setup import Tracing, tracing
from xiezhi.wall_clock import now_ms

logger = logging.getLogger(__name__)

STAGE = "alert-store"
GROUP = ALERT_STORE
#: Statements per transaction: enough to share one wait for the disk, few enough to be seen at once.
BATCH_RECORDS_MAX = 500
_IDLE_S = 0.5
_REGISTRY_RETRY_S = 2.0
_ANSWER_S = 30.0


class AlertStoreService:
    """One consumer that moves statements from the topic into the store until `stopping` is set."""

    def __init__(
        self,
        *,
        consumer: Any,
        codec: Codec,
        store: AlertStore,
        reject: Callable[[Rejected], None],
        forward: Callable[[], None],
        clock: Callable[[], int],
        stopping: threading.Event,
        tell: Callable[[Statement, int], None] = tell_nobody,
        meters: Meters | None = None,
    ) -> None:
        """`reject` returns when the dead letters are durable; `forward` does what it can without blocking.

        `tell` is given every statement that took effect, and the nanosecond at which its batch began; must not block.
        `clock` gives milliseconds since 1970.
        """
        self._measure = Measure(meters or Meters())
        self._consumer = consumer
        self._codec = codec
        self._store = store
        self._reject = reject
        self._forward = forward
        self._clock = clock
        self._stopping = stopping
        self._tell = tell
        self._behind: dict[int, int] = {}  # partition → offset that the group does not know yet

    def run(self) -> None:
        """Blocks until `stopping` is set. Raises XiezhiError; nothing unstored is acknowledged in either case."""
        self._consumer.subscribe([ALERT.topic], on_assign=self.assigned)
        while not self._stopping.is_set():
            records = self._read()
            if records:
                self.take(records)
            elif self._behind:
                self._commit()
            self._forward()

    def assigned(self, consumer: Any, partitions: Sequence[TopicPartition]) -> None:
        """Read on from where the database says, whatever the group believes."""
        held = self._store.next_offsets(ALERT.topic)
        consumer.assign(
            [
                TopicPartition(p.topic, p.partition, held.get(p.partition, OFFSET_BEGINNING))
                for p in partitions
            ]
        )
        self._behind = {p.partition: held[p.partition] for p in partitions if p.partition in held}
        logger.info(
            "reading %s from %s", ALERT.topic, {p.partition: held.get(p.partition, 0) for p in partitions}
        )

    def take(self, records: Sequence[RawRecord]) -> None:
        """Store a batch: dead letters first, then effects and offsets at once, then the group's offsets."""
        begun = monotonic()
        try:
            statements, rejected = self._decode(records)
            self._reject(rejected)
        except RegistryUnavailableError as error:
            self._read_again(records, error)
            return
        begun_ns = time.time_ns()
        after = {(record.topic, record.partition): record.offset + 1 for record in records}
        stored = self._store.apply(statements, after, stored_ms=self._clock())
        for one in stored:
            self._tell(one.statement, begun_ns)
        logger.debug("%d records, %d statements took effect", len(records), len(stored))
        self._measure.batch(records, stored, rejected, monotonic() - begun)
        self._behind.update({partition: offset for (_, partition), offset in after.items()})
        self._commit()

    def committed(self, error: Any, partitions: Sequence[TopicPartition]) -> None:
        """Delivery report of a commit. A failure costs nothing but the display; `run` tries it again."""
        if error is not None:
            logger.warning("the group's offsets were not committed: %s", error)
            return
        for each in partitions:
            if self._behind.get(each.partition) == each.offset:
                del self._behind[each.partition]

    def _decode(self, records: Sequence[RawRecord]) -> tuple[list[Statement], Rejected]:
        statements: list[Statement] = []
        rejected: Rejected = []
        for record in records:
            try:
                statements.append(Statement.of(*read_alert(record, self._codec), record))
            except BadRecordError as error:
                rejected.append((record, error))
        return statements, rejected

    def _read(self) -> list[RawRecord]:
        """What has arrived, as soon as anything has."""
        first = self._consumer.poll(_IDLE_S)
        if first is None:
            return []
        messages = [first, *self._consumer.consume(BATCH_RECORDS_MAX - 1, 0)]
        return [RawRecord.from_message(message) for message in messages if holds_record(message)]

    def _read_again(self, records: Sequence[RawRecord], cause: Exception) -> None:
        """Go back to the start of the batch; polling goes on meanwhile, so the group keeps its member."""
        logger.warning("waiting for the schema registry: %s", cause)
        first: dict[int, int] = {}
        for record in records:
            first.setdefault(record.partition, record.offset)
        for partition, offset in first.items():
            self._consumer.seek(TopicPartition(ALERT.topic, partition, offset))
        self._stopping.wait(_REGISTRY_RETRY_S)
        self._measure.waited("registry", _REGISTRY_RETRY_S)

    def _commit(self) -> None:
        """Tell the group how far the store is; nothing waits for it."""
        self._consumer.commit(
            offsets=[TopicPartition(ALERT.topic, *place) for place in self._behind.items()], asynchronous=True
        )


def serve(settings: Settings, stopping: threading.Event, meters: Meters) -> None:
    """Run until `stopping` is set, tracing what is stored."""
    with tracing(GROUP, settings) as traced:
        _serve(settings, stopping, meters, traced)


def _serve(settings: Settings, stopping: threading.Event, meters: Meters, traced: Tracing) -> None:
    """Build everything, then run."""
    store = open_store(settings)
    codec = Codec(ConfluentRegistry(settings.registry_url))
    producer = Producer(producer_options(settings, name=STAGE))
    letters = DeadLetters(
        producer, codec, stage=STAGE, limit_per_minute=settings.dead_letters_per_minute_max, clock=now_ms
    )
    forwarder = Forwarder(store.outbox, codec, producer, clock=now_ms)
    service: AlertStoreService  # built from the consumer whose reports it takes
    reports = {"on_commit": lambda *report: service.committed(*report)}
    consumer = Consumer({**consumer_options(settings, name=STAGE, group=GROUP), **reports})
    service = AlertStoreService(
        consumer=consumer,
        codec=codec,
        store=store,
        reject=DeadLetterDesk(producer, letters),
        forward=forwarder,
        clock=now_ms,
        stopping=stopping,
        meters=meters,
        tell=teller(traced),
    )
    try:
        _claim(store, consumer, settings)
        service.run()
        forwarder.close()
    finally:
        consumer.close()
        store.close()


def open_store(settings: Settings) -> AlertStore:
    try:
        path_of(settings).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot create {path_of(settings).parent}: {error.strerror}; set XIEZHI_DATA_DIR"
        ) from error
    return AlertStore.open(url_of(settings))


def _claim(store: AlertStore, consumer: Any, settings: Settings) -> None:
    """A database filled from one cluster must not be read on with the offsets of another."""
    try:
        found = consumer.list_topics(ALERT.topic, timeout=_ANSWER_S)
    except KafkaException as error:
        raise BrokerUnavailableError(
            f"no broker answers at {settings.bootstrap_servers}: {error.args[0].str()}"
        ) from error
    if found.topics[ALERT.topic].error is not None:
        raise ConfigurationError(f"topic {ALERT.topic} does not exist; run `xiezhi contracts apply` first")
    owner = store.claim(found.cluster_id)
    if owner != found.cluster_id:
        raise ConfigurationError(
            f"{path_of(settings)} holds the alerts of Kafka cluster {owner}, but {settings.bootstrap_servers} is "
            f"{found.cluster_id}; move the database away (it is filled again from the log) or set XIEZHI_DATA_DIR"
        )


if __name__ == "__main__":
    sys.exit(run_service(STAGE, serve))
