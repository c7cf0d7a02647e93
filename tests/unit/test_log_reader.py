"""What a reader of the log says when there is no broker."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from xiezhi import log
from xiezhi.cli.main import cli
from xiezhi.errors import BrokerUnavailableError
from xiezhi.local.settings import LOOPBACK
from xiezhi.log import LogReader, once_led


@pytest.fixture
def nobody(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nothing listens, and no patience."""
    monkeypatch.setattr(log, "TIMEOUT_S", 0.5)
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        return f"{LOOPBACK}:{held.getsockname()[1]}"


@pytest.mark.parametrize("ask", [lambda r: r.partitions("t"), lambda r: r.range("t", 0)])
def test_an_absent_broker_is_one_sentence_and_a_remedy(
    nobody: str, ask: Callable[[LogReader], object]
) -> None:
    with LogReader(nobody) as reader, pytest.raises(BrokerUnavailableError) as caught:
        ask(reader)
    assert nobody in str(caught.value)
    assert "make up" in str(caught.value)


def test_a_partition_without_a_leader_is_asked_again_until_it_has_one_or_time_is_up() -> None:
    answers = [KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE]

    def ask() -> int:
        if answers:
            raise KafkaException(KafkaError(answers.pop()))
        return 7

    assert once_led(ask, 30.0) == 7
    answers += [KafkaError.NOT_LEADER_FOR_PARTITION] * 3
    with pytest.raises(KafkaException):
        once_led(ask, 0.0)
    answers[:] = [KafkaError.UNKNOWN_TOPIC_OR_PART]
    with pytest.raises(KafkaException):
        once_led(ask, 30.0)
    assert answers == []


def test_a_command_without_a_broker_shows_none_of_the_clients_own_lines(
    nobody: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("XIEZHI_BOOTSTRAP_SERVERS", nobody)
    result = CliRunner().invoke(cli, ["rules", "list"])
    assert isinstance(result.exception, BrokerUnavailableError)
    assert [one for one in caplog.records if one.name == "librdkafka"] == []


class Asked:
    """A client that holds ten records and notes how many it is asked for at once."""

    def __init__(self) -> None:
        self.position, self.asked = 0, list[int]()

    def get_watermark_offsets(self, *_: object, **__: object) -> tuple[int, int]:
        return 0, 10

    def assign(self, places: list[TopicPartition]) -> None:
        self.position = places[0].offset

    def unassign(self) -> None: ...
    def close(self) -> None: ...

    def poll(self, _: float) -> object:
        self.position += 1
        return Held(self.position - 1)

    def consume(self, count: int, _: float) -> list[object]:
        self.asked.append(count)
        return [self.poll(0) for _ in range(count)]


class Held:
    """A message of that client."""

    def __init__(self, offset: int) -> None:
        self.offset = lambda: offset

    def error(self) -> None: ...
    def topic(self) -> str:
        return "t"

    def partition(self) -> int:
        return 0

    def timestamp(self) -> tuple[int, int]:
        return 2, 0

    def key(self) -> None: ...
    def value(self) -> bytes:
        return b""

    def headers(self) -> None: ...


def test_a_reader_waits_for_no_more_records_than_it_is_to_read() -> None:
    """The client returns at once with as many as it was asked for, else after a time-out."""
    for end, asked in ((10, 9), (4, 3), (1, 0), (None, 9)):
        client = Asked()
        reader = LogReader("nowhere:1")
        reader._consumer = client
        assert [one.offset for chunk in reader.read("t", 0, 0, end) for one in chunk] == list(
            range(end or 10)
        )
        assert client.asked == [asked]
