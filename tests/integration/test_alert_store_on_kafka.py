"""The alert store on a real broker: killed, restarted, cut off, and followed meanwhile."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, Producer, TopicPartition
from confluent_kafka.admin import OffsetSpec

from consumers.alerts.database import path_of, url_of
from consumers.alerts.service import GROUP
from consumers.alerts.statement import Filter, Stored
from consumers.alerts.store import AlertStore
from tests.alert_statements import alert, envelope
from xiezhi.admin_client import Admin
from xiezhi.codec import Codec
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.bus import ALERT, BUS_CONTRACTS
from xiezhi.contracts.rollout import Rollout
from xiezhi.local.stack import LocalStack
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.subscribe import Subscriber
from xiezhi.topics import Topics, topic_plan

ROOT = Path(__file__).parents[2]


class Bus:
    """Says alerts as the judge does, and runs services in a data folder of its own."""

    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self.stack, self.folder = stack, folder
        self.settings: Settings = stack.settings(data_dir=folder)
        self.prefix = f"al_{uuid.uuid4().hex[:8]}_"
        self.codec = Codec(ConfluentRegistry(stack.registry_url))
        self._producer = Producer({"bootstrap.servers": stack.bootstrap_servers, "enable.idempotence": True})

    def say(self, *said: Alert, times: int = 1) -> None:
        """Returns when the broker has them. The partition follows from the id, as it does from the judge's."""
        for each in said:
            for _ in range(times):
                self._producer.produce(
                    ALERT.topic,
                    partition=int(each.record_id[-1], 16) % self.settings.partitions,
                    key=each.record_id.encode(),
                    value=self.codec.encode(ALERT.subject, each.model_dump()),
                    headers=envelope(each).to_headers(),
                )
        assert self._producer.flush(60) == 0

    def alert(self, number: int, position: int = 1, **changes: object) -> Alert:
        return alert(f"{self.prefix}{number:04x}", position, **changes)

    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "XIEZHI_BOOTSTRAP_SERVERS": self.settings.bootstrap_servers,
            "XIEZHI_REGISTRY_URL": self.settings.registry_url,
            "XIEZHI_DATA_DIR": str(self.folder),
            "PYTHONPATH": str(ROOT),
        }

    @contextmanager
    def running(self, *command: str) -> Iterator[subprocess.Popen[str]]:
        """A process that is ended with the block, if it has not ended by then."""
        log = (self.folder / "log.txt").open("a")
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            env=self.environment(),
            cwd=ROOT,
            stdout=subprocess.PIPE if command[0] == "xiezhi.cli.main" else log,
            stderr=log,
            text=True,
        )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(20)
            if process.stdout is not None:
                process.stdout.close()
            log.close()

    def service(self) -> AbstractContextManager[subprocess.Popen[str]]:
        return self.running("consumers.alerts.service")

    def stored(self) -> list[Stored]:
        """Accepted statements about this test's alerts, in order."""
        if not path_of(self.settings).exists():
            return []
        store = AlertStore.open(url_of(self.settings))
        try:
            found = store.after(0, Filter(), limit=1_000_000).statements
        finally:
            store.close()
        return [each for each in found if each.alert.record_id.startswith(self.prefix)]

    def stored_count(self) -> int:
        if not path_of(self.settings).exists():
            return 0
        with closing(sqlite3.connect(path_of(self.settings), timeout=10)) as connection:
            try:
                query = "SELECT count(*) FROM alert_history WHERE substr(alert_id, 1, ?) = ?"
                (number,) = connection.execute(query, (len(self.prefix), self.prefix)).fetchone()
            except sqlite3.OperationalError:
                return 0  # the service has not made its tables yet
        return int(number)

    def mine(self, lines: Sequence[Line]) -> list[Line]:
        return [line for line in lines if line.alert_id.startswith(self.prefix)]

    def lag(self) -> int:
        admin = Admin({"bootstrap.servers": self.settings.bootstrap_servers})
        places = [TopicPartition(ALERT.topic, each) for each in range(self.settings.partitions)]
        committed = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(GROUP, places)])[
            GROUP
        ].result(30)
        ends = admin.list_offsets({place: OffsetSpec.latest() for place in places})
        return sum(
            ends[TopicPartition(each.topic, each.partition)].result(30).offset - max(each.offset, 0)
            for each in committed.topic_partitions
        )


@pytest.fixture
def bus(stack: LocalStack, tmp_path: Path) -> Bus:
    settings = stack.settings()
    registry = ConfluentRegistry(settings.registry_url)
    plan = topic_plan(BUS_CONTRACTS, settings)
    Rollout(BUS_CONTRACTS, plan, registry, Topics(settings.bootstrap_servers)).apply(lambda line: None)
    return Bus(stack, tmp_path)


def wait_until(reached: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not reached():
        assert time.monotonic() < deadline, "not reached in time"
        time.sleep(0.1)


def test_what_is_said_is_stored_once_and_the_lag_goes_to_zero(bus: Bus) -> None:
    said = [bus.alert(number) for number in range(20)]
    bus.say(*said, times=3)
    with bus.service() as service:
        wait_until(lambda: bus.stored_count() == 20)
        wait_until(lambda: bus.lag() == 0)
        service.send_signal(signal.SIGTERM)
        assert service.wait(20) == 0
    assert sorted(each.alert.record_id for each in bus.stored()) == sorted(each.record_id for each in said)


def test_kills_between_any_two_steps_have_no_second_effect(bus: Bus) -> None:
    """Every position is said twice; the service is killed while input arrives that is not committed."""
    kills, rounds, lags = 3, 20, []
    wanted = range(1, (kills + 1) * rounds + 1)
    for first in wanted[::rounds]:
        before = bus.stored_count()
        with bus.service() as service:
            bus.say(*(bus.alert(number, first) for number in range(8)), times=2)
            wait_until(lambda before=before: bus.stored_count() > before)  # type: ignore[misc]
            for position in range(first + 1, first + rounds):
                bus.say(*(bus.alert(number, position) for number in range(8)), times=2)
            if first + rounds < wanted.stop:
                service.kill()
                service.wait(10)
                lags.append(bus.lag())
            else:
                wait_until(lambda: bus.stored_count() == 8 * len(wanted))
                wait_until(lambda: bus.lag() == 0)
    assert any(lags), "no kill hit uncommitted input"
    for number in range(8):
        alert_id = bus.alert(number).record_id
        history = [each.alert.position for each in bus.stored() if each.alert.record_id == alert_id]
        assert history == list(wanted)


def test_a_broker_that_restarts_is_waited_for(bus: Bus) -> None:
    with bus.service() as service, Subscriber(bus.settings, "desk") as subscriber:
        bus.say(bus.alert(1))
        wait_until(lambda: bus.stored_count() == 1)
        assert bus.alert(1).record_id in deliveries(subscriber, bus, 1)
        bus.stack.restart_broker()
        bus.say(bus.alert(2))
        wait_until(lambda: bus.stored_count() == 2)
        assert bus.alert(2).record_id in deliveries(subscriber, bus, 1)
        assert service.poll() is None


def test_an_unreachable_registry_is_waited_for_and_costs_no_statement(bus: Bus) -> None:
    bus.say(bus.alert(1))
    bus.stack.stop_registry()
    with bus.service() as service:
        try:
            wait_until(lambda: "waiting for the schema registry" in (bus.folder / "log.txt").read_text())
            assert bus.stored_count() == 0
        finally:
            bus.stack.start_registry()
        wait_until(lambda: bus.stored_count() == 1)
        service.send_signal(signal.SIGTERM)
        assert service.wait(20) == 0


def test_a_follower_that_is_killed_resumes_without_gap_or_repeat(bus: Bus) -> None:
    with bus.service():
        bus.say(*(bus.alert(number) for number in range(30)))
        wait_until(lambda: bus.stored_count() == 30)
        first = follow(bus, 10, "--from-start", end=signal.SIGKILL)
        bus.say(*(bus.alert(number, 2, state="withdrawn") for number in range(30)))
        second = follow(bus, 60, seen=first)
        stored = bus.stored()
    assert len(first) + len(second) <= 61  # a kill may repeat the one line it hit
    lines = {line.seq: line for line in first + second}
    assert [(each.alert_id, each.position) for _, each in sorted(lines.items())] == [
        (each.alert.record_id, each.alert.position) for each in stored
    ]


def test_an_alert_is_visible_within_a_second(bus: Bus) -> None:
    with bus.service():
        bus.say(bus.alert(0))
        wait_until(lambda: bus.stored_count() == 1)
        delays = []
        with bus.running(
            "xiezhi.cli.main", "alerts", "follow", "--json", "--cursor", "watch", "--from-start"
        ) as reader:
            assert reader.stdout is not None
            for position in range(1, 6):
                said_at = time.monotonic()
                bus.say(bus.alert(1, position))
                while json.loads(reader.stdout.readline())["alert"]["record_id"] != bus.alert(1).record_id:
                    pass
                delays.append(time.monotonic() - said_at)
    assert sorted(delays)[len(delays) // 2] < 1.0, delays


def test_a_subscriber_resumes_where_it_acknowledged(bus: Bus) -> None:
    bus.say(*(bus.alert(number) for number in range(6)), times=2)
    with Subscriber(bus.settings, "desk") as subscriber:
        first = deliveries(subscriber, bus, 4, acknowledged=3)
    bus.say(bus.alert(0, 2, state="withdrawn"))
    with Subscriber(bus.settings, "desk") as subscriber:
        second = deliveries(subscriber, bus, 4)
        wait_until(lambda: subscriber.poll(0.5) is None)
    assert len(first) == 4
    assert len(second) == 4
    assert first[3] in second
    assert set(first[:3]) & set(second) <= {bus.alert(0).record_id}


def deliveries(
    subscriber: Subscriber, bus: Bus, number: int, *, acknowledged: int | None = None
) -> list[str]:
    """Ids of the next so many deliveries about this test's alerts; others are acknowledged in passing."""
    found: list[str] = []
    deadline = time.monotonic() + 60
    while len(found) < number:
        assert time.monotonic() < deadline, f"only {found}"
        delivery = subscriber.poll(1.0)
        if delivery is None:
            continue
        mine = delivery.alert.record_id.startswith(bus.prefix)
        if not mine or acknowledged is None or len(found) < acknowledged:
            delivery.acknowledge()
        if mine:
            found.append(delivery.alert.record_id)
    return found


class Line(NamedTuple):
    seq: int
    alert_id: str
    position: int

    @classmethod
    def read(cls, text: str) -> Line:
        line = json.loads(text)
        return cls(line["seq"], line["alert"]["record_id"], line["alert"]["position"])


def follow(
    bus: Bus, number: int, *options: str, seen: Sequence[Line] = (), end: signal.Signals = signal.SIGINT
) -> list[Line]:
    """What one follower writes until, with what was seen, so many different statements of this test are there."""
    command = ("xiezhi.cli.main", "alerts", "follow", "--json", "--cursor", "desk", *options)
    lines: list[Line] = []
    with bus.running(*command) as process:
        assert process.stdout is not None
        while len({*seen, *bus.mine(lines)}) < number:
            lines.append(Line.read(process.stdout.readline()))
        process.send_signal(end)
        lines += map(Line.read, process.stdout)  # what it had written before the signal took effect
        assert process.wait(10) == (0 if end is signal.SIGINT else -end)
    return bus.mine(lines)
