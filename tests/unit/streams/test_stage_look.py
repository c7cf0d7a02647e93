"""Partitions opened one after another ask one client; one that failed, or that is old, is not asked again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams import stage as module
from streams.stage import LOOKING_S, Stage
from xiezhi.codec import Codec
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings


class Client:
    """Answers as a broker with one topic of two partitions; fails once when told to."""

    made: list[Client]
    fails = False

    def __init__(self, options: dict[str, str]) -> None:
        self.group, self.is_closed = options["group.id"], False
        self.made.append(self)

    def committed(self, places: list[Any], timeout: float) -> list[Any]:
        if type(self).fails:
            type(self).fails = False
            raise KafkaException(KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS))
        return [SimpleNamespace(offset=7) for _ in places]

    def get_watermark_offsets(self, place: Any, timeout: float) -> tuple[int, int]:
        return 0, 9

    def list_topics(self, topic: str, timeout: float) -> Any:
        found = SimpleNamespace(error=None, partitions={0: None, 1: None})
        return SimpleNamespace(cluster_id="cluster", topics={topic: found})

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    Client.made = []
    monkeypatch.setattr(module, "Consumer", Client)
    monkeypatch.setattr(module, "RETRY_S", 0.0)
    return Stage("router", Settings(data_dir=tmp_path), Codec(InMemoryRegistry()), "selectors")


def test_many_partitions_ask_one_client(stage: Stage) -> None:
    assert [stage._look("t", number) for number in (0, 1)] == [module._Log("cluster", 7, 9, 2)] * 2
    assert [one.group for one in Client.made] == ["xiezhi-router"]


def test_a_client_that_failed_is_closed_and_another_one_asked(stage: Stage) -> None:
    Client.fails = True
    assert stage._look("t", 0).committed == 7
    assert [one.is_closed for one in Client.made] == [True, False]


def test_a_client_that_may_have_outlived_its_broker_is_not_asked(stage: Stage) -> None:
    stage._look("t", 0)
    stage._looked_at -= LOOKING_S
    stage._look("t", 0)
    assert [one.is_closed for one in Client.made] == [True, False]
