"""A stage of the stream: what router and judge have in common around their pure cores.

Takes folded batches from Faust, restores a partition before its first batch, lets the core process, sends what comes
out, and acknowledges in order. A bad record goes to the dead letters. An unexpected error ends the process before
anything is acknowledged: Faust acknowledges in a `finally`, so an exception that escaped an agent would lose records.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter, sleep
from typing import Any, NoReturn, Protocol

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from opentelemetry.trace import INVALID_SPAN, Span

from streams.batch_spans import BatchSpans
from streams.measuring import StageMeasure
from streams.pipeline import Batch, Outgoing, Pipeline
from xiezhi.alert_log import QUIETLY, say_when_away
from xiezhi.codec import Codec
from xiezhi.contracts.naming import DEAD_LETTER
from xiezhi.dead_letters import DeadLetters
from xiezhi.errors import (
    BadRecordError,
    ConfigurationError,
    DeadLetterLimitError,
    RegistryUnavailableError,
    UnknownSchemaError,
    XiezhiError,
)
from xiezhi.groups import BUS_OWNER, of_generation, owner_of
from xiezhi.log import LogReader, RawRecord
from xiezhi.service import producer_options
from xiezhi.settings import Settings
from xiezhi.store import KeyedStore, RocksBackend
from xiezhi.telemetry import catalogue
from xiezhi.telemetry.meters import Meters
from xiezhi.wall_clock import now_ms

logger = logging.getLogger(__name__)

#: sysexits.h EX_SOFTWARE: an error nobody expected; the supervisor restarts.
EXIT_UNEXPECTED = 70
RETRY_S = 1.0
TIMEOUT_S = 10.0
#: A broker that restarts loads its groups first; past this the worker starts over.
LOOK_TIMEOUT_S = 90.0
#: For so long after a question the client that asked is used again.
LOOKING_S = 5.0


@dataclass(slots=True)
class Work:
    """What a batch gave rise to: records to send, and records that are nobody's."""

    outgoing: list[Outgoing] = field(default_factory=list)
    bad: list[tuple[RawRecord, BadRecordError]] = field(default_factory=list)


class Core(Protocol):
    """The pure part of a stage for one partition. Its calls neither block nor await."""

    @property
    def store(self) -> KeyedStore: ...
    def restore(self, records: Sequence[RawRecord]) -> None:
        """Take in records whose effects were delivered before, without effects."""
        ...

    def process(self, records: Sequence[RawRecord]) -> Work:
        """Take in records in offset order; the effects are sent before the batch is committed."""
        ...


@dataclass(slots=True)
class Assigned:
    """One partition of this worker in the current assignment."""

    topic: str
    partition: int
    core: Core
    next_offset: int
    ready: bool = False  # restored, and told what was said
    revoked: bool = False


@dataclass(frozen=True, slots=True)
class _Log:
    """A partition as the broker has it: in which cluster, how far our group is, where it ends, one of how many."""

    cluster_id: str
    committed: int
    end: int
    partitions: int


OpenCore = Callable[[str, int, KeyedStore], Core]
OnOpen = Callable[[Assigned], Awaitable[None]]
Before = Callable[[Assigned, Sequence[RawRecord]], Awaitable[None]]


class Stage:
    """One process's router or judge.

    `fingerprint` guards its stores against code that would read or fill them otherwise. The wiring sets `open_core`,
    and `on_open` and `before` if a partition needs more than its own log before its first batch, or before one.
    """

    def __init__(
        self, name: str, settings: Settings, codec: Codec, fingerprint: str, meters: Meters | None = None
    ) -> None:
        self.name, self.settings, self.codec = name, settings, codec
        self.group = of_generation(f"xiezhi-{name}", settings.generation)
        self._buried: frozenset[bytes] | None = None  # addresses of earlier generations' dead letters
        meters = meters or Meters()
        self.measure = StageMeasure(name, self.group, meters)
        self._fingerprint = fingerprint
        self._batch_spans = BatchSpans(self.group)
        self.subjects: Sequence[str] = ()
        self.partitions_of: dict[str, int] = {}  # how many a topic has, of every topic that was opened here
        self._partitions: dict[tuple[str, int], Assigned] = {}
        self._rebalances = 0
        self._looker: Consumer | None = None  # used by one thread at a time: partitions are opened one by one
        self._looked_at = -LOOKING_S
        self._schemas: set[bytes] = set()
        self._are_writers_known = False
        self._turn = asyncio.Lock()  # batches must be submitted in the order in which they were sealed
        self.open_core: OpenCore
        self.on_open: OnOpen | None = None
        self.before: Before | None = None
        self._producer = Producer({**producer_options(settings, name=name), "error_cb": say_when_away})
        self.pipeline = Pipeline(self._producer, lambda waited_s: self.measure.waited("queue", waited_s))
        meters.read(catalogue.IN_FLIGHT, lambda: [(self.pipeline.batches, (name,))])
        meters.read(catalogue.PARTITIONS, lambda: [(len(self._partitions), (name,))])
        self.dead_letters = DeadLetters(
            self._producer,
            codec,
            stage=name,
            limit_per_minute=settings.dead_letters_per_minute_max,
            clock=now_ms,
        )

    # -- called by the agent -------------------------------------------------------------------------------------

    async def handle(self, event: Any) -> None:
        """One folded batch. Never raises; an unexpected error ends the process."""
        try:
            await self._handle(event)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 -- whatever it is, the batch must not be acknowledged
            self.fail(error)

    async def _handle(self, event: Any) -> None:
        first: RawRecord = event.value[0]
        assigned = await self._assigned(first.topic, first.partition, first.offset)
        records = [record for record in event.value if record.offset >= assigned.next_offset]
        await self.schemas_known(records)
        await self.run(assigned, records, event)

    async def run(self, assigned: Assigned, records: Sequence[RawRecord], event: Any = None) -> None:
        """Process records and send what comes out; acknowledges `event` when all of it is on the broker."""
        if self.before is not None:
            await self.before(assigned, records)
        span = self._batch_spans.start(records)

        def effects() -> Work:
            begun = perf_counter()
            work = assigned.core.process(records)
            if records:
                self.measure.batch(records, work.outgoing, perf_counter() - begun)
            return work

        await self.act(assigned, effects, records, event, span)

    async def act(
        self,
        assigned: Assigned,
        effects: Callable[[], Work],
        records: Sequence[RawRecord] = (),
        event: Any = None,
        span: Span = INVALID_SPAN,
    ) -> None:
        """Let the core do one thing, seal what it wrote and submit what it wants sent: one batch."""
        async with self._turn:
            if assigned.revoked:
                return
            work = effects()
            if records:
                assigned.next_offset = records[-1].offset + 1
            sealed = assigned.core.store.seal(assigned.next_offset)

            def finish() -> None:
                if not assigned.revoked:
                    assigned.core.store.commit(sealed)
                    if event is not None:
                        event.ack()
                    span.end()

            batch = Batch(finish)
            self._bury(work, batch)
            await self.pipeline.send(batch, work.outgoing)
            await self.pipeline.submit(batch)

    def _bury(self, work: Work, batch: Batch) -> None:
        for record, error in work.bad:
            address = f"{record.topic}/{record.partition}/{record.offset}"
            if self._buried and address.encode() in self._buried:
                continue
            logger.warning("dead-lettered %s: %s", address, error.reason)
            self.measure.buried(record, error.reason)
            try:
                self.dead_letters.send(
                    record, reason=error.reason, detail=error.detail, on_delivered=batch.delivered
                )
            except DeadLetterLimitError:
                self._producer.flush(TIMEOUT_S)  # whoever is called to look finds those up to the limit
                raise
            batch.waiting += 1

    # -- called by the application -------------------------------------------------------------------------------

    async def serve(self) -> None:
        """Serve deliveries for the life of the process."""
        try:
            await self.pipeline.run()
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 -- a failed delivery must not be acknowledged
            self.fail(error)

    def revoke(self) -> None:
        """All partitions are gone: a rebalance. What is not yet committed is done again by the next owner."""
        for assigned in self._partitions.values():
            assigned.revoked = True
            assigned.core.store.close()
        self._partitions.clear()
        self._rebalances += 1

    def assigned(self, topic: str) -> list[Assigned]:
        """The partitions of `topic` that are open here."""
        return [one for (name, _), one in self._partitions.items() if name == topic]

    def fail(self, error: BaseException) -> NoReturn:
        """End the process at once: nothing more is acknowledged, the supervisor decides about a restart."""
        expected = isinstance(error, XiezhiError)  # then its sentence says all there is to know
        code = error.exit_code if isinstance(error, XiezhiError) else EXIT_UNEXPECTED
        logger.critical(
            "%s stops with exit code %s: %s", self.name, code, error, exc_info=None if expected else error
        )
        logging.shutdown()
        os._exit(code)

    # -- partitions ----------------------------------------------------------------------------------------------

    async def _assigned(self, topic: str, partition: int, first_offset: int) -> Assigned:
        assigned = self._partitions.get((topic, partition))
        if assigned is None:
            assigned = await self._open(topic, partition)
        if first_offset > assigned.next_offset and not assigned.revoked:
            logger.warning("%s/%s: read %s to %s again", topic, partition, assigned.next_offset, first_offset)
            await self._replay(assigned, first_offset)
        return assigned

    async def _open(self, topic: str, partition: int) -> Assigned:
        """Open the store, restore up to the committed offset, then let the stage get ready."""
        rebalances = self._rebalances
        await self.writers_known()
        if self._buried is None:
            self._buried = await asyncio.to_thread(self._earlier_dead_letters)
        log = await asyncio.to_thread(self._look, topic, partition)
        store = self._open_store(topic, partition, log)
        assigned = Assigned(topic, partition, self.open_core(topic, partition, store), store.next_offset)
        if (
            rebalances != self._rebalances
        ):  # the partition was revoked while we looked: it may be another's now
            assigned.revoked = True
            store.close()
            return assigned
        self._partitions[topic, partition] = assigned
        if log.committed > assigned.next_offset:
            logger.info("%s/%s: restoring %s to %s", topic, partition, assigned.next_offset, log.committed)
            await self._each_chunk(assigned, log.committed, self._restore)
        if self.on_open is not None and not assigned.revoked:
            await self.on_open(assigned)
        assigned.ready = True
        return assigned

    def _earlier_dead_letters(self) -> frozenset[bytes]:
        """Addresses of what is among the dead letters already: another generation reads the same records again.

        Their number is bounded by people, who look after so many a minute.
        """
        if self.settings.generation == 1:
            return frozenset()
        with LogReader(self.settings.bootstrap_servers) as log:
            partitions = range(log.partitions(DEAD_LETTER))
            chunks = (chunk for number in partitions for chunk in log.read(DEAD_LETTER, number, 0))
            return frozenset(raw.key for chunk in chunks for raw in chunk if raw.key is not None)

    def _open_store(self, topic: str, partition: int, log: _Log) -> KeyedStore:
        """Raises ConfigurationError when the store is of other code or another log: its offsets would mean nothing.

        So it does when the topic has not as many partitions as before: then the versions of a record, or the facts of
        a key, are in two of them, and the stores of both are wrong.
        """
        stage = of_generation(self.name, self.settings.generation)
        folder = Path(self.settings.data_dir) / stage / self.settings.worker / f"{topic}-{partition}"
        store = KeyedStore(RocksBackend(folder))
        wrong = ""
        if not store.check_fingerprint(f"{self._fingerprint}@{log.cluster_id}"):
            wrong = "was filled by code with other joins or selectors or contributions, or from another Kafka cluster"
        elif store.next_offset > log.end:
            wrong = f"is ahead of its topic ({store.next_offset} > {log.end}), which was deleted or cut"
        if wrong:
            store.close()
            raise ConfigurationError(
                f"the store {folder} {wrong}; file everything anew with `xiezhi refile`, or, if only this store is "
                f"wrong, stop the stage, reset consumer group {self.group} to the beginning, delete the folder and "
                "start again"
            )
        for before in self._partitions_before(topic, folder, store, log.partitions):
            if before != log.partitions:
                store.close()
                raise _other_partitions(topic, before, log.partitions)
        return store

    def _partitions_before(self, topic: str, folder: Path, store: KeyedStore, now: int) -> Iterator[int]:
        """How many partitions this worker has known a topic to have.

        A store that is new may be of a partition that is: then those of the other partitions are asked as well.
        """
        if topic not in self.partitions_of and not store.next_offset:
            for other in folder.parent.glob(f"{topic}-*"):
                if other != folder:  # nobody has it open: we have no partition of this topic yet
                    one = KeyedStore(RocksBackend(other))
                    held = one.first_partitions(now)
                    one.close()
                    yield held
        yield self.partitions_of.setdefault(topic, now)
        yield store.first_partitions(now)

    async def _replay(self, assigned: Assigned, end: int) -> None:
        """Process what Faust did not hand over: dropped between a seek and a rebalance, never acknowledged."""
        await self._each_chunk(assigned, end, self.run)

    async def _restore(self, assigned: Assigned, records: Sequence[RawRecord]) -> None:
        def effects() -> Work:
            assigned.core.restore(records)
            return Work()

        await self.act(assigned, effects, records)

    async def _each_chunk(
        self,
        assigned: Assigned,
        end: int,
        use: Callable[[Assigned, Sequence[RawRecord]], Awaitable[None]],
    ) -> None:
        with LogReader(self.settings.bootstrap_servers) as log:
            chunks = log.read(assigned.topic, assigned.partition, assigned.next_offset, end)
            while not assigned.revoked and (chunk := await asyncio.to_thread(next, chunks, None)):
                await self.schemas_known(chunk)
                await use(assigned, chunk)

    def _look(self, topic: str, partition: int) -> _Log:
        """Blocks; waits while a broker that restarted finds its groups.

        Many partitions are opened one after another, so the client stays for a while: to connect and to find the
        group's coordinator takes ten times as long as to ask. Not for good, since one that lived through a restart of
        its broker may wait for answers to lost questions.
        """
        deadline = monotonic() + LOOK_TIMEOUT_S
        if monotonic() > self._looked_at + LOOKING_S:
            self._stop_looking()
        while True:
            try:
                log = self._ask(topic, partition)
            except KafkaException:
                self._stop_looking()
                if monotonic() > deadline:
                    raise
                sleep(RETRY_S)
                self.measure.waited("broker", RETRY_S)
            else:
                self._looked_at = monotonic()
                return log

    def _ask(self, topic: str, partition: int) -> _Log:
        if self._looker is None:
            servers = self.settings.bootstrap_servers
            self._looker = Consumer({"bootstrap.servers": servers, "group.id": self.group, **QUIETLY})
        place = TopicPartition(topic, partition)
        (found,) = self._looker.committed([place], timeout=TIMEOUT_S)
        _, end = self._looker.get_watermark_offsets(place, timeout=TIMEOUT_S)
        cluster = self._looker.list_topics(topic, timeout=TIMEOUT_S)
        if (error := cluster.topics[topic].error) is not None:
            raise KafkaException(error)
        partitions = len(cluster.topics[topic].partitions)
        return _Log(str(cluster.cluster_id), max(0, int(found.offset)), int(end), partitions)

    def _stop_looking(self) -> None:
        if self._looker is not None:
            self._looker.close()
            self._looker = None

    # -- registry ------------------------------------------------------------------------------------------------

    async def schemas_known(self, records: Sequence[RawRecord]) -> None:
        """Wait until the registry has answered for every schema that `records` name, so that decoding never asks."""
        if {record.value[:5] for record in records if record.value} <= self._schemas:
            return
        for record in records:
            value = record.value
            if value and len(value) >= 5 and value[:5] not in self._schemas:
                await self._ask_registry(value)
                self._schemas.add(value[:5])

    async def _ask_registry(self, value: bytes) -> None:
        while True:
            try:
                await asyncio.to_thread(self.codec.decode, value)
                return
            except (BadRecordError, UnknownSchemaError):
                return  # an answer, too: the core will find the same
            except RegistryUnavailableError as error:
                await self._wait_for_registry(error)

    async def writers_known(self) -> None:
        """Wait until the schemas of `subjects` are known, so that encoding never asks."""
        if self._are_writers_known:
            return
        for subject in (*self.subjects, f"{DEAD_LETTER}-value"):
            while True:
                try:
                    await asyncio.to_thread(self.codec.prepare, subject)
                    break
                except RegistryUnavailableError as error:
                    await self._wait_for_registry(error)
        self._are_writers_known = True

    async def _wait_for_registry(self, error: RegistryUnavailableError) -> None:
        logger.warning("waiting for the schema registry: %s", error)
        await asyncio.sleep(RETRY_S)
        self.measure.waited("registry", RETRY_S)


def _other_partitions(topic: str, before: int, now: int) -> ConfigurationError:
    republish = "" if owner_of(topic) == BUS_OWNER else "have all its records published again, then "
    return ConfigurationError(
        f"topic {topic} had {before} partitions and has {now} now, which sends a key elsewhere than before, though a "
        f"count is fixed for life; {republish}file everything anew with `xiezhi refile` (docs/how-to/operate.md)"
    )
