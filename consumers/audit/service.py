"""The service that makes every record of the bus a leaf of the audit log: `python -m consumers.audit.service`.

It joins a consumer group for its partitions, but reads on from where the log says, whatever the group believes. About
once a second it signs a checkpoint, says it on the bus, and commits the group's offsets, which only show the lag. A gap
in offsets is logged as an error and becomes a leaf; another cluster, a topic created anew, or a log shorter than a
checkpoint seen on the bus end the process (exit 78). A full disk is waited for. Every other failure ends the process;
nothing unsigned was acknowledged, so the next one reads it again.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from time import monotonic, time
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicCollection, TopicPartition

from consumers.audit.anchor import Announcer, latest_said, signed_after_ms
from consumers.audit.folder import AuditFolder
from consumers.audit.index import LeafIndex, Place
from consumers.audit.measuring import STAGE, Measure
from consumers.audit.sequencer import Range, Sequencer
from consumers.audit.topics import TOPICS
from xiezhi.admin_client import Admin
from xiezhi.alert_log import QUIETLY, holds_record
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.files import CHECKPOINT as CHECKPOINT_FILE
from xiezhi.audit.reader import AuditLogReader
from xiezhi.codec import Codec
from xiezhi.contracts.bus import CHECKPOINT
from xiezhi.errors import (
    AuditStorageError,
    AuditUnusableError,
    BrokerUnavailableError,
    ConfigurationError,
    RegistryUnavailableError,
)
from xiezhi.groups import AUDIT
from xiezhi.log import LogReader, RawRecord
from xiezhi.registry import ConfluentRegistry
from xiezhi.service import consumer_options, producer_options, run_service
from xiezhi.settings import Settings
from xiezhi.telemetry.meters import Meters
from xiezhi.wall_clock import now_ms

logger = logging.getLogger(__name__)

GROUP = AUDIT
#: Records per call into the client: large enough that the call does not matter.
BATCH_RECORDS_MAX = 2_000
#: Between two checkpoints. Each costs a dozen waits for the disk, so more of them would cost throughput.
CHECKPOINT_INTERVAL_S = 1.0
#: Leaves that wait for a checkpoint, about half a kilobyte each; past this nothing is read until they are signed.
WAITING_LEAVES_MAX = 100_000
STORAGE_RETRY_S = 2.0
_IDLE_S = 0.2
_REGISTRY_RETRY_S = 2.0
_ANSWER_S = 30.0


class AuditService:
    """One consumer that moves records into the log until `stopping` is set."""

    def __init__(
        self,
        *,
        consumer: Any,
        sequencer: Sequencer,
        announce: Callable[[SignedCheckpoint], None],
        seconds: Callable[[], float],
        stopping: threading.Event,
        measure: Measure,
    ) -> None:
        """`seconds` is a clock that never goes back; `announce` says a checkpoint on the bus and returns at once."""
        self._consumer, self._sequencer, self._announce = consumer, sequencer, announce
        self._seconds, self._stopping, self._measure = seconds, stopping, measure
        self._signed_at = seconds() - CHECKPOINT_INTERVAL_S
        self._assigned: list[TopicPartition] = []
        self._behind: dict[Place, int] = {}  # partition → offset that the group does not know yet
        self._told: dict[Place, int] = {}  # … and what it was told last
        self._disk_is_full = False

    def run(self) -> None:
        """Blocks until `stopping` is set. Raises XiezhiError; nothing unsigned is acknowledged in either case."""
        self._consumer.subscribe(list(TOPICS), on_assign=self.assigned)
        while not self._stopping.is_set():
            self.step()
        self._sign()

    def step(self) -> None:
        """Read what has arrived, and sign when it is time."""
        if self._sequencer.waiting < WAITING_LEAVES_MAX:
            self._take(self._read())
        if self._seconds() - self._signed_at >= CHECKPOINT_INTERVAL_S:
            self._sign()
        elif self._sequencer.waiting >= WAITING_LEAVES_MAX:
            self._stopping.wait(0.05)

    def _take(self, records: Sequence[RawRecord]) -> None:
        begun = self._seconds()
        self._sequencer.take(records)
        if records:
            self._measure.batch(records, self._sequencer.waiting, self._seconds() - begun)

    def assigned(self, consumer: Any, partitions: Sequence[TopicPartition]) -> None:
        """Read on from where the log says. Raises ConfigurationError when that place is beyond the end."""
        self._assigned = [
            TopicPartition(p.topic, p.partition, self._sequencer.begin(p.topic, p.partition, self._range(p)))
            for p in partitions
        ]
        consumer.assign(self._assigned)
        logger.info("reading %d partitions of %d topics", len(partitions), len({p.topic for p in partitions}))

    def _range(self, partition: TopicPartition) -> Range:
        try:
            low, high = self._consumer.get_watermark_offsets(partition, timeout=_ANSWER_S)
        except KafkaException as error:
            raise BrokerUnavailableError(
                f"the broker does not tell the range of {partition.topic}/{partition.partition}: {error}"
            ) from error
        return low, high

    def _read(self) -> list[RawRecord]:
        first = self._consumer.poll(_IDLE_S)
        if first is None:
            return []
        records, cut = [], False
        for message in (first, *self._consumer.consume(BATCH_RECORDS_MAX - 1, 0)):
            error = message.error()
            if error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:
                cut = True  # the broker dropped what was to be read next
            elif holds_record(message):
                records.append(RawRecord.from_message(message))
        if cut:
            self._take(records)
            self.assigned(self._consumer, self._assigned)
            return []
        return records

    def _sign(self) -> None:
        """Publish, say it, acknowledge it. A disk that refuses is waited for, and nothing is read meanwhile."""
        self._signed_at = self._seconds()
        try:
            checkpoint = self._sequencer.publish()
        except AuditStorageError as error:
            self._wait_for_room(error)
            return
        if self._disk_is_full:
            self._disk_is_full = False
            logger.warning("the disk takes writes again; the audit log goes on where it stopped")
            self._consumer.resume(self._consumer.assignment())
        if checkpoint is not None:
            logger.debug("signed %d leaves", checkpoint.size)
            self._measure.signed(checkpoint.size, time())
            self._announce(checkpoint)
        self._commit()

    def _wait_for_room(self, error: AuditStorageError) -> None:
        """Keep the place and the group, read nothing, and come back."""
        if not self._disk_is_full:
            self._disk_is_full = True
            logger.error("the audit log stands still, nothing is lost, it is tried again: %s", error)
        self._consumer.pause(self._consumer.assignment())
        message = self._consumer.poll(0)  # else the group takes this member for dead
        if message is not None and holds_record(message):
            self._take([RawRecord.from_message(message)])
        self._stopping.wait(STORAGE_RETRY_S)
        self._measure.waited("disk", STORAGE_RETRY_S)

    def _commit(self) -> None:
        """Tell the group how far the signed log is; nothing waits for it, and `committed` hears of it."""
        for each in self._assigned:
            place = (each.topic, each.partition)
            offset = self._sequencer.next_offset(*place)
            if offset != self._told.get(place, 0):
                self._behind[place] = offset
        if self._behind:
            offsets = [TopicPartition(*place, offset) for place, offset in self._behind.items()]
            self._consumer.commit(offsets=offsets, asynchronous=True)

    def committed(self, error: Any, partitions: Sequence[TopicPartition]) -> None:
        """Delivery report of a commit. A failure costs nothing but the display; the next second tries it again."""
        if error is not None:
            logger.warning("the group's offsets were not committed: %s", error)
            return
        for each in partitions:
            place = (each.topic, each.partition)
            self._told[place] = each.offset
            if self._behind.get(place) == each.offset:
                del self._behind[place]


def serve(settings: Settings, stopping: threading.Event, meters: Meters) -> None:
    """Build everything, then run until `stopping` is set."""
    codec = Codec(ConfluentRegistry(settings.registry_url))
    folder = AuditFolder.of(settings)
    number = folder.newest()
    with ExitStack() as opened:
        at_least = _last_said(settings, codec, folder.reader(number), stopping)
        if stopping.is_set():
            return
        log = opened.enter_context(folder.open(number, at_least=at_least))
        if log.is_closed or folder.is_unfinished(number):
            raise AuditUnusableError(
                f"{log.origin} is to be continued by another log; run `xiezhi audit rekey`"
            )
        index = LeafIndex.open(folder.index)
        opened.callback(index.close)
        index.follow(folder.readers())
        measure = Measure(meters)
        measure.signed(log.latest.size, (folder.log(number) / CHECKPOINT_FILE).stat().st_mtime)
        sequencer = Sequencer(log, number, index, folder.readers(), now_ms, measure.gap)
        _take_up_topics(settings, sequencer)
        announcer = Announcer(Producer(producer_options(settings, name=STAGE)), codec)
        opened.callback(announcer.finish, _ANSWER_S / 6)

        def announce(signed: SignedCheckpoint) -> None:
            announcer.say(signed, now_ms())
            announcer.serve()

        announce(log.latest)
        service: AuditService  # built from the consumer whose reports it takes
        reports = {"on_commit": lambda *report: service.committed(*report)}
        consumer = Consumer({**_consumer_options(settings), **reports})
        opened.callback(consumer.close)
        service = AuditService(
            consumer=consumer,
            sequencer=sequencer,
            announce=announce,
            seconds=monotonic,
            stopping=stopping,
            measure=measure,
        )
        service.run()


def _last_said(
    settings: Settings, codec: Codec, reader: AuditLogReader, stopping: threading.Event
) -> SignedCheckpoint | None:
    """The largest checkpoint of this log on the bus. A registry that is away is waited for."""
    while not stopping.is_set():
        try:
            with LogReader(settings.bootstrap_servers) as log:
                return latest_said(log, codec, reader.verifier, since_ms=signed_after_ms(reader))
        except RegistryUnavailableError as error:
            logger.warning("waiting for the schema registry: %s", error)
            stopping.wait(_REGISTRY_RETRY_S)
    return None


def _take_up_topics(settings: Settings, sequencer: Sequencer) -> None:
    """Every topic must be there, and be the one of this name that is audited."""
    admin = Admin({"bootstrap.servers": settings.bootstrap_servers, **QUIETLY})
    try:
        cluster = admin.list_topics(CHECKPOINT.topic, timeout=_ANSWER_S).cluster_id
        asked = admin.describe_topics(TopicCollection(list(TOPICS)), request_timeout=_ANSWER_S)
        for topic in TOPICS:
            sequencer.audit_topic(topic, cluster, str(asked[topic].result(_ANSWER_S).topic_id))
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise ConfigurationError(
                f"topic {topic} does not exist; run `xiezhi contracts apply` first"
            ) from error
        raise BrokerUnavailableError(
            f"no broker answers at {settings.bootstrap_servers}: {error.args[0].str()}"
        ) from error


def _consumer_options(settings: Settings) -> dict[str, Any]:
    return {
        **consumer_options(settings, name=STAGE, group=GROUP),
        # The same name after a restart: the group hands the partitions over at once instead of waiting for the dead.
        "group.instance.id": STAGE,
        # Every offset is a leaf: also of a transaction that was aborted.
        "isolation.level": "read_uncommitted",
        # It signs once a second. Without these the broker would answer for every few records on any topic of the bus.
        "fetch.min.bytes": 100_000,
        "fetch.wait.max.ms": 250,
    }


if __name__ == "__main__":
    sys.exit(run_service(STAGE, serve))
