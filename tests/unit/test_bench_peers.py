"""S1, S2 and S4: the records are lawful, the answer is known beforehand, a wrong one does not count."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from benchmarks.peers.beside import Rounds, ratios, table
from benchmarks.peers.engines import OURS, QUIX, STOCK, Outcome, outcome
from benchmarks.peers.ours import WORKS
from benchmarks.peers.outcome import WINDOW_MS, duplicates_answer, totals_answer
from benchmarks.peers.records import Answer, answers, benefits, keyed, payments
from benchmarks.workload import Encoded
from schemas.catalogue import ALLOWANCE, CONTRACTS, PAYMENT
from xiezhi.codec import Codec
from xiezhi.errors import XiezhiError
from xiezhi.registry import InMemoryRegistry
from xiezhi.store import KeyedStore, MemoryBackend

RECORDS = 3_000


@dataclass(frozen=True)
class Consumed:
    """What our programs use of a record that Faust hands over."""

    key: bytes
    value: bytes
    ingested_ms: int


@pytest.fixture(scope="module")
def codec() -> Codec:
    registry = InMemoryRegistry()
    for contract in CONTRACTS:
        registry.register(contract.subject, json.dumps(contract.schema))
    return Codec(registry)


@pytest.fixture(scope="module")
def expected() -> dict[str, Answer]:
    return answers(payments(RECORDS), benefits(RECORDS))


def test_every_record_keeps_its_contract_and_has_the_time_that_windows_go_by() -> None:
    paid, received = payments(RECORDS), benefits(RECORDS)
    for one in (*paid, *received):
        one.contract.model(record_id=one.record_id, **one.fields)
    assert len({one.record_id for one in paid}) == len(paid) == RECORDS == len(received)
    times = [one.occurred_ms for one in received]
    assert times == sorted(times)
    assert len({at // WINDOW_MS for at in times}) > 3


def test_something_is_to_be_found(expected: dict[str, Answer]) -> None:
    assert expected["S2"]["keys"] == RECORDS // 30
    assert expected["S1"]["sum"] == expected["S2"]["sum"] > 0
    assert 10 < expected["S4"]["duplicates"] < RECORDS // 10


@pytest.mark.parametrize("scenario", ["S1", "S2", "S4"])
@pytest.mark.parametrize("batch", [7, 1_000])
def test_our_programs_find_it_whatever_the_batches(
    scenario: str, batch: int, codec: Codec, expected: dict[str, Answer]
) -> None:
    given = benefits(RECORDS) if scenario == "S4" else payments(RECORDS)
    field = "person" if scenario == "S4" else "contract_id"
    records = [_consumed(one) for one in keyed(given, "benchmark", field, codec)]
    work, store = WORKS[scenario](codec), KeyedStore(MemoryBackend())
    for start in range(0, len(records), batch):
        work.take(records[start : start + batch], store)
        store.commit(store.seal(start + batch))
    assert work.answer(RECORDS, [store]) == expected[scenario]


def _consumed(one: Encoded) -> Consumed:
    return Consumed(one.key, one.value, one.at_ms)


def test_digests_tell_totals_and_windows_apart_and_fit_a_java_long() -> None:
    one, other = [(b"a", 2**62), (b"b", 5)], [(b"a", 5), (b"b", 2**62)]
    assert totals_answer(2, one)["digest"] != totals_answer(2, other)["digest"]
    assert all(0 <= totals_answer(2, each)["digest"] < 2**63 for each in (one, other))
    assert duplicates_answer(1, [(b"a", 0)]) != duplicates_answer(1, [(b"a", WINDOW_MS)])


def test_a_wrong_answer_is_no_outcome() -> None:
    right = {"records": 10, "sum": 55}
    result = {
        "begun_unix_s": 12.0,
        "processed_s": 1.0,
        "committed_s": 2.0,
        "cpu_s": 1.5,
        "peak_rss_mb": 90.0,
        "answer": right,
    }
    found = outcome(QUIX, result, 10.5, right)
    assert (found.per_s, found.start_up_s, found.cpu_us) == (5.0, 1.5, 150_000.0)
    with pytest.raises(XiezhiError, match=r"Quix Streams found .*54.* 55.* was published"):
        outcome(QUIX, {**result, "answer": {**right, "sum": 54}}, 10.5, right)


def test_ratios_are_taken_within_a_round_and_say_what_was_missed() -> None:
    one = Outcome(OURS, 1_000, 1.0, processed_s=0.5, committed_s=1.0, cpu_s=0.5, peak_rss_mb=100)
    rounds: Rounds = {
        OURS: _times(one, (1.0, 2.0, 4.0)),
        QUIX: _times(replace(one, engine=QUIX, cpu_s=1.0), (1.0, 4.0, 12.0)),
        STOCK: _times(replace(one, engine=STOCK), (7.0, 14.0, 28.0)),
    }
    lines = "\n".join([*table(rounds), *ratios("S2", rounds)])
    assert "| Xiezhi | 1,000 | 500 | 250-1,000 | 2,000 | 500.0 | 100 | 1.0 |" in lines
    assert "- 2.00 × Quix Streams (by CPU time 2.00); target ≥ 1.5: met" in lines
    assert "- 7.00 × stock Faust (by CPU time 1.00); target ≥ 8.0: **missed**" in lines


def _times(one: Outcome, committed_s: Sequence[float]) -> list[Outcome]:
    return [replace(one, committed_s=each) for each in committed_s]


def test_the_topics_hold_the_bytes_that_a_department_sends(codec: Codec) -> None:
    (paid,) = keyed(payments(1), "benchmark", "contract_id", codec)
    assert codec.decode_as(PAYMENT.topic, paid.value)["contract_id"].encode() == paid.key
    (received,) = keyed(benefits(1), "benchmark", "person", codec)
    assert codec.decode_as(ALLOWANCE.topic, received.value)["paid_at"] == received.at_ms
    assert {name for name, _ in paid.headers} >= {"ce_id", "ce_time", "traceparent"}
