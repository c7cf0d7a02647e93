"""A rebalance may come while a partition is still being opened: what was revoked is left alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from streams.app import Follower
from streams.cores import JudgeCore
from streams.judge import Judge, Judging
from streams.stage import Assigned, Stage, _Log
from xiezhi.codec import Codec
from xiezhi.contracts.bus import DEAD_LETTER
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings
from xiezhi.store import KeyedStore

TOPIC = "any.topic.v1"


class RevokedWhileLooking(Stage):
    """Its partitions are revoked between the question to the broker and the answer."""

    def _look(self, topic: str, partition: int) -> _Log:
        self.revoke()
        return _Log("cluster", 0, 0, 1)


def judge_stage(folder: Path, kind: type[Stage] = Stage) -> Stage:
    registry = InMemoryRegistry()
    registry.register(DEAD_LETTER.subject, json.dumps(DEAD_LETTER.schema))
    codec = Codec(registry)
    stage = kind("judge", Settings(data_dir=folder), codec, "format")
    judging = Judging(joins=(), decode=codec.decode_as, activate=lambda _: "none", generation=1)

    def open_core(_: str, partition: int, store: KeyedStore) -> JudgeCore:
        return JudgeCore(Judge(judging, store), partition, codec.encode, codec.decode_as, lambda: 0)

    stage.open_core = open_core
    return stage


def opened(stage: Stage) -> Assigned:
    return asyncio.run(stage._open(TOPIC, 0))


def test_a_partition_revoked_while_it_is_opened_is_not_kept(tmp_path: Path) -> None:
    stage = judge_stage(tmp_path, RevokedWhileLooking)
    assert opened(stage).revoked
    assert stage.assigned(TOPIC) == []
    stage._open_store(TOPIC, 0, _Log("cluster", 0, 0, 1)).close()  # would raise if the store were still open


def test_outputs_of_a_partition_that_was_revoked_are_not_read(tmp_path: Path) -> None:
    stage = judge_stage(tmp_path)
    store = stage._open_store(TOPIC, 0, _Log("cluster", 0, 0, 1))
    assigned = Assigned(TOPIC, 0, stage.open_core(TOPIC, 0, store), 0)
    stage._partitions[TOPIC, 0] = assigned
    stage.revoke()
    follower = Follower(stage, stage.settings)
    asyncio.run(follower.read_to_end(assigned))  # a closed store would end the process
