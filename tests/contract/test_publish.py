"""The publisher against librdkafka's mock cluster: what arrives on a topic, and what becomes of failures."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition
from opentelemetry import context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanContext, TraceFlags, TraceState, set_span_in_context

from xiezhi import publish as module
from xiezhi.codec import Codec
from xiezhi.contracts.base import Classification, Contract, Record
from xiezhi.contracts.types import Identifier, Instant, Minor
from xiezhi.envelope import Envelope
from xiezhi.errors import ConfigurationError, DeliveryError, RecordRefusedError
from xiezhi.partitioner import partition_of
from xiezhi.publish import FAILURES_MAX, MESSAGE_BYTES_MAX, Publisher
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings
from xiezhi.telemetry.tracestate import sent_ms
from xiezhi.wall_clock import now_ms

SOURCE, PLACE, OCCURRED = "urn:xiezhi:test", "110000000000", 1_772_355_600_123
PARTITIONS = 4  # of every topic of the mock cluster
NOWHERE = Settings(bootstrap_servers="127.0.0.1:1")


class Payment(Record):
    amount_minor: Minor
    paid_at: Instant
    memo: str = ""
    budget_line: Identifier | None = None


AVRO: dict[str, Any] = {
    "type": "record",
    "name": "Payment",
    "namespace": "xiezhi.test",
    "fields": [
        {"name": "record_id", "type": "string"},
        {"name": "amount_minor", "type": "long"},
        {"name": "paid_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "memo", "type": "string", "default": ""},
        {"name": "budget_line", "type": ["null", "string"], "default": None},
    ],
}


@pytest.fixture
def contract(tmp_path: Path, request: pytest.FixtureRequest) -> Contract:
    """A topic of its own for each test."""
    owner = "t" + request.node.name.replace("_", "-").split("[")[0].removeprefix("test-")[:60].rstrip("-")
    (tmp_path / "payment.avsc").write_text(json.dumps(AVRO), "utf-8")
    return Contract(owner, "payment", Payment, tmp_path, Classification.INTERNAL)


@pytest.fixture
def codec(contract: Contract) -> Codec:
    registry = InMemoryRegistry()
    registry.register(contract.subject, json.dumps(contract.schema))
    return Codec(registry)


@pytest.fixture(scope="module")
def settings() -> Iterator[Settings]:
    cluster = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1})
    broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    yield Settings(bootstrap_servers=f"{broker.host}:{broker.port}")
    del cluster


@pytest.fixture
def arrived(settings: Settings, contract: Contract) -> Callable[[int], list[Message]]:
    """Reads `count` records of the contract's topic and makes sure that no further one follows."""

    def read(count: int) -> list[Message]:
        consumer = Consumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": contract.owner,
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 10,
                "enable.partition.eof": True,
            }
        )
        consumer.assign(
            [TopicPartition(contract.topic, each, OFFSET_BEGINNING) for each in range(PARTITIONS)]
        )
        messages: list[Message] = []
        ended: set[int] = set()
        deadline = time.monotonic() + 20
        while len(ended) < PARTITIONS and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is None:
                continue
            if message.error() is None:
                messages.append(message)
            elif message.error().code() == KafkaError._PARTITION_EOF:
                ended.add(message.partition())
        consumer.close()
        assert len(messages) == count
        return sorted(messages, key=lambda message: bytes(message.key()))

    return read


def payment(record_id: str, **fields: Any) -> Payment:
    return Payment(record_id=record_id, **{"amount_minor": 5, "paid_at": OCCURRED, **fields})


def test_a_record_arrives_with_key_value_and_envelope(
    settings: Settings, contract: Contract, codec: Codec, arrived: Callable[[int], list[Message]]
) -> None:
    with Publisher(settings, source=SOURCE, codec=codec) as publisher:
        publisher.publish(contract, payment("合同-1"), occurred_ms=OCCURRED, version=2, jurisdiction=PLACE)
    assert (publisher.delivered, publisher.failed, publisher.pending) == (1, 0, 0)
    [message] = arrived(1)
    assert message.key() == "合同-1".encode()
    assert codec.decode_as(contract.topic, message.value()) == payment("合同-1").model_dump()
    envelope = Envelope.from_headers(message.headers())
    assert envelope == Envelope.create(
        source=SOURCE,
        type=contract.topic,
        subject="合同-1",
        occurred_ms=OCCURRED,
        version=2,
        jurisdiction=PLACE,
        traceparent=envelope.traceparent,
        tracestate=envelope.tracestate,
    )
    assert len(message.headers()) == len(dict(message.headers()))


def test_a_withdrawal_is_a_null_value_with_the_envelope(
    settings: Settings, contract: Contract, codec: Codec, arrived: Callable[[int], list[Message]]
) -> None:
    with Publisher(settings, source=SOURCE, codec=codec) as publisher:
        publisher.withdraw(contract, "a", occurred_ms=OCCURRED, version=1, jurisdiction=PLACE)
    [message] = arrived(1)
    assert (message.key(), message.value()) == (b"a", None)
    assert Envelope.from_headers(message.headers()).version == 1


def test_publishing_again_gives_the_same_ids_and_bytes(
    settings: Settings, contract: Contract, codec: Codec, arrived: Callable[[int], list[Message]]
) -> None:
    for _ in range(2):
        with Publisher(settings, source=SOURCE, codec=codec) as publisher:
            for number in range(50):
                publisher.publish(contract, payment(f"{number:02}"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    messages = arrived(100)
    assert len({Envelope.from_headers(message.headers()).event_id for message in messages}) == 50
    assert len({(bytes(message.key()), bytes(message.value())) for message in messages}) == 50
    assert all(a.partition() == b.partition() for a, b in zip(messages[::2], messages[1::2], strict=True))


def test_keys_go_to_the_partition_that_java_clients_choose(
    settings: Settings, contract: Contract, codec: Codec, arrived: Callable[[int], list[Message]]
) -> None:
    keys = [f"key-{number}" for number in range(20)]
    with Publisher(settings, source=SOURCE, codec=codec) as publisher:
        for key in keys:
            publisher.publish(contract, payment(key), occurred_ms=OCCURRED, jurisdiction=PLACE)
    for message in arrived(20):
        assert message.partition() == partition_of(bytes(message.key()), PARTITIONS)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"jurisdiction": "11"}, "jurisdiction"),
        ({"version": -1}, "version"),
        ({"occurred_ms": 10**15}, "occurred_at"),
    ],
)
def test_a_record_with_a_wrong_envelope_is_refused_before_it_leaves(
    contract: Contract, codec: Codec, change: dict[str, Any], field: str
) -> None:
    with Publisher(NOWHERE, source=SOURCE, codec=codec) as publisher:
        with pytest.raises(RecordRefusedError) as refused:
            publisher.publish(
                contract, payment("a"), **{"occurred_ms": OCCURRED, "jurisdiction": PLACE, **change}
            )
        assert publisher.pending == 0
    assert (refused.value.field, refused.value.record_id) == (field, "a")


def test_a_record_as_large_as_the_broker_takes_is_sent_and_a_larger_one_refused(
    settings: Settings, contract: Contract, codec: Codec, arrived: Callable[[int], list[Message]]
) -> None:
    with Publisher(settings, source=SOURCE, codec=codec) as publisher:
        large = payment("a", memo="x" * 999_000)
        publisher.publish(contract, large, occurred_ms=OCCURRED, jurisdiction=PLACE)
        with pytest.raises(RecordRefusedError, match="larger than") as refused:
            publisher.publish(
                contract, payment("b", memo="x" * MESSAGE_BYTES_MAX), occurred_ms=OCCURRED, jurisdiction=PLACE
            )
    assert refused.value.record_id == "b"
    assert [message.key() for message in arrived(1)] == [b"a"]


def test_only_records_of_the_contract_are_taken(contract: Contract, codec: Codec) -> None:
    class Other(Record):
        pass

    with (
        Publisher(NOWHERE, source=SOURCE, codec=codec) as publisher,
        pytest.raises(TypeError, match="Payment"),
    ):
        publisher.publish(contract, Other(record_id="a"), occurred_ms=OCCURRED, jurisdiction=PLACE)


def test_a_contract_that_was_never_applied_says_what_to_do(contract: Contract) -> None:
    with (
        Publisher(NOWHERE, source=SOURCE, codec=Codec(InMemoryRegistry())) as publisher,
        pytest.raises(ConfigurationError, match="contracts apply"),
    ):
        publisher.publish(contract, payment("a"), occurred_ms=OCCURRED, jurisdiction=PLACE)


def test_records_that_no_broker_took_are_failures_and_leaving_says_so(
    contract: Contract, codec: Codec
) -> None:
    publisher = Publisher(NOWHERE, source=SOURCE, codec=codec, delivery_timeout_s=0.5)
    for number in range(3):
        publisher.publish(contract, payment(f"{number}"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    with pytest.raises(DeliveryError, match="3 records were not delivered"):
        publisher.flush()
    assert (publisher.delivered, publisher.failed) == (0, 3)
    assert {failure.record_id for failure in publisher.failures} == {"0", "1", "2"}
    assert all(failure.topic == contract.topic and failure.event_id for failure in publisher.failures)
    publisher.flush()  # said once
    publisher.publish(contract, payment("4"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    with pytest.raises(DeliveryError, match="1 records"), publisher:
        pass


def test_after_too_many_failures_no_more_records_are_tried(contract: Contract, codec: Codec) -> None:
    publisher = Publisher(NOWHERE, source=SOURCE, codec=codec, delivery_timeout_s=0.3)
    for number in range(FAILURES_MAX):
        publisher.publish(contract, payment(f"{number}"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    with pytest.raises(DeliveryError, match="under way"):
        publisher.flush(0)

    def publish_on() -> None:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            publisher.publish(contract, payment("next"), occurred_ms=OCCURRED, jurisdiction=PLACE)
            time.sleep(0.01)

    with pytest.raises(DeliveryError, match="no more are tried"):
        publish_on()
    with pytest.raises(DeliveryError):
        publisher.flush()
    publisher.publish(contract, payment("after"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    assert len(publisher.failures) == FAILURES_MAX


def test_a_deadline_ends_the_wait_for_reports(contract: Contract, codec: Codec) -> None:
    publisher = Publisher(NOWHERE, source=SOURCE, codec=codec, delivery_timeout_s=1)
    publisher.publish(contract, payment("a"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    with pytest.raises(DeliveryError, match="1 are still under way"):
        publisher.flush(0.05)
    with pytest.raises(DeliveryError, match="1 records were not delivered"):
        publisher.flush()


def test_a_full_queue_holds_the_source_back_and_loses_nothing(
    settings: Settings,
    contract: Contract,
    codec: Codec,
    arrived: Callable[[int], list[Message]],
) -> None:
    with Publisher(
        settings, source=SOURCE, codec=codec, librdkafka={"queue.buffering.max.messages": 10}
    ) as publisher:
        for number in range(200):
            publisher.publish(contract, payment(f"{number:03}"), occurred_ms=OCCURRED, jurisdiction=PLACE)
            assert publisher.pending <= 10
    assert [message.key() for message in arrived(200)] == [b"%03d" % number for number in range(200)]


def test_a_queue_that_does_not_move_ends_the_wait(contract: Contract, codec: Codec) -> None:
    stuck = {"queue.buffering.max.messages": 1, "delivery.timeout.ms": 300_000}
    publisher = Publisher(NOWHERE, source=SOURCE, codec=codec, delivery_timeout_s=0.3, librdkafka=stuck)
    publisher.publish(contract, payment("a"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    with pytest.raises(DeliveryError, match="accepted nothing"):
        publisher.publish(contract, payment("b"), occurred_ms=OCCURRED, jurisdiction=PLACE)


def test_an_error_in_the_block_is_not_hidden_by_the_flush(contract: Contract, codec: Codec) -> None:
    def publish_from_a_broken_source() -> None:
        with Publisher(NOWHERE, source=SOURCE, codec=codec) as publisher:
            publisher.publish(contract, payment("a"), occurred_ms=OCCURRED, jurisdiction=PLACE)
            raise LookupError("the source broke")

    with pytest.raises(LookupError):
        publish_from_a_broken_source()


def test_without_an_sdk_every_record_starts_a_trace_of_its_own(
    settings: Settings, contract: Contract, codec: Codec, arrived: Callable[[int], list[Message]]
) -> None:
    with Publisher(settings, source=SOURCE, codec=codec) as publisher:
        for key in "ab":
            publisher.publish(contract, payment(key), occurred_ms=OCCURRED, jurisdiction=PLACE)
    a, b = (Envelope.from_headers(message.headers()).traceparent for message in arrived(2))
    assert "" not in (a, b)
    assert a.split("-")[1] != b.split("-")[1]
    assert a.endswith("-00")  # nothing was recorded


def test_a_record_says_when_it_was_sent(
    settings: Settings, contract: Contract, codec: Codec, arrived: Callable[[int], list[Message]]
) -> None:
    before_ms = now_ms()
    with Publisher(settings, source=SOURCE, codec=codec) as publisher:
        publisher.publish(contract, payment("a"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    after_ms = now_ms()
    [message] = arrived(1)
    assert before_ms <= sent_ms(Envelope.from_headers(message.headers()).tracestate) <= after_ms


def test_without_an_sdk_a_trace_of_the_caller_goes_on() -> None:
    caller = SpanContext(int("a" * 32, 16), int("b" * 16, 16), is_remote=True, trace_flags=TraceFlags(1))
    traceparent, _ = module.trace_context(NonRecordingSpan(caller), OCCURRED)
    assert traceparent.startswith(f"00-{'a' * 32}-")
    assert traceparent.endswith(
        "-00"
    )  # the caller's span is recorded somewhere, the one that is named here is not
    assert "b" * 16 not in traceparent


def test_a_caller_s_tracestate_travels_on_behind_the_send_time() -> None:
    state = TraceState([("vendor", "x"), ("xz", "1")])
    caller = SpanContext(int("a" * 32, 16), int("b" * 16, 16), is_remote=True, trace_state=state)
    assert module.trace_context(NonRecordingSpan(caller), 1234)[1] == "xz=1234,vendor=x"


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    exporter, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(module, "_tracer", provider.get_tracer("test"))
    return exporter


def test_the_span_that_is_recorded_is_the_one_that_travels(
    settings: Settings,
    contract: Contract,
    codec: Codec,
    arrived: Callable[[int], list[Message]],
    spans: InMemorySpanExporter,
) -> None:
    caller = SpanContext(int("a" * 32, 16), int("b" * 16, 16), is_remote=True, trace_flags=TraceFlags(1))
    token = context.attach(set_span_in_context(NonRecordingSpan(caller)))
    try:
        with Publisher(settings, source=SOURCE, codec=codec) as publisher:
            publisher.publish(contract, payment("a"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    finally:
        context.detach(token)
    [span], [message] = spans.get_finished_spans(), arrived(1)
    envelope = Envelope.from_headers(message.headers())
    assert envelope.traceparent == f"00-{'a' * 32}-{span.context.span_id:016x}-01"
    assert span.name == f"send {contract.topic}"
    assert span.attributes is not None
    assert span.attributes["messaging.message.id"] == envelope.event_id
    assert span.attributes["messaging.kafka.offset"] == message.offset()
    assert "a" not in [value for value in span.attributes.values() if isinstance(value, str)]  # the record id


def test_the_span_of_a_record_that_failed_says_so(
    contract: Contract, codec: Codec, spans: InMemorySpanExporter
) -> None:
    publisher = Publisher(NOWHERE, source=SOURCE, codec=codec, delivery_timeout_s=0.3)
    publisher.publish(contract, payment("a"), occurred_ms=OCCURRED, jurisdiction=PLACE)
    with pytest.raises(DeliveryError):
        publisher.flush()
    [span] = spans.get_finished_spans()
    assert not span.status.is_ok
    assert span.attributes is not None
    assert span.attributes["error.type"]
