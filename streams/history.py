"""The log as the oracle needs it: every department's record, the rules in force, the largest tick.

All of it, or what had been ingested by an instant (`known_at_ms`): nothing that came later can be in an answer then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from streams.activations import activate, require_code
from streams.evaluation import ActiveRule
from streams.facts import TICK_KEY, tick_of
from streams.joins import JOINS
from streams.oracle import Verdict, judge_log
from streams.records import Guard
from xiezhi.codec import Codec
from xiezhi.contracts.base import Contract
from xiezhi.contracts.naming import ACTIVATION, fact_topic
from xiezhi.errors import BadRecordError, UnknownSchemaError
from xiezhi.log import LogReader, RawRecord
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings

Look = Callable[[int], None]


def records(
    log: LogReader, contracts: Iterable[Contract], known_at_ms: int | None = None, look: Look = lambda _: None
) -> Iterator[RawRecord]:
    """Every record of these contracts, partition by partition; `look` is told after each chunk how many were read."""
    read = 0
    for contract in contracts:
        for partition in range(log.partitions(contract.topic)):
            for chunk in log.read(contract.topic, partition, 0):
                read += len(chunk)
                look(read)
                yield from known_by(chunk, known_at_ms)


def guard(log: LogReader, codec: Codec, contracts: Iterable[Contract], settings: Settings) -> Guard:
    """The guard of these contracts' records, as the router has it."""
    partitions = {contract.topic: log.partitions(contract.topic) for contract in contracts}
    return Guard(codec.decode_as, int(settings.future_tolerance_s * 1000), partitions)


def size(log: LogReader, contracts: Iterable[Contract]) -> int:
    """How many records of these contracts the log holds."""
    ranges = [log.range(c.topic, number) for c in contracts for number in range(log.partitions(c.topic))]
    return sum(high - low for low, high in ranges)


def known_by(raws: Iterable[RawRecord], known_at_ms: int | None) -> Iterator[RawRecord]:
    """Those of `raws` that were ingested by then; None: all."""
    return (raw for raw in raws if known_at_ms is None or raw.ingested_ms <= known_at_ms)


def activations(
    log: LogReader, codec: Codec, known_at_ms: int | None = None
) -> Mapping[str, Mapping[str, Any]]:
    """The last activation of every rule, by rule id. What cannot be read is passed over; the judge dead-letters it."""
    found: dict[str, Mapping[str, Any]] = {}
    for chunk in log.read(ACTIVATION, 0, 0):
        for raw in known_by(chunk, known_at_ms):
            with suppress(BadRecordError, UnknownSchemaError):
                value = codec.decode_as(ACTIVATION, raw.value or b"")
                found[value["rule_id"]] = value
    return found


def active_rules(log: LogReader, codec: Codec, known_at_ms: int | None = None) -> dict[str, ActiveRule]:
    """The rules in force. Raises ActivationMismatchError when the code here is not theirs."""
    found = activations(log, codec, known_at_ms).values()
    require_code(found, JOINS)
    activated = [activate(value, JOINS) for value in found]
    return {one.rule.id: one for one in activated if isinstance(one, ActiveRule)}


def latest_tick_ms(log: LogReader, generation: int, known_at_ms: int | None = None) -> int:
    """The largest tick on the fact topic; 0 before the first."""
    topic = fact_topic(generation)
    partitions = range(log.partitions(topic))
    return max((_latest_tick_ms(log, topic, number, known_at_ms) for number in partitions), default=0)


def _latest_tick_ms(log: LogReader, topic: str, partition: int, known_at_ms: int | None) -> int:
    """Ticks grow, so the last one counts: look further and further back from the end."""
    low, high = log.range(topic, partition)
    if known_at_ms is not None:
        high = log.offset_at(topic, partition, known_at_ms + 1)
    window, latest = 500, 0
    while not latest:
        for chunk in log.read(topic, partition, max(low, high - window), high):
            for raw in chunk:
                if raw.key == TICK_KEY:
                    with suppress(BadRecordError):  # the judge dead-letters it
                        latest = max(latest, tick_of(raw))
        if window >= high - low:
            break
        window *= 10
    return latest


def oracle(settings: Settings, contracts: Sequence[Contract], now_ms: int | None = None) -> Verdict:
    """The batch answer for the log as it is now; `now_ms` None takes the largest tick."""
    codec = Codec(ConfluentRegistry(settings.registry_url))
    with LogReader(settings.bootstrap_servers) as log:
        now = latest_tick_ms(log, settings.generation) if now_ms is None else now_ms
        rules = active_rules(log, codec)
        admits = guard(log, codec, contracts, settings)
        return judge_log(records(log, contracts), JOINS, rules, admits, now)
