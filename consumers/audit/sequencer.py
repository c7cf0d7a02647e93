"""Turns records into leaves, in order, each offset once: what stands between the consumer and the log.

What comes next of each partition follows from the log itself, so a record that is given twice has no second leaf and
one that is missing is noticed. Leaves wait in memory until `publish` puts them into the log, partition by partition,
since long runs keep the index small. One thread uses it.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Iterable

from consumers.audit.index import LeafIndex, Place
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.leaf import SALT_BYTES, GapLeaf, GapReason, Leaf, TopicLeaf, parse, record_leaf
from xiezhi.audit.log import AuditLog
from xiezhi.audit.reader import AuditLogReader
from xiezhi.errors import ConfigurationError
from xiezhi.log import RawRecord

logger = logging.getLogger(__name__)

#: A partition as the broker has it now: its first offset, and the one after its last.
Range = tuple[int, int]


class Sequencer:
    """The one writer of the newest log and of the index."""

    def __init__(
        self,
        log: AuditLog,
        number: int,
        index: LeafIndex,
        readers: dict[int, AuditLogReader],
        clock: Callable[[], int],
        on_gap: Callable[[str, int], None] = lambda topic, offsets: None,
    ) -> None:
        """`index` follows `readers`, of which `number` is the log's. `clock` gives milliseconds since 1970."""
        self._on_gap = on_gap
        self._log, self._number, self._index, self._readers, self._clock = log, number, index, readers, clock
        self._topics = index.topics()
        self._next = index.next_offsets()
        self._waiting: dict[Place, list[tuple[Leaf, bytes]]] = {}  # leaves and their salts
        self._waiting_count = 0
        self._appended: list[tuple[Leaf, bytes]] = []  # leaves and entries in the log, not published yet
        self._told = log.size  # leaves under the checkpoint that was returned last
        self._is_indexed = True

    @property
    def waiting(self) -> int:
        """Leaves that no checkpoint covers yet."""
        return self._waiting_count + len(self._appended)

    def next_offset(self, topic: str, partition: int) -> int:
        """The first offset that has no leaf; 0 for a partition that has none at all."""
        return self._next.get((topic, partition), 0)

    def audit_topic(self, topic: str, cluster: str, topic_id: str) -> None:
        """Take up a topic, or make sure that it is the one that is audited already. Raises ConfigurationError."""
        known = self._topics.get(topic)
        if known is None:
            self._topics[topic] = (cluster, topic_id)
            self._wait_checked((topic, -1), TopicLeaf(topic, cluster, topic_id, self._clock()))
        elif known[0] != cluster:
            raise ConfigurationError(
                f"this audit log follows Kafka cluster {known[0]}, and this is {cluster}; give the other cluster a "
                "data folder of its own (XIEZHI_DATA_DIR)"
            )
        elif known[1] != topic_id:
            raise ConfigurationError(
                f"topic {topic} was deleted and created anew: its id was {known[1]} and is {topic_id}; find out who "
                "did it and what it cost. Its records cannot be audited in this log under the same offsets"
            )

    def begin(self, topic: str, partition: int, range_: Range) -> int:
        """Where to read a partition from. Records what the broker no longer has. Raises ConfigurationError."""
        low, high = range_
        expected = self.next_offset(topic, partition)
        if expected > high:
            raise ConfigurationError(
                f"{topic}/{partition} ends at offset {high}, but its records up to {expected} are in the audit log: "
                "the broker lost records or was put back; find out which, before anything is audited"
            )
        if expected < low:
            self._gap(topic, partition, expected, low, "cut")
        return max(expected, low)

    def take(self, records: Iterable[RawRecord]) -> None:
        """Make a leaf of every record that has none. Records of a partition come in order of their offsets."""
        records = list(records)
        salts = secrets.token_bytes(SALT_BYTES * len(records))
        for number, record in enumerate(records):
            place = (record.topic, record.partition)
            expected = self._next.get(place, 0)
            if record.offset < expected:
                continue  # read again after a rebalance or a restart
            if record.offset > expected:
                self._gap(*place, expected, record.offset, "hole")
            salt = salts[number * SALT_BYTES : (number + 1) * SALT_BYTES]
            self._wait(place, record_leaf(record, salt), salt)
            self._next[place] = record.offset + 1

    def publish(self) -> SignedCheckpoint | None:
        """Sign and index everything taken so far; durable on return. None when there is nothing new.

        Raises AuditStorageError when the disk refuses: nothing is lost, and the next call tries all of it again.
        """
        for place in sorted(self._waiting):
            leaves = self._waiting.pop(place)
            entries = [leaf.to_bytes() for leaf, _ in leaves]
            self._log.append(entries, [salt for _, salt in leaves])
            self._appended += [(leaf, entry) for (leaf, _), entry in zip(leaves, entries, strict=True)]
            self._waiting_count -= len(leaves)
        if self._appended:
            first = self._log.latest.size
            self._log.publish()
            appended, self._appended = self._appended, []
            self._is_indexed = False  # until the next line has returned
            leaves_only = [leaf for leaf, _ in appended]
            self._is_indexed = self._index.add(self._number, first, leaves_only, appended[-1][1])
        if not self._is_indexed:
            self._index.follow(self._readers)
            self._is_indexed = True
        checkpoint = self._log.latest
        if checkpoint.size == self._told:
            return None
        self._told = checkpoint.size
        return checkpoint

    def _gap(self, topic: str, partition: int, offset: int, until: int, reason: GapReason) -> None:
        """Say loudly that offsets have no record, and put it into the log."""
        said = {
            "cut": "the broker no longer has them: retention, or records deleted by hand",
            "hole": "the broker has later ones: marks of a transaction, or records lost by it",
        }[reason]
        logger.error("GAP: %s/%d has no records %d to %d; %s", topic, partition, offset, until - 1, said)
        self._wait_checked(
            (topic, partition), GapLeaf(topic, partition, offset, until, reason, self._clock())
        )
        self._next[topic, partition] = until
        self._on_gap(topic, until - offset)

    def _wait_checked(self, place: Place, leaf: Leaf) -> None:
        """Names in it come from the broker: what nobody could read again must not get into the log."""
        parse(leaf.to_bytes())
        self._wait(place, leaf, secrets.token_bytes(SALT_BYTES))

    def _wait(self, place: Place, leaf: Leaf, salt: bytes) -> None:
        self._waiting.setdefault(place, []).append((leaf, salt))
        self._waiting_count += 1
