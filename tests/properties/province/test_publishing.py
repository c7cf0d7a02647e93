"""A province goes out through one publisher per department, in its order and at its pace."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, Producer, TopicPartition

from producers.province import Publication
from producers.province.publishing import paced, publish_all
from schemas.catalogue import CONTRACTS, OWNERSHIP, PAYMENT
from tests.properties.province.provinces import province
from xiezhi.codec import Codec
from xiezhi.envelope import Envelope
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings

PARTITIONS = 4  # of every topic of the mock cluster


@pytest.fixture
def settings() -> Iterator[Settings]:
    cluster = Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 1})
    broker = next(iter(cluster.list_topics(timeout=10).brokers.values()))
    yield Settings(bootstrap_servers=f"{broker.host}:{broker.port}")
    del cluster


@pytest.fixture
def codec() -> Codec:
    registry = InMemoryRegistry()
    for contract in CONTRACTS:
        registry.register(contract.subject, (contract.folder / f"{contract.record}.avsc").read_text("utf-8"))
    return Codec(registry)


def _read(settings: Settings, topic: str) -> list[Message]:
    """Everything on a topic, partition by partition."""
    options = {"bootstrap.servers": settings.bootstrap_servers, "group.id": "t", "enable.partition.eof": True}
    consumer = Consumer(options)
    consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in range(PARTITIONS)])
    messages: list[Message] = []
    ended: set[int] = set()
    deadline = time.monotonic() + 20
    while len(ended) < PARTITIONS and time.monotonic() < deadline:
        message = consumer.poll(0.2)
        if message is not None and message.error() is None:
            messages.append(message)
        elif message is not None and message.error().code() == KafkaError._PARTITION_EOF:
            ended.add(message.partition())
    consumer.close()
    assert len(ended) == PARTITIONS
    return messages


def _of(name: str, *more: str) -> list[Publication]:
    return [p for p in province().publications if p.contract.name in (name, *more)]


def test_departments_publish_records_and_withdrawals_under_their_own_names(
    settings: Settings, codec: Codec
) -> None:
    publications = _of(PAYMENT.name, OWNERSHIP.name)
    assert publish_all(publications, settings, codec) == len(publications)
    for contract in (PAYMENT, OWNERSHIP):
        messages = _read(settings, contract.topic)
        sent = [p for p in publications if p.contract is contract]
        assert len(messages) == len(sent)
        sources = {Envelope.from_headers(message.headers()).source for message in messages}
        assert sources == {f"urn:xiezhi:synthetic:province:{contract.owner}"}
        assert sum(message.value() is None for message in messages) == sum(p.record is None for p in sent)


def test_statements_about_one_record_arrive_in_the_order_in_which_they_were_published(
    settings: Settings, codec: Codec
) -> None:
    publications = _of(PAYMENT.name)
    publish_all(publications, settings, codec)
    arrived: dict[str, list[int]] = {}
    for message in _read(settings, PAYMENT.topic):
        envelope = Envelope.from_headers(message.headers())
        arrived.setdefault(envelope.subject, []).append(envelope.version)
    for record_id, versions in arrived.items():
        assert versions == [p.version for p in publications if p.record_id == record_id]
    assert any(later < earlier for versions in arrived.values() for earlier, later in pairwise(versions))


def test_the_pace_is_kept_and_a_delay_is_caught_up() -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    publications = province().publications[:100]
    for number, _ in enumerate(paced(publications, 10, clock=lambda: now[0], sleep=sleep)):
        if number == 50:
            now[0] += 2.0  # the broker was slow
    assert now[0] == pytest.approx(100 + 9.9)
    assert len(slept) < 99 - 15
