"""Dead letters on a real broker: written, listed, shown, and sent again to where they came from."""

from __future__ import annotations

import base64
import itertools
import json
import uuid

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from xiezhi.cli.dead_letters import group
from xiezhi.codec import Codec
from xiezhi.contracts.bus import BUS_CONTRACTS
from xiezhi.contracts.rollout import Rollout
from xiezhi.dead_letters import MESSAGE_BYTES_MAX, DeadLetters
from xiezhi.local.stack import LocalStack
from xiezhi.log import LogReader, RawRecord
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.topics import PlannedTopic, Topics, topic_plan
from xiezhi.wall_clock import now_ms


class Bench:
    """A topic with two partitions, and a stage that can use nothing of it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.topic = f"test.poison-{uuid.uuid4().hex[:8]}.v1"
        self._topics = Topics(settings.bootstrap_servers)
        self._topics.create([PlannedTopic(self.topic, 2)])
        self._producer = Producer(
            {"bootstrap.servers": settings.bootstrap_servers, "message.max.bytes": MESSAGE_BYTES_MAX}
        )
        registry = ConfluentRegistry(settings.registry_url)
        plan = topic_plan(BUS_CONTRACTS, settings)
        Rollout(BUS_CONTRACTS, plan, registry, self._topics).apply(lambda line: None)
        self._letters = DeadLetters(
            self._producer,
            Codec(registry),
            stage="router",
            limit_per_minute=1_000,
            clock=now_ms,
        )

    def publish(self, value: bytes, *, key: bytes | None = b"k", partition: int = 1) -> None:
        headers = [("ce_id", b"one"), ("odd", None), ("odd", b"\xff")]
        self._producer.produce(self.topic, value, key, partition, headers=headers)
        assert self._producer.flush(30) == 0

    def records(self) -> list[RawRecord]:
        with LogReader(self.settings.bootstrap_servers) as reader:
            chunks = [reader.read(self.topic, partition, 0) for partition in (0, 1)]
            return [record for chunk in itertools.chain(*chunks) for record in chunk]

    def fail(self, record: RawRecord, reason: str = "unknown_schema") -> None:
        errors: list[object] = []
        self._letters.send(
            record, reason=reason, detail="no such schema", on_delivered=lambda e, _: errors.append(e)
        )
        assert self._producer.flush(30) == 0
        assert errors == [None]

    def run(self, *arguments: str, answer: str = "") -> Result:
        return CliRunner().invoke(group, arguments, input=answer, catch_exceptions=False)

    def waiting(self, *options: str) -> list[dict[str, object]]:
        result = self.run("list", "--json", "--topic", self.topic, *options)
        assert result.exit_code == 0, result.output
        return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def bench(stack: LocalStack, monkeypatch: pytest.MonkeyPatch) -> Bench:
    settings = stack.settings()
    monkeypatch.setenv("XIEZHI_BOOTSTRAP_SERVERS", settings.bootstrap_servers)
    monkeypatch.setenv("XIEZHI_REGISTRY_URL", settings.registry_url)
    return Bench(settings)


def test_a_record_goes_to_the_dead_letters_and_back_unchanged(bench: Bench) -> None:
    bench.publish(b"\x00\x00\x00\x00\x09poison")
    (original,) = bench.records()
    bench.fail(original)
    bench.fail(original)  # a repeat after a crash

    (listed,) = bench.waiting()
    assert (listed["id"], listed["reason"], listed["attempts"]) == (f"{bench.topic}/1/0", "unknown_schema", 1)
    shown = json.loads(bench.run("show", str(listed["id"]), "--json").stdout)
    assert base64.urlsafe_b64decode(shown["value"]) == original.value

    assert "would send: 1" in bench.run("replay", "--topic", bench.topic, "--dry-run").stdout
    assert bench.run("replay", "--topic", bench.topic, answer="n\n").exit_code == 1
    assert len(bench.records()) == 1

    result = bench.run("replay", "--topic", bench.topic, answer="y\n")
    assert result.exit_code == 0, result.output
    assert "sent 1, not sent 0" in result.stdout
    _, again = bench.records()
    assert (again.partition, again.key, again.value) == (1, original.key, original.value)
    assert list(again.headers) == [
        *original.headers,
        ("xz_attempts", b"2"),
        ("xz_origin", f"{bench.topic}/1/0".encode()),
    ]
    assert bench.waiting() == []
    assert len(bench.waiting("--all")) == 1
    assert "nothing to send" in bench.run("replay", "--topic", bench.topic, "--yes").stdout


def test_a_record_that_failed_three_times_is_refused(bench: Bench) -> None:
    bench.publish(b"poison")
    bench.fail(bench.records()[-1])
    for attempts in (2, 3):
        assert bench.run("replay", f"{bench.topic}/1/0", "--yes").exit_code == 0
        bench.fail(bench.records()[-1])
        (listed,) = bench.waiting()
        assert (listed["id"], listed["attempts"]) == (f"{bench.topic}/1/0", attempts)
    refused = bench.run("replay", f"{bench.topic}/1/2", "--yes")
    assert refused.exit_code == 1
    assert "failed 3 times" in refused.stderr
    assert len(bench.records()) == 3
    assert bench.run("replay", f"{bench.topic}/1/2", "--yes", "--force").exit_code == 0
    assert bench.records()[-1].headers[-2] == ("xz_attempts", b"4")
    assert "attempt" in bench.run("show", f"{bench.topic}/1/0").stdout


def test_a_choice_by_reason_leaves_others_alone(bench: Bench) -> None:
    for value in (b"one", b"two", b"three"):
        bench.publish(value)
    for record, reason in zip(
        bench.records(), ("unknown_schema", "wrong_magic", "unknown_schema"), strict=True
    ):
        bench.fail(record, reason)
    chosen = ("--topic", bench.topic, "--reason", "unknown_schema", "--since", "1h")
    assert "sent 2" in bench.run("replay", *chosen, "--yes").stdout
    assert [record.value for record in bench.records()[3:]] == [b"one", b"three"]
    assert [listed["reason"] for listed in bench.waiting()] == ["wrong_magic"]


def test_the_largest_record_the_broker_takes_fits_into_a_letter_and_back(bench: Bench) -> None:
    bench.publish(b"\x01" * 999_000)
    bench.fail(bench.records()[0])
    assert bench.waiting()[0]["value_bytes"] == 999_000
    assert bench.run("replay", "--topic", bench.topic, "--yes").exit_code == 0
    assert len(bench.records()[1].value or b"") == 999_000


def test_null_keys_and_values_survive(bench: Bench) -> None:
    record = RawRecord(bench.topic, 0, 0, 1, None, None, ())
    bench.fail(record, "null_key")
    assert bench.run("replay", f"{bench.topic}/0/0", "--yes").exit_code == 0
    (again,) = bench.records()
    assert (again.partition, again.key, again.value) == (0, None, None)


def test_a_place_that_does_not_exist_is_reported(bench: Bench) -> None:
    bench.fail(RawRecord(bench.topic, 7, 0, 1, b"k", b"v", ()))
    result = bench.run("replay", f"{bench.topic}/7/0", "--yes")
    assert result.exit_code == 1
    assert "not sent 1" in result.stdout
    assert f"not sent {bench.topic}/7/0: " in result.stderr
    assert len(bench.waiting()) == 1


def test_an_unknown_id_is_refused(bench: Bench) -> None:
    for command in ("show", "replay"):
        result = bench.run(command, f"{bench.topic}/0/99")
        assert result.exit_code == 2
        assert "no dead letter has the ID" in result.stderr
