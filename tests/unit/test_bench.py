"""The benchmark's own parts: its backlog is lawful and holds what it says, its figures are what it measured."""

from __future__ import annotations

import gc
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import measuring, report
from benchmarks.measuring import Measurement, measure_process
from benchmarks.sampling import Sampler
from benchmarks.workload import Encoded, backlog, encode, planted
from schemas.catalogue import CONTRACTS, PAYMENT
from streams.activations import activate
from streams.cards import code_hash, load_pack
from streams.evaluation import ActiveRule
from streams.joins import JOINS
from streams.oracle import judge_log
from streams.records import Guard
from xiezhi.codec import Codec
from xiezhi.contracts.bus import BUS_CONTRACTS
from xiezhi.errors import StackError, XiezhiError
from xiezhi.lag import PartitionLag
from xiezhi.local.process import Command, Process
from xiezhi.log import RawRecord
from xiezhi.registry import InMemoryRegistry

NOW_MS = 1_800_000_000_000
HOUR_MS = 3_600_000
RECORDS = 2_000


@pytest.fixture(scope="module")
def codec() -> Codec:
    registry = InMemoryRegistry()
    for contract in (*CONTRACTS, *BUS_CONTRACTS):
        registry.register(contract.subject, json.dumps(contract.schema))
    return Codec(registry)


def test_every_record_of_the_backlog_keeps_its_contract_and_most_are_payments() -> None:
    records = backlog(RECORDS)
    for one in records:
        one.contract.model(record_id=one.record_id, **one.fields)
    assert len({(one.contract.topic, one.record_id) for one in records}) == len(records) == RECORDS
    assert Counter(one.contract.topic for one in records)[PAYMENT.topic] == RECORDS * 78 // 100


def test_the_same_backlog_is_published_by_every_run(codec: Codec) -> None:
    assert encode(backlog(RECORDS), codec) == encode(backlog(RECORDS), codec)
    assert backlog(RECORDS, seed=2) != backlog(RECORDS, seed=1)


def test_the_batch_answer_to_the_backlog_is_what_was_planted(codec: Codec) -> None:
    cards = (
        {
            "rule_id": card.id,
            "enabled": True,
            "card": card.canonical_json(),
            "code_hash": code_hash(card.id),
        }
        for card in load_pack("cn")
    )
    activated = [activate(card, JOINS) for card in cards]
    active = {one.rule.id: one for one in activated if isinstance(one, ActiveRule)}
    raws = [_raw(number, one) for number, one in enumerate(encode(backlog(RECORDS), codec))]
    guard = Guard(codec.decode_as, 0, dict.fromkeys((raw.topic for raw in raws), 1))
    verdict = judge_log(raws, JOINS, active, guard, NOW_MS + HOUR_MS)
    assert len(verdict.alerts) == planted(RECORDS) > 4
    assert verdict.refused == {}


def _raw(offset: int, one: Encoded) -> RawRecord:
    return RawRecord(one.topic, 0, offset, NOW_MS, one.key, one.value, one.headers)


def burn(cpu_s: float) -> None:
    until = time.process_time() + cpu_s
    while time.process_time() < until:
        pass


def test_a_profile_names_the_function_that_took_the_time_and_counts_garbage_collection() -> None:
    sampler = Sampler(Path(__file__).parents[2])
    sampler.start()
    burn(0.3)
    gc.collect()
    found = sampler.stop()
    spent = dict(found.functions)["tests/unit/test_bench.py burn"]
    assert 0.2 < spent <= found.cpu_s
    assert dict(found.packages)["tests"] >= spent
    assert 0 < found.gc_s < found.cpu_s


class Group:
    """What a group has committed, look by look; the last look repeats."""

    def __init__(self, *committed: int, end: int) -> None:
        self._committed, self._end = list(committed), end

    def look(self) -> Sequence[PartitionLag]:
        committed = self._committed.pop(0) if len(self._committed) > 1 else self._committed[0]
        return [PartitionLag("group", "topic", 0, committed, self._end)]


@pytest.fixture
def python(tmp_path: Path) -> Callable[[str], Process]:
    def process(code: str) -> Process:
        argv = (sys.executable, "-c", code)
        return Process(Command("measured", argv, tmp_path, tmp_path / "measured.log"))

    return process


def test_only_what_is_committed_after_the_first_commit_is_measured(
    python: Callable[[str], Process],
) -> None:
    process = python("while True: pass")
    group = Group(0, 0, 0, 100, 150, 150, 400, end=400)
    found = measure_process("router", process, group.look)
    assert (found.started_with, found.records) == (100, 300)
    assert found.seconds >= 2 * measuring.LOOK_INTERVAL_S
    assert 0 < found.cpu_s <= found.seconds * 1.5
    assert found.peak_rss_mb > 1
    assert not process.is_running


def test_a_backlog_committed_at_once_is_no_measurement(python: Callable[[str], Process]) -> None:
    with pytest.raises(XiezhiError, match="too few to measure"):
        measure_process("judge", python("while True: pass"), Group(0, 0, 400, end=400).look)


def test_a_process_that_ends_is_no_measurement(python: Callable[[str], Process]) -> None:
    with pytest.raises(StackError, match="no such thing"):
        measure_process("judge", python("raise SystemExit('no such thing')"), Group(0, end=400).look)


def test_the_table_shows_medians_and_what_was_missed() -> None:
    one = Measurement(name="router", records=1_000, seconds=0.1, cpu_s=0.1, peak_rss_mb=100)
    routed = [replace(one, seconds=seconds) for seconds in (0.01, 0.05, 9.0)]
    judged = [replace(one, name="judge", seconds=0.01)]
    lines = "\n".join(
        [*report.table({"router": routed}), *report.verdicts({"router": routed, "judge": judged})]
    )
    assert "| router | 1,000 | 20,000 | 111-100,000 | 100.0 | 0.0 | 100 | 0.0 |" in lines
    assert "- router ≥ 60,000 a second: **missed**, 33% of it" in lines
    assert "- judge ≥ 60,000 a second: met" in lines


def test_a_profile_tells_functions_of_the_project_apart_from_its_environment() -> None:
    sampler = Sampler(Path("/project"))
    assert sampler._is_own("/project/streams/judge.py")
    assert not sampler._is_own("/project/.venv/lib/python3.11/site-packages/faust/app.py")
    assert sampler._place("/project/.venv/lib/python3.11/site-packages/faust/app.py") == "faust/app.py"
