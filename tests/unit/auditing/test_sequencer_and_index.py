"""Every offset is a leaf once, whatever is read twice, lost, or left behind by a crash; gaps are said and recorded."""

from __future__ import annotations

import logging
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.audit.folder import AuditFolder
from consumers.audit.index import LeafIndex
from consumers.audit.sequencer import Sequencer
from tests.audited import CLUSTER, ORIGIN, START_MS, TOPIC_ID, AuditedBus
from xiezhi.audit.leaf import GapLeaf, RecordLeaf, TopicLeaf, parse
from xiezhi.audit.log import AuditLog
from xiezhi.errors import AuditStorageError, ConfigurationError
from xiezhi.log import RawRecord

TOPIC = "finance.payment.v1"


class Desk:
    """A sequencer on a log of its own, which can crash and start again."""

    def __init__(self, path: Path) -> None:
        self.folder = AuditFolder(path / "audit", path / "keys")
        self.folder.create_first(ORIGIN)
        self._begin()

    def _begin(self) -> None:
        self.is_closed = False
        self.log = self.folder.open(1)
        self.index = LeafIndex.open(self.folder.index)
        self.index.follow(self.folder.readers())
        self.sequencer = Sequencer(self.log, 1, self.index, self.folder.readers(), lambda: START_MS)

    def crash(self) -> None:
        """What was not published is lost; the next process starts from the files."""
        self.close()
        self._begin()

    def close(self) -> None:
        if not self.is_closed:
            self.log.close()
            self.index.close()
        self.is_closed = True

    def leaves(self) -> list[RecordLeaf | TopicLeaf | GapLeaf]:
        reader = self.folder.reader(1)
        return [parse(entry) for entry in reader.entries(0, reader.latest().size)]

    def records(self) -> list[tuple[str, int, int]]:
        return [(x.topic, x.partition, x.offset) for x in self.leaves() if isinstance(x, RecordLeaf)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(tmp_path)
    yield desk
    desk.close()


def record(offset: int, partition: int = 0, topic: str = TOPIC) -> RawRecord:
    return RawRecord(topic, partition, offset, START_MS + offset, b"key", b"value %d" % offset, ())


@pytest.mark.parametrize("seed", range(5))
def test_reading_again_and_crashing_anywhere_makes_no_second_leaf_and_no_gap(desk: Desk, seed: int) -> None:
    chance = random.Random(seed)
    ends = {(topic, partition): 60 for topic in (TOPIC, "tender.bid.v1") for partition in (0, 1)}
    while any(desk.sequencer.next_offset(*place) < end for place, end in ends.items()):
        for (topic, partition), end in ends.items():
            start = max(0, desk.sequencer.next_offset(topic, partition) - chance.randrange(4))
            desk.sequencer.take(
                record(o, partition, topic) for o in range(start, min(end, start + chance.randrange(20)))
            )
        if chance.random() < 0.4:
            desk.sequencer.publish()
        if chance.random() < 0.3:
            desk.crash()
    desk.sequencer.publish()
    assert sorted(desk.records()) == [
        (*place, offset) for place, end in sorted(ends.items()) for offset in range(end)
    ]
    assert not any(isinstance(leaf, GapLeaf) for leaf in desk.leaves())


@pytest.mark.parametrize("harm", ["lost", "damaged", "behind", "of another log"])
def test_an_index_that_is_no_use_is_made_anew_from_the_log(desk: Desk, tmp_path: Path, harm: str) -> None:
    desk.sequencer.take(record(offset) for offset in range(50))
    desk.sequencer.publish()
    desk.close()
    if harm == "lost":
        desk.folder.index.unlink()
    elif harm == "damaged":
        desk.folder.index.write_bytes(b"this is no database" * 100)
    elif harm == "behind":
        with sqlite3.connect(desk.folder.index) as connection:
            for table in ("runs", "logs", "topics", "gaps"):
                connection.execute(f"DELETE FROM {table}")
    else:
        other = Desk(tmp_path / "other")
        other.sequencer.take(record(offset, 1) for offset in range(80))
        other.sequencer.publish()
        other.close()
        desk.folder.index.write_bytes(other.folder.index.read_bytes())
    desk.crash()
    assert desk.sequencer.next_offset(TOPIC, 0) == 50
    assert desk.sequencer.next_offset(TOPIC, 1) == 0
    assert [desk.index.find(TOPIC, 0, offset) for offset in (0, 49, 50)] == [(1, 0), (1, 49), None]


def test_a_crash_between_log_and_index_costs_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.sequencer.take([record(0)])
    monkeypatch.setattr(LeafIndex, "add", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        desk.sequencer.publish()
    monkeypatch.undo()
    desk.crash()
    assert desk.sequencer.next_offset(TOPIC, 0) == 1
    assert desk.index.find(TOPIC, 0, 0) == (1, 0)


def test_a_hole_is_said_and_recorded_and_the_rest_goes_on(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        desk.sequencer.take([record(0), record(1), record(4), record(5)])
    desk.sequencer.publish()
    assert "GAP: finance.payment.v1/0 has no records 2 to 3" in caplog.text
    assert GapLeaf(TOPIC, 0, 2, 4, "hole", START_MS) in desk.leaves()
    assert [offset for *_, offset in desk.records()] == [0, 1, 4, 5]
    assert desk.index.gaps() == [(TOPIC, 0, 2, 4, "hole")]


def test_what_the_broker_dropped_before_it_was_read_is_said_and_recorded_once(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        assert desk.sequencer.begin(TOPIC, 0, (10, 20)) == 10
        assert desk.sequencer.begin(TOPIC, 0, (10, 20)) == 10
    desk.sequencer.publish()
    assert caplog.text.count("GAP:") == 1
    assert desk.leaves() == [GapLeaf(TOPIC, 0, 0, 10, "cut", START_MS)]
    desk.crash()
    assert desk.sequencer.begin(TOPIC, 0, (10, 20)) == 10
    assert desk.sequencer.publish() is None


def test_a_partition_that_ends_before_its_leaves_is_refused(desk: Desk) -> None:
    desk.sequencer.take([record(0), record(1)])
    with pytest.raises(ConfigurationError, match="lost records or was put back") as refused:
        desk.sequencer.begin(TOPIC, 0, (0, 1))
    assert refused.value.exit_code == 78


def test_another_cluster_and_a_topic_made_anew_are_refused(desk: Desk) -> None:
    desk.sequencer.audit_topic(TOPIC, CLUSTER, TOPIC_ID)
    desk.sequencer.publish()
    desk.crash()
    desk.sequencer.audit_topic(TOPIC, CLUSTER, TOPIC_ID)
    assert desk.sequencer.publish() is None, "a topic is taken up once"
    with pytest.raises(ConfigurationError, match="follows Kafka cluster cluster-1"):
        desk.sequencer.audit_topic(TOPIC, "cluster-2", TOPIC_ID)
    with pytest.raises(ConfigurationError, match="deleted and created anew"):
        desk.sequencer.audit_topic(TOPIC, CLUSTER, "another-id")


def test_a_full_disk_loses_nothing_and_the_next_attempt_goes_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object) -> None:
        raise AuditStorageError("no space left on device")

    desk.sequencer.take([record(0)])
    monkeypatch.setattr(AuditLog, "publish", full)
    for offset in (1, 2):
        with pytest.raises(AuditStorageError):
            desk.sequencer.publish()
        desk.sequencer.take([record(offset)])
    assert desk.sequencer.waiting == 3
    monkeypatch.undo()
    published = desk.sequencer.publish()
    assert published is not None
    assert published.size == 3
    assert [offset for *_, offset in desk.records()] == [0, 1, 2]
    assert desk.index.find(TOPIC, 0, 2) == (1, 2)


def test_runs_keep_the_index_small(desk: Desk) -> None:
    """Records of two partitions come mixed; each partition's leaves stand together all the same."""
    desk.sequencer.take(record(offset, partition) for offset in range(500) for partition in (0, 1))
    desk.sequencer.publish()
    assert [(r.partition, r.offset, r.count) for r in desk.index.content().content.runs] == [
        (0, 0, 500),
        (1, 0, 500),
    ]


def test_next_offsets_span_logs_after_a_change_of_key(tmp_path: Path) -> None:
    bus = AuditedBus(tmp_path)
    for number in range(3):
        bus.kafka.put(TOPIC, b"value %d" % number)
    bus.audit()
    bus.folder.continue_(None, lost_key=False)
    bus.kafka.put(TOPIC, b"value 3")
    bus.audit()
    index = bus.index()
    assert index.next_offsets() == {(TOPIC, 0): 4}
    assert index.find(TOPIC, 0, 2) == (1, 3)
    assert index.find(TOPIC, 0, 3) == (2, 1)
    index.close()
