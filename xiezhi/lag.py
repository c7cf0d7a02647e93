"""How far consumer groups are behind, and when everything that was published has passed through all of them.

"Quiet" is a fact about offsets, not a pause: every group has committed every offset, twice in a row, while no end
moved in between. A loop of topics (relations) is included, since its records count like any other.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from xiezhi.admin_client import Admin
from xiezhi.errors import BrokerUnavailableError, DeliveryError, XiezhiError
from xiezhi.log import LogReader, once_led

#: Between two looks; ticks and commits move offsets about twice a second.
LOOK_INTERVAL_S = 0.4
TIMEOUT_S = 10.0
#: Looks without a commit after which it is checked whether there is any record left to commit, then ever less often.
STALLED_LOOKS = 4


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """One partition as one group sees it. `committed` is 0 before the first commit."""

    group: str
    topic: str
    partition: int
    committed: int
    end: int

    @property
    def records(self) -> int:
        return max(0, self.end - self.committed)


@dataclass(slots=True)
class _Tail:
    """What a group has not committed of a partition, and for how many looks it has been that."""

    committed: int
    end: int
    looks: int = 0
    is_empty: bool = False


def ends_of(admin: Admin, topics: Collection[str], timeout_s: float) -> dict[tuple[str, int], int]:
    """(topic, partition) → offset after the last record, for those of `topics` that exist. Raises KafkaException."""
    found = admin.list_topics(timeout=timeout_s).topics
    asked = {
        TopicPartition(topic, partition): OffsetSpec.latest()
        for topic in set(topics) & set(found)
        for partition in found[topic].partitions
    }
    if not asked:
        return {}
    answers: Mapping[TopicPartition, Future[Any]] = admin.list_offsets(asked, request_timeout=timeout_s)
    return {(tp.topic, tp.partition): answer.result().offset for tp, answer in answers.items()}


class Lags:
    """Reads the lag of consumer groups: `groups` maps each to the topics it must read.

    The marker of a transaction takes an offset, and so do records that were aborted; nobody commits them. Behind the
    last record, they count as read.
    """

    def __init__(
        self, bootstrap_servers: str, groups: Mapping[str, Sequence[str]], *, timeout_s: float = TIMEOUT_S
    ) -> None:
        self._bootstrap_servers, self._groups, self._timeout_s = bootstrap_servers, groups, timeout_s
        self._admin = self._connect()
        self._tails: dict[tuple[str, str, int], _Tail] = {}

    def read(self) -> tuple[PartitionLag, ...]:
        """One look at all groups. Raises BrokerUnavailableError."""
        try:
            ends = once_led(self._ends, self._timeout_s)
            return tuple(
                self._past_markers(
                    PartitionLag(group, topic, partition, committed.get((topic, partition), 0), end)
                )
                for group, topics in self._groups.items()
                for committed in (self._committed(group),)
                for (topic, partition), end in sorted(ends.items())
                if topic in topics
            )
        except KafkaException as error:
            # A client that lived through a restart of its broker may wait for answers to lost questions for good.
            self._admin = self._connect()
            raise BrokerUnavailableError(
                f"the broker does not tell the lag of its groups: {error}"
            ) from error

    def wait_until_quiet(
        self, timeout_s: float, progress: Callable[[Sequence[PartitionLag]], None] = lambda _: None
    ) -> None:
        """Return once everything has passed. Raises XiezhiError naming what lags after `timeout_s`."""
        deadline = time.monotonic() + timeout_s
        before: tuple[PartitionLag, ...] | None = None
        while True:
            now = self.read()
            progress(now)
            if now == before and not any(one.records for one in now):
                return
            if time.monotonic() > deadline:
                behind = [
                    f"{one.group} {one.topic}/{one.partition}: {one.records}" for one in now if one.records
                ]
                raise XiezhiError(
                    f"after {timeout_s:.0f} s still behind: {', '.join(behind) or 'ends keep moving'}"
                )
            before = now
            time.sleep(LOOK_INTERVAL_S)

    def _past_markers(self, lag: PartitionLag) -> PartitionLag:
        place = (lag.group, lag.topic, lag.partition)
        tail = self._tails.get(place)
        if tail is None or (tail.committed, tail.end) != (lag.committed, lag.end):
            tail = self._tails[place] = _Tail(lag.committed, lag.end)
        tail.looks += 1
        is_due = tail.looks >= STALLED_LOOKS and tail.looks & (tail.looks - 1) == 0
        if lag.records and is_due and not tail.is_empty:
            tail.is_empty = self._holds_no_record(lag)
        return replace(lag, committed=lag.end) if tail.is_empty else lag

    def _holds_no_record(self, lag: PartitionLag) -> bool:
        with LogReader(self._bootstrap_servers, self._timeout_s) as log:
            try:
                with closing(log.read(lag.topic, lag.partition, lag.committed, lag.end)) as chunks:
                    return next(chunks, None) is None
            except DeliveryError:
                return False  # a transaction is still open, say

    def _connect(self) -> Admin:
        return Admin(
            {"bootstrap.servers": self._bootstrap_servers, "reconnect.backoff.ms": 500},
            logger=logging.getLogger(__name__),  # the client would write to stderr by itself
        )

    def _ends(self) -> dict[tuple[str, int], int]:
        wanted = {topic for topics in self._groups.values() for topic in topics}
        return ends_of(self._admin, wanted, self._timeout_s)

    def _committed(self, group: str) -> dict[tuple[str, int], int]:
        asked = self._admin.list_consumer_group_offsets(
            [ConsumerGroupTopicPartitions(group)], request_timeout=self._timeout_s
        )
        partitions = asked[group].result().topic_partitions
        return {(tp.topic, tp.partition): max(0, tp.offset) for tp in partitions}
