"""A Faust transport whose agents get one event per partition and fetch: a batch of raw Kafka records.

Faust keeps groups, assignment, rebalance and life cycle; the wire format stays one event per Kafka record. What is
folded is only the way from the fetcher to the agent, which costs stock Faust about 100 µs a record. An event's value
is the list of raw records, its offset that of the last one. Tables, whose changelogs Faust reads itself, have no place
here. Selected by the URL scheme `xiezhi://`.

Checked against faust-streaming 0.15.3, whose internals it overrides; pin it, and run the crash tests before moving.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from time import monotonic
from typing import Any, ClassVar

from aiokafka.structs import ConsumerRecord
from faust.transport.drivers import aiokafka as driver

from xiezhi import record_batches
from xiezhi.assignment import StoresAssignor
from xiezhi.log import RawRecord

logger = logging.getLogger(__name__)

#: Least time between two fetches while batches are small: thousands of tiny fetches a second cost more than the work.
PACE_S = 0.010
_LOG_APPEND_TIME = 1
#: A fetch that brought at least this many records is followed by the next at once.
LARGE_FETCH_RECORDS = 1_000
#: How long the broker may hold a fetch when there is nothing. aiokafka asks a broker one question at a time, and leaves
#: out partitions whose last answer is not consumed yet: with Faust's 1,500 ms these may wait that long for quiet ones.
HOLD_MS = 100
#: Batches under way are finished and committed before partitions are given back, within this. Without a bound a worker
#: that restores a store keeps its whole group from going on for up to a minute (the rebalance time-out).
HAND_OVER_S = 2.0


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc] # faust is untyped here
    """Fetches as Faust does, then folds each partition's records into one."""

    _fetched_at = 0.0
    _fetched_records = LARGE_FETCH_RECORDS

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        # Faust offers it with transactions of its own only. Departments may use them: what they aborted was never said.
        consumer._isolation_level = "read_committed"
        consumer._fetch_max_wait_ms = HOLD_MS
        # Stores are beside Faust's own folder. One way to share alone: aiokafka joins once for each that it is given.
        consumer._partition_assignment_strategy = (StoresAssignor(Path(self.app.conf.datadir).parent),)
        return consumer

    async def _fetch_records(self, *args: Any, **kwargs: Any) -> Mapping[Any, list[Any]]:
        if self._fetched_records < LARGE_FETCH_RECORDS:
            await asyncio.sleep(max(0.0, self._fetched_at + PACE_S - monotonic()))
        fetched = await super()._fetch_records(*args, **kwargs)
        self._fetched_at = monotonic()
        self._fetched_records = sum(map(len, fetched.values()))
        return {tp: [fold(records)] for tp, records in fetched.items() if records}


class Consumer(driver.Consumer):  # type: ignore[misc] # faust is untyped here
    """Commits what a folded batch means, all of its offsets at once, also before partitions are given back.

    Faust takes the offsets inside a folded batch for gaps, counts the last one twice, and from then on advances its
    commit by one batch only. Agents acknowledge in order (their pipeline does), so the commit is simply the newest
    acknowledged offset plus one.
    """

    _hand_over_by = 0.0  # when `wait_empty` ends

    def _new_consumer_thread(self) -> ConsumerThread:
        record_batches.install()
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def on_partitions_revoked(self, revoked: Any) -> None:
        # Faust forgets what was acknowledged since the last commit: the next owner would do it again.
        await (
            self.maybe_wait_for_commit_to_finish()
        )  # else `commit` waits for the one under way and does nothing
        await self.commit()
        await super().on_partitions_revoked(revoked)

    async def wait_empty(self) -> None:
        self._hand_over_by = monotonic() + HAND_OVER_S
        try:
            await super().wait_empty()
        except TimeoutError:
            logger.info("partitions are given back with batches under way; their next owner does these again")
            await self.commit_and_end_transactions()

    async def _wait_for_ack(self, timeout: float) -> None:
        # Faust's own wait cannot be cancelled: it takes that for an acknowledgement.
        if monotonic() > self._hand_over_by:
            raise TimeoutError
        await super()._wait_for_ack(timeout)

    async def _add_gap(self, tp: Any, offset_from: int, offset_to: int) -> None:
        return None

    def _new_offset(self, tp: Any) -> int | None:
        acknowledged: list[int] = self._acked[tp]
        if not acknowledged:
            return None
        newest = max(acknowledged)
        acknowledged.clear()
        self._acked_index[tp].clear()
        return newest + 1


class Transport(driver.Transport):  # type: ignore[misc] # faust is untyped here
    """`xiezhi://host:port`."""

    Consumer: ClassVar[type[Consumer]] = Consumer


def fold(records: list[RawRecord]) -> ConsumerRecord:
    """One record that stands for all of them: value = the list, offset and time = the last one's."""
    last = records[-1]
    return ConsumerRecord(
        topic=last.topic,
        partition=last.partition,
        offset=last.offset,
        timestamp=last.ingested_ms,
        timestamp_type=_LOG_APPEND_TIME,
        key=None,
        value=records,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=(),
    )
