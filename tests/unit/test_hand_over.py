"""Before partitions are given back, what was done of them is committed; nobody waits long for what is not yet done."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any
from weakref import WeakSet

import pytest
from faust.transport.drivers import aiokafka as driver

from xiezhi import batch_transport
from xiezhi.batch_transport import Consumer

UNBOUNDED_S = 10.0


class Unstarted(Consumer):
    """Faust's own loop with one batch that is never acknowledged; what it calls besides is noted."""

    def __init__(self, happened: list[str]) -> None:
        self._begun = time.monotonic()
        self._happened, self._batch = happened, Batch()
        self.diag = SimpleNamespace(set_flag=print, unset_flag=print)
        self.log = SimpleNamespace(dev=print, warning=print, info=print)
        self._unacked_messages = WeakSet([self._batch])
        self.loop = asyncio.get_running_loop()
        self._commit_fut: asyncio.Future[None] | None = None  # of a commit under way

    @property
    def should_stop(self) -> bool:
        """Ends a loop that nothing else ends."""
        return time.monotonic() > self._begun + UNBOUNDED_S

    async def commit(self, start_new_transaction: bool = True) -> bool:
        """As Faust's: it only waits while another is under way, whose offsets may be older."""
        if await self.maybe_wait_for_commit_to_finish():
            return False
        self._happened.append("committed")
        return True


class Batch:
    """A message that is being worked on."""

    acked = False


def test_a_group_does_not_wait_for_a_worker_that_restores_a_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_transport, "HAND_OVER_S", 0.1)
    happened: list[str] = []

    async def give_back() -> None:
        await Unstarted(happened).wait_empty()

    begun = time.monotonic()
    asyncio.run(give_back())
    assert time.monotonic() - begun < UNBOUNDED_S
    assert happened[-1] == "committed", "what was acknowledged until then"


def test_what_is_acknowledged_is_committed_before_faust_forgets_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    happened: list[str] = []

    async def revoked(_: Any, partitions: set[str]) -> None:
        happened.append(f"forgot {sorted(partitions)}")

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", revoked)

    async def give_back() -> None:
        await Unstarted(happened).on_partitions_revoked({"t/0"})

    asyncio.run(give_back())
    assert happened == ["committed", "forgot ['t/0']"]


def test_a_commit_that_is_under_way_is_followed_by_another(monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []

    async def revoked(_: Any, partitions: set[str]) -> None:
        happened.append("forgot")

    monkeypatch.setattr(driver.Consumer, "on_partitions_revoked", revoked)

    async def give_back() -> None:
        consumer = Unstarted(happened)
        consumer._commit_fut = under_way = consumer.loop.create_future()

        def ends() -> None:
            happened.append("earlier commit ended")
            consumer._commit_fut = None
            under_way.set_result(None)

        consumer.loop.call_later(0.05, ends)
        await consumer.on_partitions_revoked({"t/0"})

    asyncio.run(give_back())
    assert happened == ["earlier commit ended", "committed", "forgot"]
