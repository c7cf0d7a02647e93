"""The whole log as the oracle needs it: every department's record, the rules in force, the largest tick."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from streams.activations import activate, require_code
from streams.evaluation import ActiveRule
from streams.facts import TICK_KEY, tick_ms
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


def records(log: LogReader, contracts: Iterable[Contract]) -> Iterator[RawRecord]:
    """Every record of these contracts, partition by partition."""
    for contract in contracts:
        for partition in range(log.partitions(contract.topic)):
            for chunk in log.read(contract.topic, partition, 0):
                yield from chunk


def activations(log: LogReader, codec: Codec) -> Mapping[str, Mapping[str, Any]]:
    """The last activation of every rule, by rule id. What cannot be read is passed over; the judge dead-letters it."""
    found: dict[str, Mapping[str, Any]] = {}
    for chunk in log.read(ACTIVATION, 0, 0):
        for raw in chunk:
            with suppress(BadRecordError, UnknownSchemaError):
                value = codec.decode_as(ACTIVATION, raw.value or b"")
                found[value["rule_id"]] = value
    return found


def active_rules(log: LogReader, codec: Codec) -> dict[str, ActiveRule]:
    """The rules in force. Raises ActivationMismatchError when the code here is not theirs."""
    found = activations(log, codec).values()
    require_code(found, JOINS)
    activated = [activate(value, JOINS) for value in found]
    return {one.rule.id: one for one in activated if isinstance(one, ActiveRule)}


def latest_tick_ms(log: LogReader, generation: int) -> int:
    """The largest tick on the fact topic; 0 before the first."""
    topic = fact_topic(generation)
    return max((_latest_tick_ms(log, topic, number) for number in range(log.partitions(topic))), default=0)


def _latest_tick_ms(log: LogReader, topic: str, partition: int) -> int:
    """Ticks grow, so the last one counts: look further and further back from the end."""
    low, high = log.range(topic, partition)
    window, latest = 500, 0
    while not latest:
        for chunk in log.read(topic, partition, max(low, high - window), high):
            for raw in chunk:
                if raw.key == TICK_KEY:
                    with suppress(BadRecordError):  # the judge dead-letters it
                        latest = max(latest, tick_ms(raw.value))
        if window >= high - low:
            break
        window *= 10
    return latest


def oracle(settings: Settings, contracts: Sequence[Contract], now_ms: int | None = None) -> Verdict:
    """The batch answer for the log as it is now; `now_ms` None takes the largest tick."""
    codec = Codec(ConfluentRegistry(settings.registry_url))
    guard = Guard(codec.decode_as, int(settings.future_tolerance_s * 1000))
    with LogReader(settings.bootstrap_servers) as log:
        now = latest_tick_ms(log, settings.generation) if now_ms is None else now_ms
        rules = active_rules(log, codec)
        return judge_log(records(log, contracts), JOINS, rules, guard, now)
