"""Ticks say up to when everything is judged, never what a clock shows."""

from __future__ import annotations

from functools import cache

from streams.clock import RELATION_HOPS_MAX, LowWatermark
from streams.joins import JOINS
from streams.joins.control import DEPTH_MAX
from xiezhi.contracts.naming import RELATION
from xiezhi.lag import PartitionLag

RECORDS, FACTS = "records", "facts"


class Bus:
    """A router and a judge on one partition of everything. `loop`: every fact makes a relation, and so on for ever."""

    def __init__(self) -> None:
        self.end = {RECORDS: 0, RELATION: 0, FACTS: 0}
        self.committed = dict(self.end)
        self.hops: dict[
            tuple[str, int], int
        ] = {}  # (topic, offset) -> how many relations are still to come of it
        self.now_ms = 1_000

    def clock(self) -> int:
        return self.now_ms

    def read(self) -> tuple[PartitionLag, ...]:
        groups = {RECORDS: "router", RELATION: "router", FACTS: "judge"}
        return tuple(
            PartitionLag(g, topic, 0, self.committed[topic], self.end[topic]) for topic, g in groups.items()
        )

    def append(self, topic: str, hops: int = 0) -> None:
        self.hops[topic, self.end[topic]] = hops
        self.end[topic] += 1

    def work(self, *topics: str) -> None:
        """The groups read these topics to their ends and commit."""
        for topic in topics:
            for offset in range(self.committed[topic], self.end[topic]):
                hops = self.hops[topic, offset]
                if topic != FACTS:
                    self.append(FACTS, hops)
                elif hops:
                    self.append(RELATION, hops - 1)
            self.committed[topic] = self.end[topic]

    def pending(self) -> int:
        return sum(self.end.values()) - sum(self.committed.values())


def watermark() -> tuple[LowWatermark, Bus]:
    bus = Bus()
    return LowWatermark(bus, bus.clock), bus  # type: ignore[arg-type] # only `read` is used


def looks(mark: LowWatermark, bus: Bus, count: int) -> list[int]:
    found = []
    for _ in range(count):
        found.append(mark.read())
        bus.now_ms += 1_000
    return found


def test_before_anything_has_passed_there_is_no_time() -> None:
    mark, bus = watermark()
    bus.append(RECORDS)
    assert looks(mark, bus, 5) == [0] * 5


def test_on_a_quiet_bus_time_is_two_looks_old() -> None:
    mark, bus = watermark()
    assert looks(mark, bus, 5) == [0, 0, 1_000, 2_000, 3_000]


def test_time_stands_still_while_a_record_is_on_its_way() -> None:
    mark, bus = watermark()
    looks(mark, bus, 3)
    bus.append(RECORDS)  # between the looks at 3,000 and 4,000
    assert max(looks(mark, bus, 5)) == 2_000
    bus.work(RECORDS)
    assert max(looks(mark, bus, 5)) < 4_000, "routed, and not yet judged"
    bus.work(FACTS)
    assert max(looks(mark, bus, 3)) >= 4_000


def test_records_after_the_snapshot_do_not_hold_it_back() -> None:
    mark, bus = watermark()
    seen = []
    for _ in range(6):
        bus.append(RECORDS)
        seen += looks(mark, bus, 1)
        bus.work(RECORDS, FACTS)
    assert seen == [0, 0, 1_000, 2_000, 3_000, 4_000]


def test_no_tick_is_ahead_of_a_relation_that_comes_of_an_older_record() -> None:
    for hops in range(RELATION_HOPS_MAX + 1):
        mark, bus = watermark()
        looks(mark, bus, 3)
        ingested_ms = bus.now_ms - 500
        bus.append(RECORDS, hops)
        while bus.pending():
            assert mark.read() < ingested_ms
            bus.now_ms += 1_000
            bus.work(
                *[topic for topic in (FACTS, RELATION, RECORDS) if bus.committed[topic] < bus.end[topic]][:1]
            )
        assert max(looks(mark, bus, 4)) >= ingested_ms


def test_time_goes_on_while_relations_never_stop() -> None:
    mark, bus = watermark()
    seen = []
    for _ in range(60):
        bus.append(RECORDS, RELATION_HOPS_MAX)
        seen += looks(mark, bus, 1)
        bus.work(FACTS, RELATION, RECORDS)
    assert seen[-1] > 0
    assert bus.now_ms - seen[-1] <= 1_000 * (2 * RELATION_HOPS_MAX + 4)


def test_time_does_not_step_back_with_the_machine_s_clock() -> None:
    mark, bus = watermark()
    before = looks(mark, bus, 5)
    bus.now_ms = 1
    after = looks(mark, bus, 5)
    assert after == sorted(after)
    assert before[-1] <= after[0]
    assert after[-1] == 5_000


def test_a_partition_that_is_no_longer_told_of_holds_time() -> None:
    mark, bus = watermark()
    before = looks(mark, bus, 5)[-1]
    bus.read = tuple  # type: ignore[method-assign] # as after a broker that forgot a topic
    assert looks(mark, bus, 5) == [before] * 5


def test_no_chain_of_relations_is_longer_than_ticks_wait_for() -> None:
    kinds = {one.kind: (join, one) for join in JOINS for one in join.derivations}

    @cache
    def hops(kind: str) -> int:
        join, derivation = kinds[kind]
        taken = {one.kind for one in join.inputs if one.record_type == RELATION}
        below = max((hops(other) for other in taken - {kind}), default=0)
        return below + (DEPTH_MAX if derivation.by_depth else 1)

    assert max(map(hops, kinds)) == RELATION_HOPS_MAX
