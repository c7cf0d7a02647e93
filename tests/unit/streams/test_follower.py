"""A silent judge hears all that was said before the batch with which it begins to speak, and at no other."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from streams.app import Follower
from streams.cores import JudgeCore
from streams.facts import TAKE_OVER_KEY, TICK_KEY
from streams.judge import Judge, Judging
from streams.stage import Assigned, Stage
from xiezhi.codec import Codec
from xiezhi.contracts.bus import DEAD_LETTER
from xiezhi.contracts.naming import fact_topic
from xiezhi.log import RawRecord
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings
from xiezhi.store import KeyedStore, MemoryBackend


class Listener(Follower):
    """Notes when it is asked to read what was said, and whether the judge has begun to speak by then."""

    def __init__(self, stage: Stage, settings: Settings, judge: Judge) -> None:
        super().__init__(stage, settings)
        self._judge = judge
        self.heard: list[bool] = []

    async def read_to_end(self, assigned: Assigned) -> None:
        self.heard.append(self._judge.speaks)


def test_all_that_was_said_is_heard_before_a_take_over(tmp_path: Path) -> None:
    registry = InMemoryRegistry()
    registry.register(DEAD_LETTER.subject, json.dumps(DEAD_LETTER.schema))
    codec = Codec(registry)
    settings = Settings(data_dir=tmp_path, generation=2)
    stage = Stage("judge", settings, codec, "format")
    judging = Judging(joins=(), decode=codec.decode_as, activate=lambda _: "none", generation=2)
    judge = Judge(judging, KeyedStore(MemoryBackend()))
    core = JudgeCore(judge, 0, codec.encode, codec.decode_as, lambda: 0)
    assigned = Assigned(fact_topic(2), 0, core, 0)
    listener = Listener(stage, settings, judge)

    def read(*keys: bytes) -> list[bool]:
        listener.heard.clear()
        start = assigned.next_offset
        values = {TICK_KEY: b'{"now_ms": 1}', TAKE_OVER_KEY: b"{}"}
        records = [
            RawRecord(assigned.topic, 0, start + number, 0, key, values[key], ())
            for number, key in enumerate(keys)
        ]
        asyncio.run(stage.run(assigned, records))
        return list(listener.heard)

    assert read(TICK_KEY) == []
    assert read(TICK_KEY, TAKE_OVER_KEY, TICK_KEY) == [False]
    assert judge.speaks
    assert read(TAKE_OVER_KEY) == [], "told again"
