"""Publishing to a real broker: a restart and a kill lose nothing, and repeats are recognisable."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, TopicPartition

from schemas.catalogue import PAYMENT
from tests.running_bus import wait_for
from xiezhi.codec import Codec
from xiezhi.contracts.base import Contract
from xiezhi.contracts.examples import valid_example
from xiezhi.envelope import Envelope, event_id_of
from xiezhi.errors import DeliveryError
from xiezhi.local.stack import LocalStack
from xiezhi.publish import Publisher
from xiezhi.registry import ConfluentRegistry
from xiezhi.topics import PlannedTopic, Topics

ROOT = Path(__file__).parents[2]
SOURCE, JURISDICTION, OCCURRED_MS = "urn:xiezhi:test", "110000000000", 1_776_664_991_000
ROWS = 20_000
PARTITIONS = 2
_numbers = count(1)

CATALOGUE = """
from dataclasses import replace
from schemas.catalogue import PAYMENT
CONTRACTS = (replace(PAYMENT, owner={owner!r}),)
"""


@dataclass
class Place:
    """A project with one contract, and that contract's topic on the stack."""

    stack: LocalStack
    contract: Contract
    folder: Path
    consumer: Consumer

    def command(self, *arguments: str) -> subprocess.Popen[str]:
        settings = self.stack.settings()
        return subprocess.Popen(
            [sys.executable, "-m", "xiezhi.cli.main", *arguments],
            cwd=self.folder,
            env=os.environ
            | {
                "PYTHONPATH": str(ROOT),
                "XIEZHI_BOOTSTRAP_SERVERS": settings.bootstrap_servers,
                "XIEZHI_REGISTRY_URL": settings.registry_url,
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def publish(self, *arguments: str) -> subprocess.Popen[str]:
        return self.command("publish", self.contract.name, *arguments, "--source", SOURCE)

    def written(self) -> int:
        """Records on the topic now."""
        return sum(
            self.consumer.get_watermark_offsets(TopicPartition(self.contract.topic, each), timeout=10)[1]
            for each in range(PARTITIONS)
        )

    def wait_until_written(self, least: int, process: subprocess.Popen[str]) -> None:
        deadline = time.monotonic() + 60
        while self.written() < least:
            assert time.monotonic() < deadline, "nothing arrives on the topic"
            assert process.poll() is None, f"it ended early: {process.communicate()}"
            time.sleep(0.01)

    def messages(self) -> list[Message]:
        """Everything on the topic."""
        expected, found, deadline = self.written(), list[Message](), time.monotonic() + 60
        self.consumer.assign(
            [TopicPartition(self.contract.topic, each, OFFSET_BEGINNING) for each in range(PARTITIONS)]
        )
        while len(found) < expected:
            assert time.monotonic() < deadline, f"read {len(found)} of {expected}"
            found += [message for message in self.consumer.consume(1000, 0.5) if message.error() is None]
        self.consumer.unassign()
        return found

    def event_ids(self) -> Counter[str]:
        return Counter(Envelope.from_headers(message.headers()).event_id for message in self.messages())

    def event_id(self, record_id: str) -> str:
        return event_id_of(SOURCE, self.contract.topic, record_id, 0, OCCURRED_MS)


@pytest.fixture
def place(stack: LocalStack, tmp_path: Path) -> Iterator[Place]:
    owner = f"publishing{next(_numbers)}"
    contract = replace(PAYMENT, owner=owner)
    (tmp_path / "xiezhi.toml").write_text(f'[project]\ncontracts = "{owner}_catalogue"\n')
    (tmp_path / f"{owner}_catalogue.py").write_text(CATALOGUE.format(owner=owner))
    ConfluentRegistry(stack.registry_url).register(contract.subject, json.dumps(contract.schema))
    Topics(stack.bootstrap_servers).create([PlannedTopic(contract.topic, PARTITIONS)])
    consumer = Consumer(
        {
            "bootstrap.servers": stack.bootstrap_servers,
            "group.id": owner,
            "enable.auto.commit": False,
            "reconnect.backoff.max.ms": 500,
            "log_level": 0,
        }
    )
    yield Place(stack, contract, tmp_path, consumer)
    consumer.close()


@pytest.fixture
def file(place: Place) -> Path:
    example = {
        **valid_example(PAYMENT),
        "occurred_at": "2026-04-20T14:03:11+08:00",
        "jurisdiction": JURISDICTION,
    }
    path = place.folder / "payments.jsonl"
    with path.open("w", encoding="utf-8") as opened:
        for number in range(ROWS):
            opened.write(json.dumps({**example, "record_id": f"pay-{number}"}) + "\n")
    return path


def summary(place: Place) -> str:
    return f"{place.contract.name}: {ROWS:,} accepted, 0 refused, {ROWS:,} sent, 0 not delivered\n"


def test_a_file_goes_onto_the_bus_and_its_bad_rows_into_the_refused_records(place: Place) -> None:
    good = {
        **valid_example(PAYMENT),
        "occurred_at": "2026-04-20T14:03:11+08:00",
        "jurisdiction": JURISDICTION,
    }
    rows = [good, {**good, "record_id": "bad", "kind": "gift"}, {**good, "record_id": "other", "version": 2}]
    (place.folder / "x.jsonl").write_text("\n".join(map(json.dumps, rows)), "utf-8")
    process = place.publish(str(place.folder / "x.jsonl"))
    said, complained = process.communicate(timeout=60)
    assert process.returncode == 1, complained
    assert said == f"{place.contract.name}: 2 accepted, 1 refused, 2 sent, 0 not delivered\n"
    messages = sorted(place.messages(), key=lambda message: bytes(message.key()))
    assert [message.key() for message in messages] == [b"other", b"pay-2026-000001"]
    codec = Codec(ConfluentRegistry(place.stack.registry_url))
    value = codec.decode_as(place.contract.topic, messages[1].value())
    assert value == PAYMENT.model.model_validate(valid_example(PAYMENT)).model_dump()
    envelope = Envelope.from_headers(messages[1].headers())
    assert (envelope.source, envelope.occurred_ms, envelope.version) == (SOURCE, OCCURRED_MS, 0)
    [refused] = (place.folder / "x.jsonl.refused.jsonl").read_text("utf-8").splitlines()
    assert json.loads(refused)["line"] == 2


def test_a_withdrawal_is_a_null_value_with_the_envelope(place: Place) -> None:
    applied = place.command("contracts", "apply")
    assert applied.communicate(timeout=60)[1] == "", "a withdrawal is on the access trail"
    process = place.command(
        *("withdraw", place.contract.name, "pay-1", "--version", "3", "--source", SOURCE),
        *("--occurred-at", "2026-04-20T14:03:11+08:00", "--jurisdiction", JURISDICTION),
    )
    said, complained = process.communicate(timeout=60)
    assert said == f"withdrawn: {place.contract.name} pay-1 version 3\n", complained
    [message] = place.messages()
    assert (message.key(), message.value()) == (b"pay-1", None)
    envelope = Envelope.from_headers(message.headers())
    assert (envelope.subject, envelope.version, envelope.occurred_ms) == ("pay-1", 3, OCCURRED_MS)


def restart(stack: LocalStack) -> None:
    stack.broker.stop()


def kill(stack: LocalStack) -> None:
    stack.kill_broker()


@pytest.mark.parametrize("end", [restart, kill])
def test_a_broker_that_goes_and_comes_back_while_publishing_costs_no_record_and_repeats_none(
    place: Place, file: Path, end: Callable[[LocalStack], None]
) -> None:
    rows = file.read_text("utf-8").splitlines(keepends=True)
    process = place.publish("-", "--format", "jsonl")
    assert process.stdin is not None
    process.stdin.writelines(rows[: ROWS // 2])
    process.stdin.flush()
    place.wait_until_written(500, process)
    end(place.stack)
    try:
        process.stdin.writelines(rows[ROWS // 2 :])
    finally:
        place.stack.start_broker()
    said, complained = process.communicate(timeout=120)
    assert (process.returncode, said) == (0, summary(place)), complained
    assert place.event_ids() == Counter(place.event_id(f"pay-{number}") for number in range(ROWS))


def test_a_killed_publisher_started_again_on_the_same_file_loses_nothing_and_repeats_are_recognised(
    place: Place, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = place.publish(str(file))
    place.wait_until_written(500, killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=10)
    assert killed.returncode == -signal.SIGKILL, "it had finished before the kill"
    before = place.written()
    again = place.publish(str(file))
    said, complained = again.communicate(timeout=120)
    assert (again.returncode, said) == (0, summary(place)), complained

    ids = place.event_ids()
    assert set(ids) == {place.event_id(f"pay-{number}") for number in range(ROWS)}
    assert set(ids.values()) == {1, 2}
    repeats = ids.total() - len(ids)
    assert repeats == before
    with capsys.disabled():
        print(f"\n{repeats:,} of {ids.total():,} records are physical repeats with the id of the first")  # noqa: T201 - the figure to look at


def test_without_its_broker_a_publisher_says_which_records_did_not_arrive(place: Place) -> None:
    record = PAYMENT.model.model_validate(valid_example(PAYMENT))
    settings, codec = place.stack.settings(), Codec(ConfluentRegistry(place.stack.registry_url))
    publisher = Publisher(settings, source=SOURCE, codec=codec, delivery_timeout_s=2)
    place.stack.kill_broker()
    try:
        publisher.publish(place.contract, record, occurred_ms=OCCURRED_MS, jurisdiction=JURISDICTION)
        with pytest.raises(DeliveryError, match="1 records were not delivered"):
            publisher.flush()
    finally:
        place.stack.start_broker()
    assert [failure.record_id for failure in publisher.failures] == [valid_example(PAYMENT)["record_id"]]

    def arrived_when_published_again() -> bool:
        publisher.publish(place.contract, record, occurred_ms=OCCURRED_MS, jurisdiction=JURISDICTION)
        with contextlib.suppress(DeliveryError):  # two seconds are short for a broker that has just started
            publisher.flush()
        return publisher.delivered >= 1

    wait_for(arrived_when_published_again, 60.0, "the same publisher delivers")


def test_a_topic_that_does_not_exist_says_what_to_do(place: Place) -> None:
    missing = replace(place.contract, record="payment", owner=f"{place.contract.owner}x")
    ConfluentRegistry(place.stack.registry_url).register(missing.subject, json.dumps(missing.schema))
    soon = {"topic.metadata.propagation.max.ms": 500}
    publisher = Publisher(place.stack.settings(), source=SOURCE, librdkafka=soon)
    record = PAYMENT.model.model_validate(valid_example(PAYMENT))
    publisher.publish(missing, record, occurred_ms=OCCURRED_MS, jurisdiction=JURISDICTION)
    with pytest.raises(DeliveryError, match="contracts apply"):
        publisher.flush()
