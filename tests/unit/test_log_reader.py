"""What a reader of the log says when there is no broker."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from click.testing import CliRunner
from confluent_kafka import KafkaError, KafkaException

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
