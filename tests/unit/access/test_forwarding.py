"""From the outbox to the bus: at least once, recognisable, and never in the way of alerts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException
from sqlalchemy import select, update

from consumers.alerts.forwarding import LOT_MAX, RETRY_MS, SET_ASIDE_MAX, SET_ASIDE_MS, Forwarder
from consumers.alerts.store import AlertStore
from consumers.alerts.tables import outbox
from xiezhi.access import Act, accesses
from xiezhi.codec import Codec
from xiezhi.contracts.bus import ACCESS
from xiezhi.envelope import Envelope
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings


class Producer:
    """Keeps what it is given; reports when asked to."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self._reports: list[Callable[[Any], None]] = []
        self.refuses = False

    def produce(self, topic: str, *, on_delivery: Callable[[Any, Any], None], **record: Any) -> None:
        if self.refuses:
            raise KafkaException(KafkaError(KafkaError._QUEUE_FULL))
        self.sent.append({"topic": topic, **record})
        self._reports.append(lambda error: on_delivery(error, None))

    def report(self, error: object = None) -> None:
        reports, self._reports = self._reports, []
        for one in reports:
            one(error)

    def poll(self, timeout_s: float) -> int:
        assert timeout_s == 0
        return 0

    def flush(self, timeout_s: float) -> int:
        self.report()
        return 0

    @property
    def ids(self) -> list[str]:
        return [record["key"].decode() for record in self.sent]


class Bench:
    """An outbox, a producer in hand, and a clock that stands."""

    def __init__(self, store: AlertStore, *, registered: bool = True) -> None:
        registry = InMemoryRegistry()
        if registered:
            registry.register(ACCESS.subject, json.dumps(ACCESS.schema))
        self.now_ms, self.producer, self.outbox = 0, Producer(), store.outbox
        self.forward = Forwarder(store.outbox, Codec(registry), self.producer, clock=lambda: self.now_ms)

    def look(self, number: int = 1) -> None:
        for _ in range(number):
            act = Act("read", "alert", ("al_1",), "alerts show")
            self.outbox.put(accesses(Settings(), act, purpose="", now_ms=5))


@pytest.fixture
def store() -> Iterator[AlertStore]:
    opened = AlertStore.open("sqlite://")
    yield opened
    opened.close()


def test_a_record_leaves_the_outbox_once_the_broker_has_it_and_not_before(store: AlertStore) -> None:
    bench = Bench(store)
    bench.look()
    bench.forward()
    bench.forward()
    assert len(bench.producer.sent) == len(bench.outbox.waiting(9)) == 1
    bench.producer.report()
    bench.forward()
    assert bench.outbox.waiting(9) == ()
    bench.forward()
    assert len(bench.producer.sent) == 1


def test_a_process_that_died_before_the_report_repeats_it_under_the_same_event_id(store: AlertStore) -> None:
    first, second = Bench(store), Bench(store)
    first.look()
    first.forward()
    second.forward()
    one, other = first.producer.sent[0], second.producer.sent[0]
    assert one == other
    envelope = Envelope.from_headers(one["headers"])
    assert (envelope.type, envelope.subject) == (ACCESS.topic, one["key"].decode())


def test_what_the_broker_refuses_is_tried_again_after_a_while(store: AlertStore) -> None:
    bench = Bench(store)
    bench.look()
    bench.forward()
    bench.producer.report("timed out")
    bench.forward()
    assert len(bench.producer.sent) == 1
    bench.now_ms = RETRY_MS
    bench.forward()
    assert bench.producer.ids == [bench.producer.ids[0]] * 2
    bench.producer.report()
    bench.forward()
    assert bench.outbox.waiting(9) == ()


def test_without_the_contract_or_room_records_wait_and_nothing_ends(store: AlertStore) -> None:
    bench = Bench(store, registered=False)
    bench.look()
    bench.forward()
    bench.now_ms = RETRY_MS
    bench.forward()
    assert len(bench.outbox.waiting(9)) == 1
    full = Bench(store)
    full.producer.refuses = True
    full.forward()
    assert len(full.outbox.waiting(9)) == 1


def test_a_row_that_nobody_can_read_is_set_aside_and_the_others_go_on(
    store: AlertStore, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(store)
    bench.look(2)
    with store._engine.begin() as connection:
        spoilt = connection.execute(select(outbox.c.record_id)).scalars().first()
        connection.execute(
            update(outbox).where(outbox.c.record_id == spoilt).values(content='{"record_id": 7}')
        )
    for _ in range(3):
        bench.forward()
        bench.producer.report()
    assert len(bench.producer.sent) == 1
    assert set(store.outbox.rows(9)) == {spoilt}, "it is not lost"
    (said,) = [record.getMessage() for record in caplog.records]
    assert f"access {spoilt} cannot be forwarded" in said
    bench.now_ms = SET_ASIDE_MS
    bench.forward()
    assert len(caplog.records) == 2, "it is tried again, and said again"


def test_a_row_that_the_broker_will_never_take_is_set_aside(store: AlertStore) -> None:
    bench = Bench(store)
    bench.look()
    bench.forward()
    bench.producer.report(KafkaError(KafkaError.MSG_SIZE_TOO_LARGE))
    bench.look()
    bench.forward()
    assert len(set(bench.producer.ids)) == len(bench.producer.sent) == 2
    bench.producer.report()
    bench.forward()
    assert len(bench.outbox.waiting(9)) == 1


def test_so_many_bad_rows_are_no_fault_of_the_rows(
    store: AlertStore, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(store)
    bench.look(SET_ASIDE_MAX + 5)
    with store._engine.begin() as connection:
        connection.execute(update(outbox).values(content="{}"))
    bench.forward()
    bench.forward()
    assert len(caplog.records) == SET_ASIDE_MAX + 1
    assert "wait to be forwarded" in caplog.records[-1].getMessage()


def test_many_go_in_lots(store: AlertStore) -> None:
    bench = Bench(store)
    bench.look(LOT_MAX + 1)
    bench.forward()
    assert len(bench.producer.sent) == LOT_MAX
    bench.producer.report()
    bench.forward()
    assert len(set(bench.producer.ids)) == len(bench.producer.sent) == LOT_MAX + 1


def test_an_orderly_end_takes_in_the_last_reports(store: AlertStore) -> None:
    bench = Bench(store)
    bench.look()
    bench.forward()
    bench.forward.close()
    assert bench.outbox.waiting(9) == ()
