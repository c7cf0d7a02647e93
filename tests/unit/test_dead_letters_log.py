"""Which records wait among the dead letters, and what a replay does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from tests.alert_statements import bus_registry
from xiezhi.codec import Codec
from xiezhi.contracts.dead_letter import DeadLetter
from xiezhi.dead_letter_log import REPLAY_STAGE, DeadRecord, Letter, Replayed, dead_records, replay
from xiezhi.dead_letters import ATTEMPTS_HEADER, ORIGIN_HEADER, DeadLetters, letter_of
from xiezhi.errors import DeliveryError
from xiezhi.log import RawRecord

TOPIC = "finance.payment.v1"


def letter(
    offset: int,
    *,
    stage: str = "router",
    reason: str = "unknown_schema",
    failed_ms: int = 1,
    headers: Mapping[str, bytes] | None = None,
) -> Letter:
    record = RawRecord(TOPIC, 1, offset, 5, b"k", b"value", (("ce_id", b"x"), *(headers or {}).items()))
    content = letter_of(record, stage=stage, reason=reason, detail="", failed_ms=failed_ms)
    return Letter(DeadLetter.model_validate(content), f"{stage}-{offset}", 5)


def again(offset: int, origin: int, attempts: int, **changes: Any) -> Letter:
    headers = {ATTEMPTS_HEADER: b"%d" % attempts, ORIGIN_HEADER: f"{TOPIC}/1/{origin}".encode()}
    return letter(offset, headers=headers, **changes)


def note(origin: int, attempts: int, offset: int | None = None) -> Letter:
    at = origin if offset is None else offset
    return again(at, origin, attempts, stage=REPLAY_STAGE, reason="replayed")


def test_repeats_of_a_letter_count_once_and_stages_belong_together() -> None:
    (record,) = dead_records([letter(7), letter(7), letter(7, stage="judge")])
    assert record.origin == f"{TOPIC}/1/7"
    assert [each.content.stage for each in record.letters] == ["router", "judge"]
    assert record.waits


def test_a_record_that_was_sent_again_waits_no_more_until_it_fails_again() -> None:
    assert [r.waits for r in dead_records([letter(7), note(7, 1)])] == [False]
    (record,) = dead_records([again(9, 7, 2), note(7, 1), letter(7)])
    assert record.waits
    assert record.newest.content.attempts == 2
    assert record.addresses == {f"{TOPIC}/1/7", f"{TOPIC}/1/9"}
    assert [r.waits for r in dead_records([again(9, 7, 2), note(7, 1), letter(7), note(7, 2, 9)])] == [False]


def test_a_note_alone_is_no_dead_record() -> None:
    assert dead_records([note(7, 1)]) == []


def test_the_newest_failure_comes_first() -> None:
    found = dead_records([letter(1, failed_ms=5), letter(2, failed_ms=9), letter(3, failed_ms=7)])
    assert [each.newest.content.source.offset for each in found] == [2, 3, 1]


@pytest.mark.parametrize("origin", [b"tender.bid.v1/1/7", b"finance.payment.v1/0/7", b"\xff", b""])
def test_an_origin_in_another_place_is_not_believed(origin: bytes) -> None:
    forged = letter(9, headers={ORIGIN_HEADER: origin, ATTEMPTS_HEADER: b"9"})
    assert forged.origin == f"{TOPIC}/1/9"


class Producer:
    """Reports at flush; `refused` topics fail."""

    def __init__(self, *, refused: str = "", raises: Exception | None = None) -> None:
        self.sent: list[dict[str, Any]] = []
        self.refused, self.raises = refused, raises
        self._reports: list[Callable[[], None]] = []

    def produce(self, topic: str, *, on_delivery: Callable[[Any, Any], None], **record: Any) -> None:
        if self.raises is not None:
            raise self.raises
        error = "refused" if topic == self.refused else None
        self.sent.append({"topic": topic, **record})
        self._reports.append(lambda: on_delivery(error, None))

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        for report in self._reports:
            report()
        self._reports.clear()
        return 0


def replayed(producer: Producer, records: list[DeadRecord]) -> list[Replayed]:
    desk = DeadLetters(
        producer, Codec(bus_registry()), stage=REPLAY_STAGE, limit_per_minute=10**6, clock=lambda: 99
    )
    results: list[Replayed] = []
    replay(records, producer, desk, on_result=results.append)
    return results


def test_a_replay_sends_the_original_to_where_it_came_from_and_notes_it() -> None:
    producer = Producer()
    results = replayed(producer, dead_records([letter(7)]))
    assert [each.error for each in results] == [""]
    sent, noted = producer.sent
    assert sent == {
        "topic": TOPIC,
        "partition": 1,
        "key": b"k",
        "value": b"value",
        "headers": [("ce_id", b"x"), (ATTEMPTS_HEADER, b"2"), (ORIGIN_HEADER, b"finance.payment.v1/1/7")],
    }
    assert noted["topic"] == "xiezhi.dead-letter.v1"
    assert noted["key"] == b"finance.payment.v1/1/7"


def test_the_note_of_a_replay_answers_its_letter() -> None:
    producer, codec = Producer(), Codec(bus_registry())
    replayed(producer, dead_records([letter(7), again(9, 7, 2)]))
    noted = Letter(DeadLetter.model_validate(codec.decode(producer.sent[1]["value"])), "note", 0)
    assert dead_records([letter(7), again(9, 7, 2), noted])[0].waits is False
    assert dead_records([letter(7), again(9, 7, 2), noted, again(11, 7, 3)])[0].waits is True


def test_headers_of_an_earlier_replay_are_replaced_not_repeated() -> None:
    producer = Producer()
    replayed(producer, dead_records([letter(7), again(9, 7, 2)]))
    assert producer.sent[0]["headers"] == [
        ("ce_id", b"x"),
        (ATTEMPTS_HEADER, b"3"),
        (ORIGIN_HEADER, b"finance.payment.v1/1/7"),
    ]


@pytest.mark.parametrize("producer", [Producer(refused=TOPIC), Producer(raises=BufferError("full"))])
def test_what_was_not_sent_is_reported_and_not_noted(producer: Producer) -> None:
    results = replayed(producer, dead_records([letter(7), letter(8)]))
    assert all(each.error for each in results)
    assert {each["topic"] for each in producer.sent} <= {TOPIC}


def test_a_note_that_is_not_accepted_is_an_error() -> None:
    with pytest.raises(DeliveryError, match="sent, but 2 notes"):
        replayed(Producer(refused="xiezhi.dead-letter.v1"), dead_records([letter(7), letter(8)]))


def test_many_records_are_sent_in_portions() -> None:
    producer = Producer()
    assert len(replayed(producer, dead_records([letter(offset) for offset in range(250)]))) == 250
    assert len(producer.sent) == 500
