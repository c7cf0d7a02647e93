"""Dead letters: what is written, how repeats are recognised, and when enough is enough."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from tests.alert_statements import bus_registry
from xiezhi.codec import Codec
from xiezhi.contracts.bus import DEAD_LETTER
from xiezhi.dead_letters import ATTEMPTS_HEADER, DETAIL_CHARS_MAX, DeadLetters, attempts_of
from xiezhi.envelope import Envelope
from xiezhi.errors import DeadLetterLimitError, DeliveryError, RegistryUnavailableError
from xiezhi.log import RawRecord

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


class Producer:
    """Keeps what it is given; says first that its queue is full as often as told."""

    def __init__(self, *, full: int = 0, error: Exception | None = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self.full, self.error, self.polls = full, error, 0

    def produce(self, topic: str, **record: Any) -> None:
        if self.full:
            self.full -= 1
            raise BufferError("Local: Queue full")
        if self.error is not None:
            raise self.error
        self.sent.append({"topic": topic, **record})

    def poll(self, timeout: float) -> int:
        self.polls += 1
        return 0


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


@pytest.fixture
def codec() -> Codec:
    return Codec(bus_registry())


def ignore(error: Any, message: Any) -> None:
    """A delivery report that nobody waits for."""


def raw(offset: int = 7, *, topic: str = "finance.payment.v1", **changes: Any) -> RawRecord:
    fields: dict[str, Any] = {
        "key": b"p-1",
        "value": b"\x00\xff",
        "headers": (("ce_id", b"x"), ("odd", None)),
    }
    return RawRecord(topic, 1, offset, 5_000, **{**fields, **changes})


def letters(
    producer: Producer, codec: Codec, *, clock: Callable[[], int] | None = None, limit: int = 10
) -> DeadLetters:
    return DeadLetters(producer, codec, stage="router", limit_per_minute=limit, clock=clock or Clock())


def send(desk: DeadLetters, record: RawRecord, detail: str = "5 bytes") -> None:
    desk.send(record, reason="truncated_frame", detail=detail, on_delivered=ignore)


def test_a_letter_holds_the_record_unchanged(codec: Codec) -> None:
    producer = Producer()
    send(letters(producer, codec), raw())
    (sent,) = producer.sent
    assert (sent["topic"], sent["key"], sent["on_delivery"]) == (
        DEAD_LETTER.topic,
        b"finance.payment.v1/1/7",
        ignore,
    )
    assert codec.decode(sent["value"]) == {
        "record_id": "finance.payment.v1/1/7",
        "stage": "router",
        "reason": "truncated_frame",
        "detail": "5 bytes",
        "attempts": 1,
        "source": {"topic": "finance.payment.v1", "partition": 1, "offset": 7, "ingested_ms": 5_000},
        "key": b"p-1",
        "value": b"\x00\xff",
        "headers": [{"name": "ce_id", "value": b"x"}, {"name": "odd", "value": None}],
        "failed_ms": 1_000_000,
    }


def test_null_key_and_value_stay_null(codec: Codec) -> None:
    producer = Producer()
    send(letters(producer, codec), raw(key=None, value=None, headers=()))
    content = codec.decode(producer.sent[0]["value"])
    assert (content["key"], content["value"], content["headers"]) == (None, None, [])


def test_the_same_failure_has_the_same_event_id_later_and_another_stage_has_not(codec: Codec) -> None:
    producer, clock = Producer(), Clock()
    send(letters(producer, codec, clock=clock), raw())
    clock.now_ms += 3_600_000
    send(letters(producer, codec, clock=clock), raw())
    DeadLetters(producer, codec, stage="judge", limit_per_minute=1, clock=clock).send(
        raw(), reason="truncated_frame", detail="", on_delivered=ignore
    )
    first, second, other = (Envelope.from_headers(sent["headers"]).event_id for sent in producer.sent)
    assert first == second != other


def test_jurisdiction_and_trace_of_the_record_travel_on_when_they_are_well_formed(codec: Codec) -> None:
    producer = Producer()
    good = (("ce_jurisdiction", b"330106000000"), ("traceparent", TRACEPARENT.encode()))
    for headers in (good, (("ce_jurisdiction", b"33"), ("traceparent", b"\xff")), good + good, ()):
        send(letters(producer, codec), raw(headers=headers))
    seen = [Envelope.from_headers(sent["headers"]) for sent in producer.sent]
    assert [(each.jurisdiction, each.traceparent) for each in seen] == [
        ("330106000000", TRACEPARENT),
        *[("000000000000", "")] * 3,
    ]


@pytest.mark.parametrize(
    ("value", "attempts"),
    [
        (b"2", 2),
        (b"17", 17),
        (b"", 1),
        (b"-1", 1),
        (b"99999999", 1),
        (b"\xff", 1),
        (None, 1),
        ("²".encode(), 1),
    ],
)
def test_attempts_are_read_from_the_header_of_a_replay(value: bytes | None, attempts: int) -> None:
    assert attempts_of([("other", b"9"), (ATTEMPTS_HEADER, value)]) == attempts


def test_a_detail_is_cut_and_never_unencodable(codec: Codec) -> None:
    producer = Producer()
    send(letters(producer, codec), raw(), "\ud800" + "字" * 10_000)
    assert len(codec.decode(producer.sent[0]["value"])["detail"]) == DETAIL_CHARS_MAX


def test_more_than_the_limit_of_a_topic_within_a_minute_stops_the_service(codec: Codec) -> None:
    producer, clock = Producer(), Clock()
    desk = letters(producer, codec, clock=clock, limit=3)
    for offset in range(3):
        send(desk, raw(offset))
    with pytest.raises(
        DeadLetterLimitError, match=r"router: more than 3 records of finance\.payment\.v1"
    ) as raised:
        send(desk, raw(3))
    assert raised.value.exit_code == 78
    assert len(producer.sent) == 3
    send(desk, raw(0, topic="tender.bid.v1"))


def test_the_limit_is_over_any_minute_not_over_clock_minutes(codec: Codec) -> None:
    clock = Clock()
    desk = letters(Producer(), codec, clock=clock, limit=2)
    send(desk, raw(0))
    clock.now_ms += 50_000
    send(desk, raw(1))
    clock.now_ms += 10_000  # the first is a minute old
    send(desk, raw(2))
    clock.now_ms += 39_999  # the second is not
    with pytest.raises(DeadLetterLimitError):
        send(desk, raw(3))


def test_a_clock_set_back_does_not_stop_the_service(codec: Codec) -> None:
    clock = Clock()
    desk = letters(Producer(), codec, clock=clock, limit=1)
    send(desk, raw(0))
    clock.now_ms -= 3_600_000
    send(desk, raw(1))


def test_an_unreachable_registry_is_not_counted(codec: Codec) -> None:
    class Away:
        def encode(self, *_: Any) -> bytes:
            raise RegistryUnavailableError("down")

    desk = letters(Producer(), Away(), limit=1)  # type: ignore[arg-type]
    for _ in range(3):
        with pytest.raises(RegistryUnavailableError):
            send(desk, raw())


def test_a_full_queue_is_waited_for(codec: Codec) -> None:
    producer = Producer(full=3)
    send(letters(producer, codec), raw())
    assert (len(producer.sent), producer.polls) == (1, 3)


@pytest.mark.parametrize(
    "producer",
    [Producer(full=10**9), Producer(error=KafkaException(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)))],
)
def test_a_letter_that_cannot_be_sent_is_an_error(codec: Codec, producer: Producer) -> None:
    with pytest.raises(DeliveryError, match=r"finance\.payment\.v1/1/7"):
        send(letters(producer, codec), raw())
