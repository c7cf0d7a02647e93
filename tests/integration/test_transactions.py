"""Departments whose clients publish in transactions: markers take offsets, and what was aborted was never said."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from confluent_kafka import Producer

from schemas import catalogue
from tests.answers import oracle, said
from tests.load import DAY_MS, person
from tests.running_bus import RunningBus, wait_for
from tests.wire import DELIVERY_S, Stranger, Wire
from xiezhi.log import LogReader
from xiezhi.wall_clock import now_ms

SEED = 78
COMMITTED, ABORTED, OPEN = 1, 2, 3
PARTITION = 0


@pytest.fixture
def producer(bus: RunningBus) -> Iterator[Producer]:
    producer = Producer(
        {"bootstrap.servers": bus.settings.bootstrap_servers, "transactional.id": "department"}
    )
    producer.init_transactions(DELIVERY_S)
    yield producer
    producer.purge()


def death(stranger: Stranger, number: int, record: str) -> Wire:
    """Somebody died; each of these numbers was paid after that."""
    today = now_ms() // DAY_MS
    fields = {"person": person(SEED, number), "died_on": today - 200, "registered_on": today - 197}
    record_id = stranger.named(record, PARTITION)
    return stranger.good(catalogue.DEATH, record_id, fields, occurred_ms=now_ms() - DAY_MS)


def allowance(stranger: Stranger, number: int) -> Wire:
    today = now_ms() // DAY_MS
    fields = {
        "person": person(SEED, number),
        "scheme": "living",
        "kind": "living",
        "period_from": today - 30,
        "period_to": today - 1,
        "amount_minor": 50_000,
        "currency": "CNY",
        "paid_at": now_ms() - DAY_MS,
    }
    record = f"tx-allowance-{number}"
    return stranger.good(catalogue.ALLOWANCE, record, fields, occurred_ms=now_ms() - DAY_MS)


def send(producer: Producer, wire: Wire) -> None:
    producer.produce(
        wire.topic, partition=wire.partition, key=wire.key, value=wire.value, headers=list(wire.headers)
    )
    assert producer.flush(DELIVERY_S) == 0


def people(bus: RunningBus) -> set[int]:
    """The numbers of people of whom an alert stands."""
    alerts = said(bus.settings)
    standing = [alerts.subjects[alert_id][1].get("person") for alert_id in alerts.standing]
    return {number for number in (COMMITTED, ABORTED, OPEN) if person(SEED, number) in standing}


def test_records_in_transactions_are_judged_once_they_are_committed(
    bus: RunningBus, producer: Producer
) -> None:
    stranger, pids = Stranger(bus.settings), bus.pids()
    stranger.send([allowance(stranger, number) for number in (COMMITTED, ABORTED, OPEN)])
    for commit in (True, False, False):
        producer.begin_transaction()
        send(producer, death(stranger, COMMITTED if commit else ABORTED, f"tx-death-{commit}"))
        if commit:
            producer.commit_transaction(DELIVERY_S)
        else:
            producer.abort_transaction(DELIVERY_S)
    bus.quiet()  # though the topic ends with what nobody commits
    assert people(bus) == {COMMITTED}

    producer.begin_transaction()
    send(producer, death(stranger, OPEN, "tx-death-open"))
    with LogReader(bus.settings.bootstrap_servers) as log:
        _, end = log.range(catalogue.DEATH.topic, PARTITION)
        read = [raw for chunk in log.read(catalogue.DEATH.topic, PARTITION, 0) for raw in chunk]
    assert read[-1].offset < end - 1
    assert people(bus) == {COMMITTED}
    producer.commit_transaction(DELIVERY_S)
    wait_for(lambda: people(bus) == {COMMITTED, OPEN}, 60.0, "the alert of the last transaction")

    bus.settle()
    assert people(bus) == {COMMITTED, OPEN}
    assert said(bus.settings).standing == oracle(bus.settings)
    assert bus.pids() == pids, "a gap in the offsets stops nobody"
