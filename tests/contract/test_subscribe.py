"""Python subscribers over librdkafka's embedded broker: once each, in spite of crashes, repeats and filters."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from tests.alert_statements import alert, bus_registry, envelope
from tests.tracing import Spans
from xiezhi.codec import Codec
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.bus import ALERT
from xiezhi.errors import (
    BadRecordError,
    ConfigurationError,
    RegistryUnavailableError,
    StoreError,
    XiezhiError,
)
from xiezhi.log import RawRecord
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings
from xiezhi.subscribe import Delivery, Subscriber
from xiezhi.telemetry import alert_stages
from xiezhi.telemetry.alert_spans import alert_context


class Bench:
    """An embedded broker with an alert topic, and subscribers of it."""

    def __init__(self, folder: Path) -> None:
        self._producer = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1})
        brokers = self._producer.list_topics(timeout=10).brokers.values()
        servers = ",".join(f"{broker.host}:{broker.port}" for broker in brokers)
        self.settings = Settings(bootstrap_servers=servers, data_dir=folder)
        self.registry = bus_registry()
        self._codec = Codec(self.registry)
        self.open: list[Subscriber] = []

    def say(self, *said: Alert, partition: int = 0) -> None:
        for each in said:
            value = self._codec.encode(ALERT.subject, each.model_dump())
            self.write(value, each.record_id.encode(), envelope(each).to_headers(), partition)

    def write(self, value: bytes | None, key: bytes, headers: Any = (), partition: int = 0) -> None:
        self._producer.produce(ALERT.topic, value, key, partition, headers=list(headers))
        assert self._producer.flush(10) == 0

    def subscriber(self, name: str = "desk", **options: Any) -> Subscriber:
        self.open.append(Subscriber(self.settings, name, **{"registry": self.registry, **options}))
        return self.open[-1]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    made.say(alert("al_0", 1))
    yield made
    for subscriber in made.open:
        subscriber._consumer.close()
        subscriber._cursor.close()


def crash(subscriber: Subscriber) -> None:
    """End without the courtesy of close()."""
    subscriber._consumer.close()
    subscriber._cursor.close()


def take(subscriber: Subscriber, number: int, *, acknowledge: bool = True) -> list[Delivery]:
    """The next so many deliveries, and not one more."""
    found: list[Delivery] = []
    deadline = time.monotonic() + 20
    while len(found) < number:
        assert time.monotonic() < deadline, [each.alert.record_id for each in found]
        delivery = subscriber.poll(0.5)
        if delivery is not None:
            found.append(delivery)
            if acknowledge:
                delivery.acknowledge()
    return found


def said(deliveries: list[Delivery]) -> list[tuple[str, int]]:
    return [(each.alert.record_id, each.alert.position) for each in deliveries]


def is_quiet(subscriber: Subscriber) -> bool:
    return subscriber.poll(0.3) is None


def test_every_statement_comes_with_its_envelope_and_address(bench: Bench) -> None:
    bench.say(alert("al_1", 4), partition=1)
    deliveries = {each.alert.record_id: each for each in take(bench.subscriber(), 2)}
    one = deliveries["al_1"]
    assert (one.envelope.subject, one.envelope.version) == ("al_1", 4)
    assert (one.record.topic, one.record.partition, one.record.offset) == (ALERT.topic, 1, 0)


def test_delivery_and_acknowledgement_are_spans_of_the_alert(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    spans = Spans(monkeypatch, alert_stages)
    [one] = take(bench.subscriber("zhang-san"), 1)
    one.acknowledge()  # once more, without effect
    context = alert_context(one.alert.record_id, one.alert.position)
    assert [span.name for span in spans.finished] == [f"deliver {ALERT.topic}", f"acknowledge {ALERT.topic}"]
    for span in spans.finished:
        assert span.parent is not None
        assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == context
        assert span.attributes is not None
        assert span.attributes["messaging.kafka.offset"] == one.record.offset
        assert "zhang-san" not in span.to_json()


def test_repeats_and_older_statements_are_not_delivered(bench: Bench) -> None:
    bench.say(alert("al_0", 1), alert("al_0", 3, state="withdrawn"), alert("al_0", 2), alert("al_0", 3))
    subscriber = bench.subscriber()
    assert said(take(subscriber, 2)) == [("al_0", 1), ("al_0", 3)]
    assert is_quiet(subscriber)


def test_repeats_are_not_delivered_while_the_first_waits_for_acknowledge(bench: Bench) -> None:
    bench.say(alert("al_0", 1), alert("al_0", 1))
    subscriber = bench.subscriber()
    take(subscriber, 1, acknowledge=False)
    assert is_quiet(subscriber)


def test_what_was_acknowledged_is_not_delivered_after_a_crash(bench: Bench) -> None:
    bench.say(alert("al_1", 1), alert("al_2", 1))
    first = bench.subscriber()
    take(first, 2)
    crash(first)
    bench.say(alert("al_0", 1), alert("al_3", 1))
    second = bench.subscriber()
    assert said(take(second, 2)) == [("al_2", 1), ("al_3", 1)]
    assert is_quiet(second)


@pytest.mark.parametrize("end", [crash, Subscriber.close])
def test_what_was_not_acknowledged_is_delivered_again(bench: Bench, end: Any) -> None:
    bench.say(alert("al_1", 1), alert("al_2", 1))
    first = bench.subscriber()
    deliveries = take(first, 3, acknowledge=False)
    deliveries[1].acknowledge()
    end(first)
    second = bench.subscriber()
    assert said(take(second, 2)) == [("al_0", 1), ("al_2", 1)]
    assert is_quiet(second)


def test_acknowledging_out_of_order_loses_and_repeats_nothing(bench: Bench) -> None:
    bench.say(*(alert(f"al_{number}", 1) for number in range(1, 6)))
    first = bench.subscriber()
    deliveries = take(first, 6, acknowledge=False)
    for index in (5, 3, 0, 1):
        deliveries[index].acknowledge()
        deliveries[index].acknowledge()
    crash(first)
    second = bench.subscriber()
    assert said(take(second, 2)) == [("al_2", 1), ("al_4", 1)]
    assert is_quiet(second)


def test_a_newer_statement_acknowledged_first_settles_the_older_one(bench: Bench) -> None:
    bench.say(alert("al_0", 2))
    first = bench.subscriber()
    older, newer = take(first, 2, acknowledge=False)
    newer.acknowledge()
    crash(first)
    assert older.alert.position == 1
    assert is_quiet(bench.subscriber())


def test_acknowledging_the_older_statement_last_forgets_nothing(bench: Bench) -> None:
    bench.say(alert("al_0", 2))
    first = bench.subscriber()
    older, newer = take(first, 2, acknowledge=False)
    newer.acknowledge()
    older.acknowledge()
    crash(first)
    bench.say(alert("al_0", 2), alert("al_0", 1))
    assert is_quiet(bench.subscriber())


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["al_0", "al_1", "al_2", "al_3"]),
        ({"severities": ("red",)}, ["al_1"]),
        ({"rules": ("P13", "C03")}, ["al_2"]),
        ({"jurisdiction": "3301"}, ["al_3"]),
        ({"severities": ("red",), "rules": ("P13",)}, []),
    ],
)
def test_filters_choose_alerts(bench: Bench, options: dict[str, Any], expected: list[str]) -> None:
    bench.say(
        alert("al_1", 1, severity="red"),
        alert("al_2", 1, rule_id="P13"),
        alert("al_3", 1, jurisdiction="330106000000"),
    )
    subscriber = bench.subscriber(**options)
    assert [name for name, _ in said(take(subscriber, len(expected)))] == expected
    assert is_quiet(subscriber)


def test_who_got_an_alert_is_told_when_it_leaves_the_filter(bench: Bench) -> None:
    bench.say(alert("al_1", 1, severity="red"), alert("al_1", 2, severity="yellow"), alert("al_0", 2))
    first = bench.subscriber(severities=("red",))
    assert said(take(first, 2)) == [("al_1", 1), ("al_1", 2)]
    first.close()
    bench.say(alert("al_1", 3, severity="yellow", state="withdrawn"))
    second = bench.subscriber(severities=("red",))
    assert said(take(second, 1)) == [("al_1", 3)]


def test_what_the_filter_passed_over_is_not_read_again(bench: Bench) -> None:
    bench.say(*(alert(f"al_{number}", 1) for number in range(1, 5)))
    first = bench.subscriber(severities=("red",))
    deadline = time.monotonic() + 30.0
    while (
        first._cursor.next_offsets().get(0) != 5
    ):  # it reads when it can, and notes how far when nothing is left
        assert is_quiet(first)
        assert time.monotonic() < deadline
    crash(first)
    second = bench.subscriber(severities=("red",))
    assert second._cursor.next_offsets()[0] == 5


def test_a_record_that_is_no_alert_is_passed_over_and_handed_to_the_caller(bench: Bench) -> None:
    bench.write(b"\x01", b"al_1")
    bench.write(None, b"al_1", envelope(alert("al_1", 1)).to_headers())
    bench.say(alert("al_2", 1))
    seen: list[tuple[int, str]] = []

    def note(record: RawRecord, error: BadRecordError) -> None:
        seen.append((record.offset, error.reason))

    subscriber = bench.subscriber(on_bad_record=note)
    assert said(take(subscriber, 2)) == [("al_0", 1), ("al_2", 1)]
    assert seen == [(1, "missing_header"), (2, "null_value")]


def test_a_handler_that_raises_keeps_the_record_ahead(bench: Bench) -> None:
    bench.write(b"\x01", b"al_1")
    bench.say(alert("al_2", 1))

    def halt(record: RawRecord, error: BadRecordError) -> None:
        raise error

    first = bench.subscriber(on_bad_record=halt)
    take(first, 1)
    for _ in range(2):
        with pytest.raises(BadRecordError):
            take(first, 1)
    first.close()
    assert said(take(bench.subscriber(), 1)) == [("al_2", 1)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"record_id": "al_other"}, "wrong_key"),
        ({"position": 9}, "wrong_position"),
        ({"evidence": []}, None),
        ({"content_digest": "short"}, "wrong_value"),
    ],
)
def test_value_and_envelope_must_agree(bench: Bench, change: dict[str, Any], reason: str | None) -> None:
    good = alert("al_1", 5)
    value = Codec(bench.registry).encode(ALERT.subject, {**good.model_dump(), **change})
    bench.write(value, b"al_1", envelope(good).to_headers())
    reasons: list[str] = []
    subscriber = bench.subscriber(on_bad_record=lambda record, error: reasons.append(error.reason))
    take(subscriber, 1 if reason else 2)
    assert is_quiet(subscriber)
    assert reasons == ([reason] if reason else [])


def test_an_unreachable_registry_is_waited_for(bench: Bench) -> None:
    class Recovering(InMemoryRegistry):
        failures = 2

        def schema(self, schema_id: int) -> str:
            if self.failures:
                self.failures -= 1
                raise RegistryUnavailableError("down")
            return bench.registry.schema(schema_id)

        def latest(self, subject: str) -> Any:
            return bench.registry.latest(subject)

    subscriber = bench.subscriber(registry=Recovering())
    assert subscriber.poll(0.2) is None
    assert said(take(subscriber, 1)) == [("al_0", 1)]


def test_a_second_subscriber_of_the_name_is_refused(bench: Bench) -> None:
    bench.subscriber()
    with pytest.raises(StoreError, match="one subscriber of a name"):
        bench.subscriber()
    assert said(take(bench.subscriber("other"), 1)) == [("al_0", 1)]


def test_a_cursor_of_another_cluster_is_refused(bench: Bench, tmp_path: Path) -> None:
    subscriber = bench.subscriber()
    subscriber._cursor._connection.execute("UPDATE cluster SET id = 'elsewhere'")
    subscriber.close()
    with pytest.raises(ConfigurationError, match="another Kafka cluster"):
        bench.subscriber()


@pytest.mark.parametrize("name", ["", "../desk", "a b", "x" * 101])
def test_a_name_must_be_a_file_name(bench: Bench, name: str) -> None:
    with pytest.raises(ConfigurationError, match="subscriber name"):
        bench.subscriber(name)


def test_forgotten_acknowledgements_are_an_error_not_a_full_memory(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xiezhi.subscribe.UNACKNOWLEDGED_MAX", 2)
    bench.say(alert("al_1", 1), alert("al_2", 1))
    subscriber = bench.subscriber()
    waiting = take(subscriber, 2, acknowledge=False)
    with pytest.raises(XiezhiError, match="acknowledge"):
        subscriber.poll(1.0)
    waiting[0].acknowledge()
    assert said(take(subscriber, 1)) == [("al_2", 1)]


def test_iterating_delivers_until_the_caller_leaves(bench: Bench) -> None:
    bench.say(alert("al_1", 1))
    seen = []
    for delivery in bench.subscriber():
        delivery.acknowledge()
        seen.append(delivery.alert.record_id)
        if len(seen) == 2:
            break
    assert seen == ["al_0", "al_1"]
