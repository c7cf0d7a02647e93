"""A stage opens a store only if the log it was filled from is the log it will read on."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.stage import Stage, _Log
from xiezhi.codec import Codec
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
