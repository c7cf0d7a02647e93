"""Dead letters: where a record goes that breaks its contract, whole, to be looked at and sent again.

A stage that cannot use a record keeps its original bytes, headers and address here and goes on. Only bad
*records* come here: an unreachable registry is waited for, an unexpected error ends the process. So many dead
letters of one topic that the input itself must be wrong end it too (exit code 78). Listing and replaying live
in `xiezhi.dead_letter_log`.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from confluent_kafka import KafkaException

from xiezhi.codec import Codec
from xiezhi.contracts.bus import DEAD_LETTER
from xiezhi.envelope import Envelope
from xiezhi.errors import DeadLetterLimitError, DeliveryError
from xiezhi.log import Headers, RawRecord

#: Header of a replayed record: how often it was tried. Absent on a record that comes from its department.
ATTEMPTS_HEADER = "xz_attempts"
#: Header of a replayed record: the address at which it failed first, so that its attempts are told apart from others.
ORIGIN_HEADER = "xz_origin"
#: `message.max.bytes` of a producer of dead letters: each holds a whole record and more headers.
MESSAGE_BYTES_MAX = 8 * 1024 * 1024
#: The explanation is for a reader's eyes; a parser's message may quote kilobytes of the record.
DETAIL_CHARS_MAX = 500
_WINDOW_MS = 60_000
_QUEUE_WAIT_S = 0.1
_QUEUE_WAITS_MAX = 300
_JURISDICTION_UNKNOWN = "000000000000"
_JURISDICTION = re.compile(r"[0-9]{12}")
_TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")

OnDelivered = Callable[[Any, Any], None]


class RawProducer(Protocol):
    """What is used of `confluent_kafka.Producer`."""

    def produce(
        self,
        topic: str,
        *,
        key: bytes,
        value: bytes,
        headers: list[tuple[str, bytes]],
        on_delivery: OnDelivered,
    ) -> None: ...

    def poll(self, timeout: float) -> int: ...


class DeadLetters:
    """Writes the dead letters of one stage. Not thread-safe: used from one thread, the one that polls."""

    def __init__(
        self,
        producer: RawProducer,
        codec: Codec,
        *,
        stage: str,
        limit_per_minute: int,
        clock: Callable[[], int],
    ) -> None:
        """`producer` takes messages of MESSAGE_BYTES_MAX; `clock` gives milliseconds since 1970."""
        self._producer = producer
        self._codec = codec
        self._stage = stage
        self._limit = limit_per_minute
        self._clock = clock
        self._sent_ms: dict[str, deque[int]] = {}

    def send(self, record: RawRecord, *, reason: str, detail: str, on_delivered: OnDelivered) -> None:
        """Hand the dead letter of `record` to the producer; `on_delivered(error, message)` is its report.

        Nothing is durable when this returns: the caller acknowledges `record` only after `on_delivered`
        without error. Blocks only while the producer's queue is full. Raises DeadLetterLimitError,
        DeliveryError, and RegistryUnavailableError (nothing was counted or sent: try again).
        """
        now_ms = self._clock()
        letter = letter_of(record, stage=self._stage, reason=reason, detail=detail, failed_ms=now_ms)
        value = self._codec.encode(DEAD_LETTER.subject, letter)
        self._count(record.topic, now_ms)
        headers = envelope_of(record, stage=self._stage).to_headers()
        self._produce(address(record).encode(), value, headers, on_delivered)

    def _count(self, topic: str, now_ms: int) -> None:
        sent = self._sent_ms.setdefault(topic, deque())
        while sent and not 0 <= now_ms - sent[0] < _WINDOW_MS:  # a clock set back forgets rather than stops
            sent.popleft()
        if len(sent) >= self._limit:
            raise DeadLetterLimitError(
                f"{self._stage}: more than {self._limit} records of {topic} within a minute cannot be used, "
                f"so the topic itself must be wrong. See `xiezhi dead-letters list --topic {topic}`, mend "
                "the publisher or the contract, then start the service again; "
                "XIEZHI_DEAD_LETTERS_PER_MINUTE_MAX sets the limit"
            )
        sent.append(now_ms)

    def _produce(
        self, key: bytes, value: bytes, headers: list[tuple[str, bytes]], on_delivered: OnDelivered
    ) -> None:
        for _ in range(_QUEUE_WAITS_MAX):
            try:
                return self._producer.produce(
                    DEAD_LETTER.topic, key=key, value=value, headers=headers, on_delivery=on_delivered
                )
            except BufferError:
                self._producer.poll(_QUEUE_WAIT_S)
            except KafkaException as error:
                raise DeliveryError(f"the dead letter of {key.decode()} was refused: {error}") from error
        raise DeliveryError(f"the dead letter of {key.decode()} found no room in the producer's queue")


def address(record: RawRecord) -> str:
    """`topic/partition/offset`: key and record id of the dead letter."""
    return f"{record.topic}/{record.partition}/{record.offset}"


def attempts_of(headers: Headers) -> int:
    """How often this record was tried, this time included: 1 unless it is a replay."""
    written = _header(headers, ATTEMPTS_HEADER)
    return int(written) if written.isdecimal() and len(written) < 6 else 1


def letter_of(
    record: RawRecord, *, stage: str, reason: str, detail: str, failed_ms: int
) -> Mapping[str, Any]:
    """The dead letter as a value of its contract."""
    return {
        "record_id": address(record),
        "stage": stage,
        "reason": reason,
        "detail": detail[:DETAIL_CHARS_MAX].encode(errors="replace").decode(),
        "attempts": attempts_of(record.headers),
        "source": {
            "topic": record.topic,
            "partition": record.partition,
            "offset": record.offset,
            "ingested_ms": record.ingested_ms,
        },
        "key": record.key,
        "value": record.value,
        "headers": [{"name": name, "value": value} for name, value in record.headers],
        "failed_ms": failed_ms,
    }


def envelope_of(record: RawRecord, *, stage: str) -> Envelope:
    """The same record failing at the same stage gives the same event id, so a repeat is recognisable.

    That is why the event's time is the record's ingestion and not the moment of failure.
    """
    jurisdiction = _header(record.headers, "ce_jurisdiction")
    traceparent = _header(record.headers, "traceparent")
    return Envelope.create(
        source=f"urn:xiezhi:{stage}",
        type=DEAD_LETTER.topic,
        subject=address(record),
        occurred_ms=record.ingested_ms,
        version=0,
        jurisdiction=jurisdiction if _JURISDICTION.fullmatch(jurisdiction) else _JURISDICTION_UNKNOWN,
        traceparent=traceparent if _TRACEPARENT.fullmatch(traceparent) else "",
    )


def _header(headers: Headers, name: str) -> str:
    """The one value of a header as ASCII text; "" when absent, repeated or not ASCII."""
    found = [value for header, value in headers if header == name]
    if len(found) != 1 or found[0] is None or not found[0].isascii():
        return ""
    return found[0].decode("ascii")
