"""Subscribing to alerts from Python: every statement once, in spite of crashes on both sides.

    with Subscriber(Settings(), "audit-office", severities=("red",)) as subscriber:
        for delivery in subscriber:
            act_upon(delivery.alert)
            delivery.acknowledge()

Delivery is at least once up to `acknowledge`, which stores the position held for the alert and the offset read in one
transaction of a local file. From then on the statement, its repeats and everything older about that alert are never
delivered again. An alert is a suspected problem (疑似问题), to be verified by the competent department.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException, TopicPartition

from xiezhi.alert_log import QUIETLY, holds_record, read_alert, say_when_away
from xiezhi.codec import Codec
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.bus import ALERT
from xiezhi.envelope import Envelope
from xiezhi.errors import (
    BadRecordError,
    BrokerUnavailableError,
    ConfigurationError,
    RegistryUnavailableError,
    XiezhiError,
)
from xiezhi.log import RawRecord
from xiezhi.registry import ConfluentRegistry, Registry
from xiezhi.settings import Settings
from xiezhi.subscriber_cursor import Progress, SubscriberCursor
from xiezhi.telemetry.alert_spans import Said
from xiezhi.telemetry.alert_stages import record_stage, stage

logger = logging.getLogger(__name__)

#: Deliveries that may wait for `acknowledge`. Without a bound, a subscriber that forgets it would fill its memory.
UNACKNOWLEDGED_MAX = 10_000
#: Statements passed over by the filter before that is written down; a restart reads at most so many again.
_UNSAVED_MAX = 1_000
_ANSWER_S = 30.0
_REGISTRY_RETRY_S = 1.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")

OnBadRecord = Callable[[RawRecord, BadRecordError], None]


@dataclass(frozen=True, slots=True)
class Delivery:
    """One statement handed to the subscriber. `record` has the bytes and the address in the log."""

    alert: Alert
    envelope: Envelope
    record: RawRecord
    _acknowledge: Callable[[Delivery], None] = field(repr=False)

    def acknowledge(self) -> None:
        """Say that the effect is done; durable when it returns. In any order; a second call does nothing."""
        self._acknowledge(self)

    @property
    def said(self) -> Said:
        """The statement's place in the log, as spans name it."""
        at = self.record
        return Said(at.topic, at.partition, at.offset, self.envelope.event_id, at.ingested_ms)


class Subscriber:
    """Delivers statements about alerts that fit, from the first one in the log on. One thread at a time.

    Who got an alert is also told when a correction moves it out of the filter, and when it is withdrawn.
    A record that breaks the contract is passed to `on_bad_record` (default: a warning in the log; the bus keeps it as
    a dead letter) and passed over; what that function raises ends the iteration with the record still ahead.
    """

    def __init__(
        self,
        settings: Settings,
        name: str,
        *,
        rules: Sequence[str] = (),
        severities: Sequence[str] = (),
        jurisdiction: str = "",
        on_bad_record: OnBadRecord | None = None,
        registry: Registry | None = None,
    ) -> None:
        """`name` is that of the cursor file, `jurisdiction` the beginning of a division code; empty means all.

        Raises ConfigurationError, StoreError (also while another process runs under this name),
        BrokerUnavailableError.
        """
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"subscriber name {name!r}: use letters, digits, dot, dash and underscore"
            )
        self._rules, self._severities, self._jurisdiction = (
            frozenset(rules),
            frozenset(severities),
            jurisdiction,
        )
        self._name = name
        self._on_bad_record = on_bad_record or _warn
        self._codec = Codec(registry or ConfluentRegistry(settings.registry_url))
        self._cursor = SubscriberCursor(settings.data_dir / "subscribers" / f"{name}.sqlite3")
        self._consumer = Consumer(_consumer_options(settings, name))
        self._progress = Progress()
        self._retry: RawRecord | None = None  # read, but the registry did not answer
        try:
            self._start()
        except BaseException:
            self.close()
            raise

    def __iter__(self) -> Iterator[Delivery]:
        """Deliveries without end; `poll` is for callers with other things to do."""
        while True:
            delivery = self.poll(_REGISTRY_RETRY_S)
            if delivery is not None:
                yield delivery

    def poll(self, timeout_s: float) -> Delivery | None:
        """The next delivery, or None when there was none for `timeout_s`."""
        if self._progress.unacknowledged >= UNACKNOWLEDGED_MAX:
            raise XiezhiError(
                f"{UNACKNOWLEDGED_MAX} deliveries wait for acknowledge(); call it after each effect"
            )
        deadline = time.monotonic() + timeout_s
        while (record := self._next(max(0.0, deadline - time.monotonic()))) is not None:
            delivery = self._judge(record)
            if delivery is not None:
                return delivery
            if self._retry is not None and not _pause_until(deadline):
                return None
        return None

    def close(self) -> None:
        """Writes down how far was read. What is not acknowledged by now is delivered again next time."""
        try:
            self._save()
        finally:
            self._consumer.close()
            self._cursor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        try:
            found = self._consumer.list_topics(ALERT.topic, timeout=_ANSWER_S)
        except KafkaException as error:
            raise BrokerUnavailableError(f"no broker answers: {error.args[0].str()}") from error
        topic = found.topics[ALERT.topic]
        if topic.error is not None:
            raise ConfigurationError(
                f"topic {ALERT.topic}: {topic.error}; run `xiezhi contracts apply` first"
            )
        self._cursor.claim(found.cluster_id)
        starts = self._cursor.next_offsets()
        self._consumer.assign(
            [
                TopicPartition(ALERT.topic, each, starts.get(each, OFFSET_BEGINNING))
                for each in topic.partitions
            ]
        )

    def _next(self, timeout_s: float) -> RawRecord | None:
        if self._retry is not None:
            record, self._retry = self._retry, None
            return record
        message = self._consumer.poll(timeout_s)
        if message is None or not holds_record(message):
            self._save()
            return None
        return RawRecord.from_message(message)

    def _judge(self, record: RawRecord) -> Delivery | None:
        """The delivery that `record` makes, or None when it makes none or has to wait (`_retry`)."""
        read_ns = time.time_ns()
        try:
            alert, envelope = read_alert(record, self._codec)
        except RegistryUnavailableError as error:
            logger.warning("waiting for the schema registry: %s", error)
            self._retry = record
            return None
        except BadRecordError as error:
            self._retry = record  # what the handler raises must not lose the record
            self._on_bad_record(record, error)
            self._retry = None
            self._pass_over(record)
            return None
        held = self._progress.delivered.get(alert.record_id, self._cursor.position(alert.record_id))
        if alert.position <= held if held is not None else not self._wants(alert):
            self._pass_over(record)
            return None
        self._progress.deliver(record, alert)
        delivery = Delivery(alert, envelope, record, self._acknowledge)
        record_stage(
            "deliver", alert, delivery.said, envelope.traceparent, start_ns=read_ns, reader=self._name
        )
        return delivery

    def _wants(self, alert: Alert) -> bool:
        return (
            (not self._rules or alert.rule_id in self._rules)
            and (not self._severities or alert.severity in self._severities)
            and alert.jurisdiction.startswith(self._jurisdiction)
        )

    def _pass_over(self, record: RawRecord) -> None:
        self._progress.pass_over(record)
        if self._progress.unsaved >= _UNSAVED_MAX:
            self._save()

    def _save(self) -> None:
        if self._progress.unsaved:
            self._cursor.save(self._progress.next_offsets())
            self._progress.unsaved = 0

    def _acknowledge(self, delivery: Delivery) -> None:
        alert, context = delivery.alert, delivery.envelope.traceparent
        if self._progress.acknowledge(delivery.record, alert):
            with stage("acknowledge", alert, delivery.said, context, reader=self._name):
                self._cursor.save(self._progress.next_offsets(), (alert.record_id, alert.position))
            self._progress.unsaved = 0


def _pause_until(deadline: float) -> bool:
    """Wait a moment; False once `deadline` has passed."""
    time.sleep(max(0.0, min(_REGISTRY_RETRY_S, deadline - time.monotonic())))
    return time.monotonic() < deadline


def _consumer_options(settings: Settings, name: str) -> dict[str, Any]:
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "group.id": f"xiezhi-subscriber-{name}",  # asked for by the client; the offsets are in the cursor file
        "client.id": f"xiezhi-subscriber-{name}",
        **QUIETLY,
        "error_cb": say_when_away,
        "enable.auto.commit": False,
        "auto.offset.reset": "error",
    }


def _warn(record: RawRecord, error: BadRecordError) -> None:
    logger.warning("%s/%s/%s is no alert: %s", record.topic, record.partition, record.offset, error)
