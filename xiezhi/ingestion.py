"""When records were ingested: the newest of each topic, and the oldest that a group has not committed.

Asked of the log itself, by offset and without a consumer group, so that the answers hold whatever the services do.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from confluent_kafka import Consumer, KafkaException, TopicPartition
from confluent_kafka.admin import OffsetSpec

from xiezhi.admin_client import Admin
from xiezhi.errors import BrokerUnavailableError
from xiezhi.lag import PartitionLag, ends_of

Place = tuple[str, int]  # topic, partition


class Ingestion:
    """Asks one cluster. Every call blocks, at most `timeout_s`, and raises BrokerUnavailableError."""

    def __init__(self, bootstrap_servers: str, *, timeout_s: float = 10.0) -> None:
        self._servers, self._timeout_s = bootstrap_servers, timeout_s
        # The client would write to stderr by itself.
        self._logger = logging.getLogger("librdkafka")
        self._admin = self._connect()

    def ends(self, topics: Collection[str]) -> dict[Place, int]:
        """(topic, partition) → offset after its last record, for those of `topics` that exist."""
        try:
            return ends_of(self._admin, topics, self._timeout_s)
        except KafkaException as error:
            raise self._unavailable(error) from error

    def topics(self) -> list[str]:
        """Every topic that the broker has, in no order."""
        try:
            return list(self._admin.list_topics(timeout=self._timeout_s).topics)
        except KafkaException as error:
            raise self._unavailable(error) from error

    def members(self, groups: Sequence[str]) -> dict[str, int]:
        """Group → how many processes consume as it now; 0 for a group that nobody ever joined."""
        try:
            described = self._admin.describe_consumer_groups(list(groups), request_timeout=self._timeout_s)
            return {
                group: len(answer.result(timeout=self._timeout_s).members)
                for group, answer in described.items()
            }
        except (KafkaException, TimeoutError) as error:
            raise self._unavailable(error) from error

    def newest(self, places: Iterable[Place]) -> dict[str, int]:
        """Topic → when its newest record was ingested, in ms since 1970 UTC. Empty topics are left out."""
        asked = {TopicPartition(*place): OffsetSpec.max_timestamp() for place in places}
        newest: dict[str, int] = {}
        if not asked:
            return newest
        try:
            answers = self._admin.list_offsets(asked, request_timeout=self._timeout_s)
            for place, answer in answers.items():
                found = answer.result(timeout=self._timeout_s)
                if found.offset >= 0:
                    newest[place.topic] = max(found.timestamp, newest.get(place.topic, 0))
        except (KafkaException, TimeoutError) as error:
            raise self._unavailable(error) from error
        return newest

    def waiting_since(self, lags: Iterable[PartitionLag]) -> dict[tuple[str, str, int], int]:
        """(group, topic, partition) → when the first record beyond the group's offset was ingested, in ms.

        Partitions without lag are left out, and so are those whose record did not come in time.
        """
        behind = [one for one in lags if one.records]
        first = self._ingested_at({(one.topic, one.partition, one.committed) for one in behind})
        return {
            (one.group, one.topic, one.partition): first[one.topic, one.partition, one.committed]
            for one in behind
            if (one.topic, one.partition, one.committed) in first
        }

    def _ingested_at(self, places: set[tuple[str, int, int]]) -> dict[tuple[str, int, int], int]:
        """When the record at or after each place was ingested; one offset per partition at a time."""
        found: dict[tuple[str, int, int], int] = {}
        waiting = set(places)
        deadline = time.monotonic() + self._timeout_s
        while waiting and time.monotonic() < deadline:
            round_of: dict[Place, int] = {}
            for topic, partition, offset in sorted(waiting):
                round_of.setdefault((topic, partition), offset)
            answers = self._first_records(round_of, deadline)
            found |= {(*place, round_of[place]): ingested_ms for place, ingested_ms in answers.items()}
            waiting -= {(*place, offset) for place, offset in round_of.items()}
        return found

    def _first_records(self, offsets: Mapping[Place, int], deadline: float) -> dict[Place, int]:
        consumer = Consumer(self._options(), logger=self._logger)
        found: dict[Place, int] = {}
        try:
            consumer.assign([TopicPartition(*place, offset) for place, offset in offsets.items()])
            while len(found) < len(offsets) and time.monotonic() < deadline:
                message = consumer.poll(0.2)
                if message is None or message.error() is not None:
                    continue
                place = (message.topic(), message.partition())
                found.setdefault(place, message.timestamp()[1])
                consumer.pause([TopicPartition(*place)])
        except KafkaException as error:
            raise self._unavailable(error) from error
        finally:
            consumer.close()
        return found

    def _options(self) -> dict[str, Any]:
        return {
            "bootstrap.servers": self._servers,
            "group.id": "xiezhi-ingestion",  # required by the client, never joined or committed to
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",  # what a group has not committed may be older than what is kept
            "fetch.wait.max.ms": 20,
            "fetch.message.max.bytes": 1_000,  # the broker sends one whole batch anyway, and no more is wanted
            "queued.min.messages": 1,
        }

    def _connect(self) -> Admin:
        options = {"bootstrap.servers": self._servers, "reconnect.backoff.max.ms": 1_000}
        return Admin(options, logger=self._logger)

    def _unavailable(self, error: Exception) -> BrokerUnavailableError:
        # A client that lived through a restart of its broker may wait for answers to lost questions for good.
        self._admin = self._connect()
        return BrokerUnavailableError(f"the broker does not tell when records were ingested: {error}")
