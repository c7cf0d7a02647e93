"""What must hold when a run is over.

Always: what stands in the alert store and among the relations is what the oracle says; the store's history is what one
patient reader of the log would have written down, each statement once; a statement at a position is what the facts up
to there say; every record that breaks its contract is among the dead letters. With clocks that never jumped: no fact
came after a tick that says that it has passed. With nothing late and nobody beside another: nothing is said twice, and
no word about a key is older than one that was out already.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select

from consumers.alerts import tables
from consumers.alerts.database import reading
from consumers.alerts.statement import Filter
from consumers.alerts.store import AlertStore
from streams.evaluation import ActiveRule
from streams.facts import ACTIVATION_KEY, TAKE_OVER_KEY, TICK_KEY, Filing, split_filing
from streams.judge import Judge, Judging, position_of
from streams.kernel import Join, Source, Statement
from streams.oracle import Verdict
from streams.outputs import read_output
from streams.records import Guard, filing_keys
from tests.simulation.broker import Broker
from tests.simulation.consumers import held_relations
from tests.simulation.parts import OracleOf
from tests.simulation.take_over import take_over
from tests.simulation.world import CODEC, JOINS, TOPICS, guard
from xiezhi.contracts.naming import ACTIVATION, ALERT, DEAD_LETTER, RELATION, fact_topic
from xiezhi.errors import BadRecordError
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore, MemoryBackend

STANDING = Filter(states=("raised", "changed"))
ALERTS_MAX = 100_000
CONTROL_KEYS = (TICK_KEY, ACTIVATION_KEY, TAKE_OVER_KEY)


@dataclass(frozen=True)
class Filed:
    """One generation: its number, and the joins of its code."""

    number: int
    joins: Sequence[Join]

    @property
    def facts(self) -> str:
        return fact_topic(self.number)

    @property
    def start(self) -> int:
        """Its first position."""
        return position_of(self.number, 0)


@dataclass(frozen=True)
class Log:
    """What a run left behind, and what may be expected of it.

    `gone_ms` is when the last service of the generation before the live one had ended, if there was one.
    """

    broker: Broker
    generations: Sequence[Filed]
    is_calm: bool
    has_steady_clocks: bool
    gone_ms: int | None = None

    @property
    def live(self) -> Filed:
        return self.generations[-1]

    def generation_of(self, position: int) -> Filed:
        return next(one for one in reversed(self.generations) if position >= one.start)

    @property
    def guard(self) -> Guard:
        return guard(self.broker.partitions)


def differences(log: Log, store: AlertStore, oracle: OracleOf, chance: random.Random) -> list[str]:
    """Everything that is not as it must be."""
    verdict = verdict_on(log, oracle)
    assert not verdict.failed, verdict.failed
    standing = {
        one.alert.record_id: one.alert.content_digest for one in store.standing(STANDING, limit=ALERTS_MAX)
    }
    checks: list[Iterator[str]] = [
        _compare("alert", standing, verdict.alerts),
        _compare("relation", held_relations(log.broker, chance, CODEC.decode), verdict.relations),
        _history(log.broker, store),
        _dead_letters(log),
        _positions(log),
    ]
    if log.has_steady_clocks:
        checks += [_ticks(log, one) for one in log.generations]
        if log.gone_ms is not None:
            checks.append(take_over(log.broker, log.live.facts, log.gone_ms))
    if log.is_calm:
        checks.append(_said_once(log.broker))
    return [found for check in checks for found in check]


def verdict_on(log: Log, oracle: OracleOf) -> Verdict:
    records = [raw for topic in TOPICS for raw in log.broker.all(topic)]
    activate = CODEC.activator()
    active: dict[str, ActiveRule] = {}
    for raw in log.broker.all(ACTIVATION):
        activated = activate(raw.value or b"")
        rule_id = (raw.key or b"").decode()
        active.pop(rule_id, None)
        if isinstance(activated, ActiveRule):
            active[rule_id] = activated
    return oracle(records, log.live.joins, active, log.guard, log.broker.latest_tick_ms(log.live.facts))


def _compare(what: str, held: Mapping[str, str], wanted: Mapping[str, object]) -> Iterator[str]:
    expected = {one_id: getattr(proposal, "digest") for one_id, proposal in wanted.items()}  # noqa: B009
    for one_id in sorted({*held, *expected}):
        if held.get(one_id) != expected.get(one_id):
            yield (
                f"{what} {one_id}: held {held.get(one_id, 'nothing')[:12]}, "
                f"oracle {expected.get(one_id, 'nothing')[:12]}"
            )


def _history(broker: Broker, store: AlertStore) -> Iterator[str]:
    """Of every alert what goes beyond all before it in the log, in this order, each once; numbers without a gap."""
    expected: dict[str, list[int]] = {}
    for raw in broker.all(ALERT):
        alert_id, _, said = read_output(raw, CODEC.decode)
        positions = expected.setdefault(alert_id, [])
        if not positions or said.position > positions[-1]:
            positions.append(said.position)
    held: dict[str, list[int]] = {}
    with reading(store._engine) as connection:
        table = tables.history.c
        rows = connection.execute(select(table.seq, table.alert_id, table.position).order_by(table.seq)).all()
    for row in rows:
        held.setdefault(row.alert_id, []).append(row.position)
    for alert_id in sorted({*expected, *held}):
        if expected.get(alert_id) != held.get(alert_id):
            yield f"history of alert {alert_id}: {held.get(alert_id)}, the log has {expected.get(alert_id)}"
    if [row.seq for row in rows] != list(range(1, len(rows) + 1)):
        yield f"numbers of the history have gaps: {[row.seq for row in rows]}"


def _dead_letters(log: Log) -> Iterator[str]:
    """Everything that the guard refuses is there at least once, and nothing else is."""
    expected = set()
    for topic in TOPICS:
        for raw in log.broker.all(topic):
            if not _is_admitted(raw, log.guard):
                expected.add(f"{raw.topic}/{raw.partition}/{raw.offset}")
    found = {(raw.value or b"").decode() for raw in log.broker.all(DEAD_LETTER)}
    for address in sorted(expected ^ found):
        yield f"dead letter of {address}: {'missing' if address in expected else 'for a good record'}"


def _is_admitted(raw: RawRecord, guard: Guard) -> bool:
    """By the guard, and with keys under which it can be filed."""
    try:
        record = guard.admit(raw)
        if isinstance(record, Statement):
            for taken in (one for join in JOINS for one in join.inputs if one.record_type == raw.topic):
                filing_keys(taken.keys, record)
    except BadRecordError:
        return False
    return True


def _positions(log: Log) -> Iterator[str]:
    """What is said at a position is what a judge says that has read exactly so far, record by record."""
    for partition in range(log.broker.partitions):
        said_at = {
            one.number: _said_record_by_record(one, log.broker.read(one.facts, partition, 0))
            for one in log.generations
        }
        for topic in (ALERT, RELATION):
            for raw in log.broker.read(topic, partition, 0):
                output_id, view, said = read_output(raw, CODEC.decode)
                generation = log.generation_of(said.position)
                offset, told = said.position - generation.start, said_at[generation.number][output_id]
                expected = next((digest for at, digest in reversed(told) if at <= offset), "")
                if said.digest != expected:
                    yield (
                        f"{topic}/{partition}/{raw.offset} about {view}: not what the facts of generation "
                        f"{generation.number} up to {offset} say"
                    )


def _said_record_by_record(
    generation: Filed, facts: Sequence[RawRecord]
) -> Mapping[str, list[tuple[int, str]]]:
    """Id -> (offset, digest of what stands from there on, "" when it is withdrawn)."""
    judging = Judging(generation.joins, CODEC.decode, CODEC.activator(), generation.number)
    judge = Judge(judging, KeyedStore(MemoryBackend()))
    said_at: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for raw in facts:
        outputs = judge.apply([raw], _refuse)
        while judge.speaks and judge.sweeps.open:
            outputs += judge.rejudge(1000)
        for output in outputs:
            said_at[output.id].append((raw.offset, output.said.digest))
    return said_at


def _refuse(raw: RawRecord, error: BadRecordError) -> None:
    raise error


def _ticks(log: Log, generation: Filed) -> Iterator[str]:
    """What was ingested before the instant that a tick says is before the tick on every fact partition."""
    facts = generation.facts
    for partition in range(log.broker.partitions):
        now_ms, seen, speaks = 0, set(), generation.number == 1
        for raw in log.broker.read(facts, partition, 0):
            if raw.key == TICK_KEY:
                now_ms = max(now_ms, json.loads(raw.value or b"")["now_ms"])
            elif raw.key == TAKE_OVER_KEY:
                speaks = True
            elif raw.key != ACTIVATION_KEY:
                source = _source(raw)
                fact = (raw.key, source.topic, source.partition, source.offset)
                ingested_ms = _cause_ms(log, raw) if log.is_calm and speaks else source.ingested_ms
                if fact not in seen and ingested_ms < now_ms:
                    yield f"fact {facts}/{partition}/{raw.offset} of {ingested_ms} comes after tick {now_ms}"
                seen.add(fact)


def _source(fact: RawRecord) -> Source:
    return Filing.from_bytes(split_filing(fact.headers)[0] or b"").source


def _cause_ms(log: Log, fact: RawRecord) -> int:
    """When the department's record was ingested from which a fact follows, by way of as many relations as may be."""
    source = _source(fact)
    if source.topic != RELATION:
        return source.ingested_ms
    (relation,) = log.broker.read(RELATION, source.partition, source.offset, source.offset + 1)
    position = read_output(relation, CODEC.decode)[2].position
    generation = log.generation_of(position)
    offset = position - generation.start
    (cause,) = log.broker.read(generation.facts, source.partition, offset, offset + 1)
    return source.ingested_ms if cause.key in CONTROL_KEYS else _cause_ms(log, cause)


def _said_once(broker: Broker) -> Iterator[str]:
    """In the order of the log: states follow one another as they should, contents differ, positions of a key grow."""
    last: dict[str, str] = {}
    for topic in (ALERT, RELATION):
        reached: dict[
            str, int
        ] = {}  # a judge sends on both topics at once: in which order is nobody's promise
        for raw in broker.all(topic):
            output_id, view, said = read_output(raw, CODEC.decode)
            if last.get(output_id, "") == said.digest:
                yield f"{topic} {output_id}: the same said twice, the second time at {said.position}"
            if said.position < reached.get(view, -1):
                yield f"{topic} {output_id}: said at {said.position} when {view} had reached {reached[view]}"
            last[output_id] = said.digest
            reached[view] = max(said.position, reached.get(view, -1))
