"""Reading a partition of the log directly: a range of it, or to its end, without a consumer group.

For whoever restores state, checks, or computes in batch. Live consumption goes through consumer groups instead.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Sequence
from operator import methodcaller
from time import monotonic, sleep
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from xiezhi.errors import BrokerUnavailableError, DeliveryError

Headers = Sequence[tuple[str, bytes | None]]
_Answer = TypeVar("_Answer")

#: Stands for the headers of a record when the name of one is not UTF-8: no client gives us any of them then.
UNREADABLE_HEADERS: Headers = (("xz_unreadable", None),)

#: Records per call into the client: large enough that the call does not matter, small enough to stay responsive.
CHUNK_RECORDS = 2_000
#: Without an answer for so long the broker is taken as unreachable.
TIMEOUT_S = 30.0
#: Between two questions to a partition whose leader is not known yet.
_LEADER_RETRY_S = 0.1
_LEADERLESS = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
_UNREACHABLE = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)


def once_led(ask: Callable[[], _Answer], timeout_s: float) -> _Answer:
    """What `ask` returns, asked again while a partition has no leader: just created, or its broker starts again.

    Raises the KafkaException of the last time after `timeout_s`.
    """
    deadline = monotonic() + timeout_s
    while True:
        try:
            return ask()
        except KafkaException as error:
            if error.args[0].code() not in _LEADERLESS or monotonic() > deadline:
                raise
        sleep(_LEADER_RETRY_S)


class RawRecord(NamedTuple):
    """A Kafka record as it was read: bytes and address, nothing decoded. `ingested_ms` is the log append time.

    A tuple, since every stage makes one of every record it reads: a third of the time that a frozen dataclass takes.
    """

    topic: str
    partition: int
    offset: int
    ingested_ms: int
    key: bytes | None
    value: bytes | None
    headers: Headers = ()

    @classmethod
    def from_message(cls, message: Any) -> RawRecord:
        """From a `confluent_kafka.Message` that carries no error."""
        return cls(
            message.topic(),
            message.partition(),
            message.offset(),
            message.timestamp()[1],
            message.key(),
            message.value(),
            _headers(message),
        )


#: Called this way, since on a name that is not UTF-8 the client returns a result *and* leaves an exception behind: the
#: interpreter looks for it here, while after an ordinary call, once that is optimised, it turns up at some later line.
_call_headers = methodcaller("headers")


def _headers(message: Any) -> Headers:
    try:
        return _call_headers(message) or ()
    except (SystemError, UnicodeDecodeError):  # what the client makes of a name that is not UTF-8
        return UNREADABLE_HEADERS


class KafkaLog(Protocol):
    """What may be read of the log by whoever knows where: what `LogReader` does, or a log in memory."""

    def partitions(self, topic: str) -> int: ...
    def range(self, topic: str, partition: int) -> tuple[int, int]: ...
    def read(
        self, topic: str, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[RawRecord]]: ...


class LogReader:
    """Reads partitions by offset. Blocking; one thread at a time. Close it, or use it as a context manager."""

    def __init__(
        self, bootstrap_servers: str, timeout_s: float | None = None, /, **options: str | int | bool
    ) -> None:
        """`timeout_s` is TIMEOUT_S unless given; `options` are the client's. Opens no connection."""
        self._timeout_s = TIMEOUT_S if timeout_s is None else timeout_s
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap_servers,
                "group.id": "xiezhi-log-reader",  # required by the client, never joined or committed to
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,  # where there is no record any more, only markers of transactions
                "fetch.wait.max.ms": 20,
                "reconnect.backoff.ms": 500,
                **options,
            },
            logger=logging.getLogger("librdkafka"),  # the client would write to stderr by itself
        )
        self._bootstrap_servers = bootstrap_servers

    def partitions(self, topic: str) -> int:
        """Number of partitions; 0 when the topic does not exist. Raises BrokerUnavailableError."""
        try:
            found = self._consumer.list_topics(topic, timeout=self._timeout_s).topics[topic]
        except KafkaException as error:
            raise self._unavailable() from error
        return 0 if found.error is not None else len(found.partitions)

    def range(self, topic: str, partition: int) -> tuple[int, int]:
        """(first offset, offset after the last). Raises BrokerUnavailableError, DeliveryError without the partition."""
        try:
            low, high = once_led(
                lambda: self._consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=self._timeout_s
                ),
                self._timeout_s,
            )
        except KafkaException as error:
            if error.args[0].code() in _UNREACHABLE:
                raise self._unavailable() from error
            raise DeliveryError(f"cannot read the range of {topic}/{partition}: {error}") from error
        return low, high

    def offset_at(self, topic: str, partition: int, instant_ms: int) -> int:
        """The first offset appended at `instant_ms` or later; the end when there is none.

        Raises BrokerUnavailableError, DeliveryError without the partition.
        """
        try:
            wanted = [TopicPartition(topic, partition, instant_ms)]
            found = self._consumer.offsets_for_times(wanted, timeout=self._timeout_s)[0]
        except KafkaException as error:
            if error.args[0].code() in _UNREACHABLE:
                raise self._unavailable() from error
            raise DeliveryError(f"cannot look up an instant in {topic}/{partition}: {error}") from error
        if found.error is not None:
            raise DeliveryError(f"cannot look up an instant in {topic}/{partition}: {found.error}")
        return int(found.offset) if found.offset >= 0 else self.range(topic, partition)[1]

    def read(
        self, topic: str, partition: int, start: int, end: int | None = None
    ) -> Generator[list[RawRecord], None, None]:
        """Chunks of records from `start` up to `end` (exclusive; None: the end as of now), in offset order.

        Offsets that hold no record are passed over: the markers of transactions, and what was aborted. Raises
        DeliveryError when records in the range can no longer or not yet be read: nothing is skipped silently.
        """
        low, high = self.range(topic, partition)
        is_open = end is None
        end = high if end is None else end
        if start >= end:
            return
        if start < low:
            raise DeliveryError(f"{topic}/{partition} starts at offset {low}; {start} to {low} are gone")
        self._consumer.assign([TopicPartition(topic, partition, start)])
        position = start
        try:
            while position < end:
                found, position = self._chunk(f"{topic}/{partition}", position, end - position)
                chunk = [record for record in found if record.offset < end]
                if chunk:
                    yield chunk
                if not found and position < end:
                    if is_open:
                        return  # what follows belongs to a transaction that is still open
                    raise DeliveryError(f"{topic}/{partition}: {position} to {end} cannot be read yet")
        finally:
            self._consumer.unassign()

    def _chunk(self, place: str, position: int, wanted: int) -> tuple[list[RawRecord], int]:
        """(records, the offset up to which there are no others); no records at the end of what can be read.

        At most `wanted`: the client waits for as many as it is asked for.
        """
        first = self._consumer.poll(self._timeout_s)
        if first is None:
            raise DeliveryError(f"{place}: no records from offset {position} for {self._timeout_s} s")
        records = []
        for message in [first, *self._consumer.consume(min(CHUNK_RECORDS, wanted) - 1, 0.05)]:
            error = message.error()
            if error is None:
                records.append(RawRecord.from_message(message))
                position = message.offset() + 1
            elif error.code() == KafkaError._PARTITION_EOF:
                position = max(position, message.offset())
            else:
                raise DeliveryError(f"reading the log failed: {error}")
        return records, position

    def _unavailable(self) -> BrokerUnavailableError:
        return BrokerUnavailableError(
            f"no Kafka broker answers at {self._bootstrap_servers}; start one (`make up`) or set "
            "XIEZHI_BOOTSTRAP_SERVERS"
        )

    def close(self) -> None:
        self._consumer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
