"""A stage opens a store only if the log it was filled from is the log it will read on."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.stage import Stage, _Log
from xiezhi.codec import Codec
from xiezhi.contracts.naming import fact_topic
from xiezhi.errors import ConfigurationError
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings

TOPIC = "any.topic.v1"


def stage(folder: Path, fingerprint: str = "selectors") -> Stage:
    return Stage("router", Settings(data_dir=folder), Codec(InMemoryRegistry()), fingerprint)


def filled_up_to(folder: Path, offset: int) -> None:
    store = stage(folder)._open_store(TOPIC, 0, _Log("cluster", 0, 100, 1))
    store.commit(store.seal(offset))
    store.close()


def test_the_same_log_is_read_on(tmp_path: Path) -> None:
    filled_up_to(tmp_path, 40)
    store = stage(tmp_path)._open_store(TOPIC, 0, _Log("cluster", 40, 100, 1))
    assert store.next_offset == 40
    store.close()


@pytest.mark.parametrize(
    ("fingerprint", "log", "why"),
    [
        ("selectors", _Log("another cluster", 0, 100, 1), "another Kafka cluster"),
        ("other selectors", _Log("cluster", 40, 100, 1), "other joins or selectors"),
        ("selectors", _Log("cluster", 0, 39, 1), "ahead of its topic"),
    ],
)
def test_another_log_or_other_code_is_refused(tmp_path: Path, fingerprint: str, log: _Log, why: str) -> None:
    filled_up_to(tmp_path, 40)
    with pytest.raises(ConfigurationError, match=why):
        stage(tmp_path, fingerprint)._open_store(TOPIC, 0, log)


def test_a_topic_that_grew_is_refused_by_the_stores_that_knew_fewer_partitions(tmp_path: Path) -> None:
    filled_up_to(tmp_path, 40)
    grown = _Log("cluster", 40, 100, 3)
    with pytest.raises(ConfigurationError, match=r"had 1 partitions and has 3 now.* records published again"):
        stage(tmp_path)._open_store(TOPIC, 0, grown)
    with pytest.raises(ConfigurationError, match="had 1 partitions"):
        stage(tmp_path)._open_store(TOPIC, 2, grown)  # a partition that is new, after a restart
    stage(tmp_path)._open_store("any.other.v1", 0, grown).close()


def test_a_topic_that_grows_while_a_stage_works_is_refused_at_the_next_assignment(tmp_path: Path) -> None:
    working = stage(tmp_path)
    working._open_store(TOPIC, 0, _Log("cluster", 0, 0, 2)).close()
    with pytest.raises(ConfigurationError, match="had 2 partitions"):
        working._open_store(TOPIC, 2, _Log("cluster", 0, 0, 3))


def test_a_fact_topic_that_grew_is_filled_anew_and_nobody_publishes_again(tmp_path: Path) -> None:
    facts = fact_topic(1)
    stage(tmp_path)._open_store(facts, 0, _Log("cluster", 0, 0, 2)).close()
    with pytest.raises(ConfigurationError, match="life; file everything anew with `xiezhi refile`"):
        stage(tmp_path)._open_store(facts, 0, _Log("cluster", 0, 0, 3))
