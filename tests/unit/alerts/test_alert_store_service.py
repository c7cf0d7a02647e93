"""The service between topic and store, over a consumer that holds its log in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, KafkaError, TopicPartition

from consumers.alerts.rejection import DeadLetterDesk, Rejected
from consumers.alerts.service import AlertStoreService
from consumers.alerts.statement import Filter
from consumers.alerts.store import AlertStore
from tests.alert_statements import alert, bus_registry, record
from xiezhi.codec import Codec
from xiezhi.contracts.bus import ALERT
from xiezhi.dead_letters import DeadLetters
from xiezhi.errors import (
    ConfigurationError,
    DeadLetterLimitError,
    DeliveryError,
    RegistryUnavailableError,
    StoreError,
    XiezhiError,
)
from xiezhi.log import RawRecord


class Message:
    """A record or an error event, as the client hands it out."""

    def __init__(self, raw: RawRecord, error: KafkaError | None = None) -> None:
        self._raw, self._error = raw, error

    def error(self) -> KafkaError | None:
        return self._error

    def topic(self) -> str:
        return self._raw.topic

    def partition(self) -> int:
        return self._raw.partition

    def offset(self) -> int:
        return self._raw.offset

    def timestamp(self) -> tuple[int, int]:
        return 2, self._raw.ingested_ms

    def key(self) -> bytes | None:
        return self._raw.key

    def value(self) -> bytes | None:
        return self._raw.value

    def headers(self) -> list[tuple[str, bytes | None]]:
        return list(self._raw.headers)


class Consumer:
    """Reads a list of records per partition; `at_end` runs whenever there is nothing more to read."""

    def __init__(self, log: Sequence[RawRecord], at_end: Callable[[], None]) -> None:
        self.log, self.at_end = log, at_end
        self.places: dict[int, int] = {}
        self.committed: dict[int, int] = {}
        self.events: list[Message] = []

    def subscribe(self, topics: list[str], on_assign: Callable[[Any, list[TopicPartition]], None]) -> None:
        assert topics == [ALERT.topic]
        on_assign(self, [TopicPartition(ALERT.topic, partition) for partition in (0, 1)])

    def assign(self, partitions: list[TopicPartition]) -> None:
        for each in partitions:
            self.seek(each)

    def seek(self, place: TopicPartition) -> None:
        self.places[place.partition] = 0 if place.offset == OFFSET_BEGINNING else place.offset

    def poll(self, timeout: float) -> Message | None:
        if self.events:
            return self.events.pop(0)
        for raw in self.log:
            if raw.offset == self.places[raw.partition]:
                self.places[raw.partition] += 1
                return Message(raw)
        self.at_end()
        return None

    def consume(self, number: int, timeout: float) -> list[Message]:
        assert timeout == 0
        found: list[Message] = []
        at_end, self.at_end = self.at_end, lambda: None
        while len(found) < number and (message := self.poll(0)) is not None:
            found.append(message)
        self.at_end = at_end
        return found

    def commit(self, *, offsets: list[TopicPartition], asynchronous: bool) -> None:
        self.committed.update({each.partition: each.offset for each in offsets})


@pytest.fixture
def codec() -> Codec:
    return Codec(bus_registry())


@pytest.fixture
def store() -> Iterator[AlertStore]:
    opened = AlertStore.open("sqlite://")
    yield opened
    opened.close()


def no_dead_letters(rejected: Rejected) -> None:
    assert rejected == []


class Bench:
    """A service over a log, which stops at the log's end."""

    def __init__(
        self,
        log: Sequence[RawRecord],
        codec: Codec,
        store: AlertStore,
        reject: Callable[[Rejected], None] = no_dead_letters,
        forward: Callable[[], None] = lambda: None,
    ) -> None:
        self.stopping = threading.Event()
        self.consumer = Consumer(log, self.stopping.set)
        self.service = AlertStoreService(
            consumer=self.consumer,
            codec=codec,
            store=store,
            reject=reject,
            forward=forward,
            clock=lambda: 77,
            stopping=self.stopping,
        )

    def run(self) -> Consumer:
        self.service.run()
        return self.consumer


def positions(store: AlertStore) -> dict[str, int]:
    return {each.alert.record_id: each.alert.position for each in store.standing(Filter(), limit=100)}


def test_what_is_said_is_stored_and_then_acknowledged(codec: Codec, store: AlertStore) -> None:
    log = [
        record(codec, alert("al_1", 3), partition=0, offset=0),
        record(codec, alert("al_2", 4), partition=1, offset=0),
        record(codec, alert("al_1", 5), partition=0, offset=1),
    ]
    consumer = Bench(log, codec, store).run()
    assert positions(store) == {"al_1": 5, "al_2": 4}
    assert store.next_offsets(ALERT.topic) == consumer.committed == {0: 2, 1: 1}
    assert {each.stored_ms for each in store.standing(Filter(), limit=9)} == {77}


def test_reading_goes_on_from_the_database_and_tells_the_group(codec: Codec, store: AlertStore) -> None:
    log = [record(codec, alert(f"al_{offset}", 1), offset=offset) for offset in range(3)]
    store.apply([], {(ALERT.topic, 0): 2}, stored_ms=1)
    bench = Bench(log, codec, store)
    bench.service.assigned(bench.consumer, [TopicPartition(ALERT.topic, 0)])
    assert bench.consumer.places == {0: 2}
    bench.run()
    assert positions(store) == {"al_2": 1}
    assert bench.consumer.committed == {0: 3}


def test_offsets_known_to_the_database_alone_reach_the_group_when_idle(
    codec: Codec, store: AlertStore
) -> None:
    store.apply([], {(ALERT.topic, 0): 2}, stored_ms=1)
    bench = Bench([], codec, store)
    assert bench.run().committed == {0: 2}


def test_a_failed_commit_is_tried_again_and_a_successful_one_is_not(codec: Codec, store: AlertStore) -> None:
    bench = Bench([record(codec, alert(), offset=0)], codec, store)
    bench.run()
    done = [TopicPartition(ALERT.topic, 0, 1)]
    bench.service.committed(KafkaError(KafkaError._FAIL), done)
    assert bench.service._behind == {0: 1}
    bench.service.committed(None, done)
    assert bench.service._behind == {}


def test_a_kill_between_transaction_and_commit_has_no_second_effect(codec: Codec, store: AlertStore) -> None:
    class Killed(Exception):
        pass

    def kill(**_: Any) -> None:
        raise Killed

    log = [record(codec, alert("al_1", 3), offset=0), record(codec, alert("al_2", 3), offset=1)]
    first = Bench(log, codec, store)
    first.consumer.commit = kill  # type: ignore[method-assign]
    with pytest.raises(Killed):
        first.run()
    before = store.after(0, Filter(), limit=100)
    log.append(record(codec, alert("al_3", 9), offset=2))
    second = Bench(log, codec, store)
    second.run()
    assert store.after(0, Filter(), limit=100).statements[:2] == before.statements
    assert store.last_seq() == 3
    assert second.consumer.committed == {0: 3}


def test_a_kill_before_the_transaction_loses_nothing(codec: Codec, store: AlertStore) -> None:
    log = [record(codec, alert("al_1", 3), offset=0)]
    first = Bench(log, codec, store)
    first.service.assigned(first.consumer, [TopicPartition(ALERT.topic, 0)])
    assert first.service._read() != []
    assert positions(Bench(log, codec, store).service._store) == {}
    Bench(log, codec, store).run()
    assert positions(store) == {"al_1": 3}


def test_what_is_no_alert_is_rejected_and_the_rest_goes_on(codec: Codec, store: AlertStore) -> None:
    good, bad = record(codec, alert("al_1", 3), offset=1), record(codec, alert("al_2", 3), offset=0)
    broken = RawRecord(bad.topic, 0, 0, bad.ingested_ms, bad.key, b"\x01", bad.headers)
    rejected: Rejected = []
    consumer = Bench([broken, good], codec, store, rejected.extend).run()
    assert [(raw.offset, error.reason) for raw, error in rejected] == [(0, "truncated_frame")]
    assert positions(store) == {"al_1": 3}
    assert consumer.committed == {0: 2}


def test_a_dead_letter_that_is_not_accepted_leaves_the_batch_unread(codec: Codec, store: AlertStore) -> None:
    def refuse(_: Rejected) -> None:
        raise DeliveryError("no")

    bench = Bench([record(codec, alert("al_1", 3), offset=0)], codec, store, refuse)
    with pytest.raises(DeliveryError):
        bench.run()
    assert (positions(store), bench.consumer.committed, store.next_offsets(ALERT.topic)) == ({}, {}, {})


def test_an_unreachable_registry_is_waited_for(
    codec: Codec, store: AlertStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Recovering(Codec):
        failures = 2

        def decode_as(self, topic: str, data: bytes) -> dict[str, Any]:
            if self.failures:
                self.failures -= 1
                raise RegistryUnavailableError("down")
            return super().decode_as(topic, data)

    monkeypatch.setattr("consumers.alerts.service._REGISTRY_RETRY_S", 0.0)
    log = [record(codec, alert("al_1", 3), offset=0), record(codec, alert("al_2", 3), offset=1)]
    Bench(log, Recovering(bus_registry()), store).run()
    assert positions(store) == {"al_1": 3, "al_2": 3}


def test_a_database_that_fails_ends_the_service_unacknowledged(codec: Codec, store: AlertStore) -> None:
    bench = Bench([record(codec, alert("al_1", 3), offset=0)], codec, store)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alert_history")
    with pytest.raises(StoreError):
        bench.run()
    assert bench.consumer.committed == {}


def test_an_offset_that_is_gone_ends_the_service_for_good(codec: Codec, store: AlertStore) -> None:
    bench = Bench([], codec, store)
    gone = KafkaError(KafkaError._AUTO_OFFSET_RESET)
    bench.consumer.events = [Message(RawRecord(ALERT.topic, 0, 0, 0, None, None), gone)]
    with pytest.raises(ConfigurationError, match="created anew"):
        bench.run()


def test_an_event_that_passes_by_itself_is_no_record(codec: Codec, store: AlertStore) -> None:
    bench = Bench([record(codec, alert("al_1", 3), offset=0)], codec, store)
    passing = KafkaError(KafkaError._TRANSPORT)
    bench.consumer.events = [Message(RawRecord(ALERT.topic, 0, 0, 0, None, None), passing)]
    bench.run()
    assert positions(store) == {"al_1": 3}


class Producer:
    """Accepts everything and reports it at the next flush."""

    def __init__(self, outcome: str | None = None, stuck: int = 0) -> None:
        self.outcome, self.stuck = outcome, stuck
        self.reports: list[Callable[[Any, Any], None]] = []

    def produce(self, topic: str, *, on_delivery: Callable[[Any, Any], None], **_: Any) -> None:
        self.reports.append(on_delivery)

    def poll(self, timeout: float) -> int:
        return 0

    def flush(self, timeout: float) -> int:
        for report in self.reports:
            report(self.outcome, None)
        return self.stuck


def desk(codec: Codec, producer: Producer, limit: int = 100) -> DeadLetterDesk:
    letters = DeadLetters(producer, codec, stage="alert-store", limit_per_minute=limit, clock=lambda: 1)
    return DeadLetterDesk(producer, letters)


@pytest.mark.parametrize(
    ("producer", "limit", "error"),
    [
        (Producer(outcome="refused"), 100, DeliveryError),
        (Producer(stuck=1), 100, DeliveryError),
        (Producer(), 1, DeadLetterLimitError),
    ],
)
def test_dead_letters_are_awaited(
    codec: Codec, store: AlertStore, producer: Producer, limit: int, error: type[XiezhiError]
) -> None:
    log = [RawRecord(ALERT.topic, 0, offset, 1_000, b"al_1", b"\x01") for offset in range(2)]
    with pytest.raises(error):
        Bench(log, codec, store, desk(codec, producer, limit)).run()
    assert store.next_offsets(ALERT.topic) == {}


def test_accepted_dead_letters_let_the_batch_go_on(codec: Codec, store: AlertStore) -> None:
    producer = Producer()
    log = [RawRecord(ALERT.topic, 0, 0, 1_000, b"al_1", b"\x01")]
    Bench(log, codec, store, desk(codec, producer)).run()
    assert len(producer.reports) == 1
    assert store.next_offsets(ALERT.topic) == {0: 1}
