"""For any log and any order of reading it the stream ends with what the oracle says: with toys, then for real."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas import catalogue
from streams.kernel import Statement
from streams.pipeline import Outgoing
from tests import records as real
from tests.builders import JURISDICTION as REAL_JURISDICTION
from tests.builders import company, instant, person
from tests.real_world import real_world
from tests.simulation import planted
from tests.simulation import world as toy
from tests.simulation.flow import PARTITIONS, Flow, Read, World
from tests.simulation.parts import Parts
from tests.simulation.weakened import NOTICED_WITHOUT_FAULTS, WEAKENED
from xiezhi.contracts.bus import ACTIVATION
from xiezhi.envelope import Envelope
from xiezhi.partitioner import partition_of

#: The same examples in every run: what fails here fails everywhere, and a green run stays green.
DETERMINISTIC = settings(
    derandomize=True,
    phases=(Phase.explicit, Phase.generate),  # shrinking takes minutes; switch it on to look into a failure
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# Logs and schedules are drawn as bytes and read with the tables below: drawn field by field, drawing alone would take
# several times as long as everything that is tested.
schedules = st.binary(max_size=120).map(
    lambda drawn: [Read(one, 1 + size % 6) for one, size in zip(drawn[::2], drawn[1::2], strict=False)]
)
last_ticks_ms = st.sampled_from((0, 5_000, 10_000, 50_000, 100_000, 10**11))

#: Of the 256 values of a byte so many put a record where it does not belong.
MISPLACED = 16


def _placed(one: Outgoing, drawn: int) -> Outgoing:
    """Where its key says, or now and then in the next partition, as by a client with another partitioner."""
    if drawn < 256 - MISPLACED:
        return one
    return one._replace(partition=(partition_of(one.key, PARTITIONS) + 1) % PARTITIONS)


# -- a small world of toys ---------------------------------------------------------------------------------------

_ACCOUNTS = ("a", "a", "b", None)
_AMOUNTS = (-5, 60, 101, 120)
_ITEMS = ("", "x", "y", "xy")  # each letter is an item
_PARTIES = ("k", "l", "m", "k")
_FIELDS: Mapping[str, Callable[[int], Mapping[str, object]]] = {
    toy.ORDER: lambda n: toy.order(_ACCOUNTS[n & 3], _AMOUNTS[n >> 2 & 3], *_ITEMS[n >> 4 & 3]),
    toy.RECEIPT: lambda n: {"items": list(_ITEMS[n & 3])},
    toy.ACCOUNT: lambda n: {"account": "ab"[n & 1], "owner": _PARTIES[n >> 1 & 3]},
    toy.HOLDING: lambda n: {"holder": _PARTIES[n & 3], "company": _PARTIES[n >> 2 & 3]},
    toy.PAYMENT: lambda n: toy.payment("kkkl"[n & 3], _AMOUNTS[n >> 2 & 3], "fgh"[n >> 4 & 1]),
}


@cache
def _toy_record(which: int, version: int, fields: int, step: int) -> Outgoing:
    """One version of one of five records of a type, or its withdrawal."""
    topic, number = toy.TOPICS[which % 5], which // 5 % 5
    raw = toy.record(
        topic,
        f"{topic[4]}{number}",
        None if (version >> 2) % 5 == 0 else _FIELDS[topic](fields),
        version=version & 3,
        occurred_ms=toy.START_MS + toy.RECEIPT_WAIT_MS // 6 * (step % 13),
    )
    return _placed(Outgoing(topic, raw.key or b"", raw.value, list(raw.headers)), step)


def _in_chunks(drawn: bytes, size: int) -> list[bytes]:
    return [drawn[at : at + size] for at in range(0, len(drawn) - size + 1, size)]


#: Versions in any order, late ones and repeats among them.
toy_logs = st.binary(min_size=16, max_size=80).map(
    lambda drawn: [_toy_record(*chunk) for chunk in _in_chunks(drawn, 4)]
)


@cache
def toy_world() -> World:
    cards = [toy.card(rule_id) for rule_id in toy.RULES]
    return World(
        joins=toy.JOINS,
        topics=toy.TOPICS,
        active=toy.active(*cards),
        decode=toy.CODEC.decode,
        encode=toy.CODEC.encode,
        activate=toy.CODEC.activator(),
        activations=[toy.CODEC.encode(ACTIVATION.subject, toy.activation(card)) for card in cards],
        pace_ms=300,
    )


def check(
    world: World,
    log: Sequence[Outgoing],
    schedule: Sequence[Read],
    last_tick_ms: int,
    parts: Parts | None = None,
) -> None:
    flow = Flow(world, log, parts)
    flow.run(schedule, last_tick_ms)
    assert flow.differences() == []


@settings(DETERMINISTIC, max_examples=1_000)
@given(toy_logs, schedules, last_ticks_ms)
def test_every_schedule_of_a_small_world_ends_with_what_the_oracle_says(
    log: Sequence[Outgoing], schedule: Sequence[Read], last_tick_ms: int
) -> None:
    check(toy_world(), log, schedule, last_tick_ms)


# -- the project's own joins, rules, contracts and cards ---------------------------------------------------------

_CONTRACTS = {contract.topic: contract for contract in catalogue.CONTRACTS}


def _sent(statement: Statement, *, withdrawn: bool) -> Outgoing:
    """A statement of the rules' tests as a department would publish it."""
    contract = _CONTRACTS[statement.record_type]
    envelope = Envelope.create(
        source="urn:test",
        type=contract.topic,
        subject=statement.record_id,
        occurred_ms=statement.occurred_ms,
        version=statement.version,
        jurisdiction=REAL_JURISDICTION,
    )
    value = None if withdrawn else real_world().encode(contract.subject, statement.value)
    return Outgoing(contract.topic, statement.record_id.encode(), value, list(envelope.to_headers()))


@cache
def _variants(version: int, key: str, day: int) -> list[Statement]:
    """Records of one version, about matter `key`, on one of some days: the same ids come in many shapes."""
    told: dict[str, Any] = {"version": version}
    on = f"2026-04-{day:02}"
    contract: dict[str, Any] = {"contract_id": f"K-{key}"}
    procedure: dict[str, Any] = {"procedure_id": f"P-{key}"}
    return [
        real.signed("contract", **contract, **told),
        real.signed("contract-other", **contract, **told, amount_minor=60_000),
        real.amended("amendment-1", on, 50_000, **contract, **told),
        real.amended("amendment-2", on, **contract, **told),
        real.amended("amendment-3", on, 130_000, **contract, **told),
        real.paid("payment-1", on, 90_000, **contract, **told),
        real.paid("payment-2", on, 40_000, **contract, **told),
        real.paid("payment-3", on, 40_000, kind="refund", **contract, **told),
        real.paid("payment-4", on, 15_000_000, contract_id=None, **told),
        real.paid("payment-5", on, (15_000_000, 5_000_000)[day % 2], contract_id=None, **told),
        real.paid("payment-6", on, 12_000_000, kind=("payment", "refund")[day % 2], contract_id=None, **told),
        real.accepted("acceptance", on, **contract, **told),
        real.announced("notice", **procedure, **told, bid_deadline=instant(on)),
        real.bid("bid-a", "a", on, **procedure, **told),
        real.bid("bid-b", "b", on, **procedure, **told),
        real.awarded("award", "ab"[day % 2], on, **procedure, **told),
        real.seated("seat", "official", on, **procedure, **told),
        real.holds("holding-a", person("spouse"), "top", **told),
        real.holds("holding-b", company("top"), "ab"[day % 2], **told),
        real.holds("holding-c", company("top"), "b", **told),
        real.holds("holding-d", company("a"), "top", **told),
        real.appointed("appointment", "official", **told),
        real.kin("kinship", "official", ("spouse", "stranger")[day % 2], **told),
        real.died("death", "official", f"2026-03-{day * 7:02}", **told),
        real.granted("allowance-1", "official", "2026-05-01", "2026-05-31", **told),
        real.granted("allowance-2", "official", "2026-03-01", on, **told),
        real.assigned("assignment-1", "official", "one", "2026-01-01", **told),
        real.assigned("assignment-2", "official", "two", "2026-02-01", **told),
        real.assigned("assignment-3", "official", "three", on, **told),
        real.audited("finding", ("C03", "C04")[day % 2], "2026-01-10", **told),
        real.rectified("rectification", "finding", ("C03", "C04")[day % 2], "2026-02-01", **told),
        real.audited("finding-old", "C03", f"2026-04-{23 + day % 2}", **told),
        _report("report", day, **told),
    ]


def _report(record_id: str, day: int, **told: Any) -> Statement:
    """What the unit says about the older finding: reported, returned or accepted, in time or late."""
    closed = ("2026-06-20", None, "2026-06-29", None)[day % 4]
    status = "accepted" if closed else ("reported", "returned")[day // 2 % 2]
    return real.rectified(record_id, "finding-old", "C03", closed, **{**told, "status": status})


@cache
def _real_record(which: int, where: int, version: int) -> Outgoing:
    variants = _variants(version & 1, "12"[(where >> 2) % 7 == 0], 1 + where % 4)
    sent = _sent(variants[which % len(variants)], withdrawn=(version >> 1) % 5 == 0)
    return _placed(sent, where)


def _real_log(first: bytes, later: bytes) -> list[Outgoing]:
    """Most kinds once to begin with, so that joins meet; then versions, withdrawals and repeats."""
    begun = [_real_record(number, one % 4 + 4, 2) for number, one in enumerate(first) if one >> 2 & 3]
    return begun + [_real_record(*chunk) for chunk in _in_chunks(later, 3)]


real_logs = st.builds(_real_log, st.binary(min_size=33, max_size=33), st.binary(max_size=36))


@settings(DETERMINISTIC, max_examples=200)
@given(real_logs, schedules, last_ticks_ms)
def test_every_schedule_of_real_records_ends_with_what_the_oracle_says(
    log: Sequence[Outgoing], schedule: Sequence[Read], last_tick_ms: int
) -> None:
    check(real_world(), log, schedule, last_tick_ms)


# -- a planted mistake is noticed --------------------------------------------------------------------------------

_PLANTED = {
    **{name: WEAKENED[name] for name in NOTICED_WITHOUT_FAULTS},
    "an oracle that takes the first version": Parts(oracle=planted.first_version),
    "an oracle that does not see withdrawals": Parts(oracle=planted.without_withdrawals),
    "an oracle that derives nothing": Parts(oracle=planted.without_relations),
    "an oracle that does not look at the clock": Parts(oracle=planted.timeless),
}


@pytest.mark.parametrize("parts", _PLANTED.values(), ids=_PLANTED)
def test_a_planted_mistake_is_noticed(parts: Parts) -> None:
    @settings(DETERMINISTIC, max_examples=200)
    @given(toy_logs, schedules, last_ticks_ms)
    def compare(log: Sequence[Outgoing], schedule: Sequence[Read], last_tick_ms: int) -> None:
        check(toy_world(), log, schedule, last_tick_ms, parts)

    with pytest.raises(AssertionError):
        compare()


def test_a_view_without_a_fixed_order_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules ask for the last of several contracts or notices: which one that is must not depend on arrival."""
    monkeypatch.setattr("streams.judge.View", planted.UnsortedView)

    @settings(DETERMINISTIC, max_examples=400)
    @given(real_logs, schedules, last_ticks_ms)
    def compare(log: Sequence[Outgoing], schedule: Sequence[Read], last_tick_ms: int) -> None:
        check(real_world(), log, schedule, last_tick_ms)

    with pytest.raises(AssertionError):
        compare()


def test_a_guard_that_lets_versions_of_a_record_into_two_partitions_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("streams.records.Guard._is_in_place", lambda *_: None)

    @settings(DETERMINISTIC, max_examples=200)
    @given(toy_logs, schedules, last_ticks_ms)
    def compare(log: Sequence[Outgoing], schedule: Sequence[Read], last_tick_ms: int) -> None:
        check(toy_world(), log, schedule, last_tick_ms)

    with pytest.raises(AssertionError):
        compare()


#: Payments alone, so that folds have enough of them.
payment_logs = st.binary(min_size=40, max_size=80).map(
    lambda drawn: [_toy_record(4 + 5 * (one[0] % 5), *one[1:]) for one in _in_chunks(drawn, 4)]
)


@pytest.mark.parametrize(
    ("place", "mistake"),
    [
        ("streams.oracle.Recomputed", planted.ShiftedRecomputed),
        ("streams.oracle.Recomputed", planted.UnboundedRecomputed),
        ("streams.folds.state.Folds.aggregates", planted.UnboundedAggregates),
        ("streams.folds.state.Folds.aggregates", planted.ShiftedAggregates),
    ],
)
def test_a_mistake_in_the_aggregates_of_either_side_is_noticed(
    monkeypatch: pytest.MonkeyPatch, place: str, mistake: type
) -> None:
    monkeypatch.setattr(place, mistake)

    @settings(DETERMINISTIC, max_examples=200)
    @given(payment_logs, schedules, last_ticks_ms)
    def compare(log: Sequence[Outgoing], schedule: Sequence[Read], last_tick_ms: int) -> None:
        check(toy_world(), log, schedule, last_tick_ms)

    with pytest.raises(AssertionError):
        compare()
