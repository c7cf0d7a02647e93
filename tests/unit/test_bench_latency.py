"""S6: every probe makes something appear, latency counts from when a record was due, and targets are said."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from benchmarks.latency import sender
from benchmarks.latency.observer import effects
from benchmarks.latency.run import Measured, latencies, table
from benchmarks.latency.stream import CHAIN_EVERY, DEATH_EVERY, HOPS_MAX, Stream
from benchmarks.size import Size
from benchmarks.workload import Encoded, encode
from schemas.catalogue import ALLOWANCE, CONTRACTS, DEATH
from streams.activations import activate
from streams.cards import code_hash, load_pack
from streams.evaluation import ActiveRule
from streams.joins import JOINS
from streams.oracle import judge_log
from streams.records import Guard
from xiezhi.codec import Codec
from xiezhi.contracts.bus import BUS_CONTRACTS
from xiezhi.contracts.naming import ALERT, RELATION
from xiezhi.log import RawRecord
from xiezhi.registry import InMemoryRegistry

NOW_MS = 1_800_000_000_000
STREAM = Stream(first=1_000, records=400)


@pytest.fixture(scope="module")
def codec() -> Codec:
    registry = InMemoryRegistry()
    for contract in (*CONTRACTS, *BUS_CONTRACTS):
        registry.register(contract.subject, json.dumps(contract.schema))
    return Codec(registry)


def test_every_record_of_the_stream_keeps_its_contract() -> None:
    live = STREAM.live()
    for one in (*STREAM.before(), *live):
        one.contract.model(record_id=one.record_id, **one.fields)
    assert len({(one.contract.topic, one.record_id) for one in live}) == len(live) == STREAM.records
    for probe, place in STREAM.probes().items():
        assert live[place].record_id == probe


def test_another_stream_has_other_probes() -> None:
    following = replace(STREAM, first=STREAM.first + STREAM.records)
    assert not STREAM.probes().keys() & following.probes().keys()


def test_the_batch_answer_shows_every_probe_after_each_of_its_hops(codec: Codec) -> None:
    cards = (
        {"rule_id": one.id, "enabled": True, "card": one.canonical_json(), "code_hash": code_hash(one.id)}
        for one in load_pack("drill")
    )
    activated = [activate(card, JOINS) for card in cards]
    active = {one.rule.id: one for one in activated if isinstance(one, ActiveRule)}
    encoded = encode([*STREAM.before(), *STREAM.live()], codec)
    raws = [RawRecord(e.topic, 0, n, NOW_MS, e.key, e.value, e.headers) for n, e in enumerate(encoded)]
    guard = Guard(codec.decode_as, 0, dict.fromkeys((raw.topic for raw in raws), 1))
    verdict = judge_log(raws, JOINS, active, guard, NOW_MS)
    assert verdict.refused == {}
    probes = STREAM.probes().keys()
    seen = {
        (evidence.record_id, said.content.get("depth", 1))
        for said in (*verdict.alerts.values(), *verdict.relations.values())
        for evidence in said.evidence
        if evidence.record_id in probes
    }
    assert (
        len(seen)
        == STREAM.sights()
        == STREAM.records // DEATH_EVERY + HOPS_MAX * STREAM.records // CHAIN_EVERY
    )


def test_a_probe_is_seen_in_an_alert_after_one_hop_and_in_a_relation_after_its_depth() -> None:
    evidence = [
        {"topic": ALLOWANCE.topic, "record_id": "probe-7"},
        {"topic": ALLOWANCE.topic, "record_id": "bench-al-1"},
        {"topic": DEATH.topic, "record_id": "probe-8"},
    ]
    probes = {"probe-7", "probe-8"}
    assert list(effects(ALERT, {"evidence": evidence}, probes)) == [("probe-7", 1)]
    assert list(effects(RELATION, {"depth": 3, "evidence": evidence}, probes)) == [("probe-7", 3)]


class Held:
    """A client and its clock: the first record holds the caller up for 20 ms."""

    def __init__(self) -> None:
        self.now, self.produced = 0.0, list[float]()

    def produce(self, *_: Any, **__: Any) -> None:
        self.produced.append(self.now)
        if len(self.produced) == 1:
            self.now += 0.02

    def poll(self, _: float) -> int:
        return 0

    def flush(self, _: float) -> int:
        return 0

    def seconds(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def test_a_sender_that_was_held_up_sends_what_was_due_and_says_how_late() -> None:
    held = Held()
    records = [Encoded("topic", b"", b"", [])] * 30
    _, late_s = sender.send(records, 1_000, held, seconds=held.seconds, sleep=held.sleep)
    assert len(held.produced) == 30
    assert late_s == pytest.approx(0.019)
    assert set(held.produced[1:20]) == {held.produced[1]}  # all of them were due meanwhile
    assert held.produced[29] - held.produced[0] == pytest.approx(0.029)


def test_latency_counts_from_when_a_record_was_due_and_leaves_the_warm_up_out() -> None:
    probes = {"early": 0, "late": 900}
    due_ns = 10**18
    seen = {
        ("early", 1): due_ns + 10**9,
        ("late", 1): due_ns + round(0.9e9) + 50_000_000,
        ("late", 2): due_ns + round(0.9e9) + 80_000_000,
    }
    found = latencies(seen, probes, due_ns, rate=1_000, records=1_000)
    assert [found[hops].get_total_count() for hops in (1, 2, 3)] == [1, 1, 0]
    assert found[1].get_value_at_percentile(50) == pytest.approx(50_000, rel=0.001)
    assert found[2].get_value_at_percentile(99) == pytest.approx(80_000, rel=0.001)


def test_targets_grow_by_hops_and_a_miss_is_said() -> None:
    probes = {"one": 3_000}
    due_ns = 10**18
    seen = {("one", hops): due_ns + 10**9 + 300_000_000 for hops in (1, 2, 3)}
    one = Measured(3_000, latencies(seen, probes, due_ns, 3_000, 3_001), 0.004)
    lines = "\n".join(table([one], Size.of(20_000)))
    assert "| 3,000 | 1 | 1 | 300 | 300 | 300 | 300 | 300 | p99 ≤ 200, p99.9 ≤ 500: **missed** |" in lines
    assert "| 3,000 | 2 | 1 | 300 | 300 | 300 | 300 | 300 | p99 ≤ 350, p99.9 ≤ 650: met |" in lines
    assert "late by at most 4 ms at 3,000/s" in lines
