"""What must be on the log before a generation speaks, so that it compares no less than the one before it knew."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from streams.facts import (
    ACTIVATION_KEY,
    TAKE_OVER_KEY,
    TICK_KEY,
    Filing,
    sequence_of,
    split_filing,
    tick_ms,
)
from tests.simulation.broker import Broker
from xiezhi.contracts.naming import ACTIVATION
from xiezhi.log import RawRecord


def take_over(broker: Broker, fact_topic: str, gone_ms: int) -> Iterator[str]:
    """Every fact of what was ingested before `gone_ms`, a tick from after it, and what was activated before it."""
    activations = broker.all(ACTIVATION)
    in_force = {raw.key: raw.offset for raw in activations if raw.ingested_ms < gone_ms}
    for partition in range(broker.partitions):
        facts = broker.read(fact_topic, partition, 0)
        first = next(raw.offset for raw in facts if raw.key == TAKE_OVER_KEY)
        before, after = facts[:first], facts[first:]
        told = [sequence_of(raw.headers) for raw in before if raw.key == ACTIVATION_KEY]
        latest = {activations[number].key: number for number in sorted(told)}
        late = {offset for rule_id, offset in in_force.items() if latest.get(rule_id, -1) < offset}
        for missing in (*_missing(before, after, gone_ms), *(f"activation {one}" for one in sorted(late))):
            yield f"take-over {fact_topic}/{partition}/{first} comes before {missing}"


def _missing(before: Sequence[RawRecord], after: Sequence[RawRecord], gone_ms: int) -> Iterator[str]:
    if max((tick_ms(raw.value) for raw in before if raw.key == TICK_KEY), default=0) < gone_ms:
        yield f"a tick that says {gone_ms}"
    filed = {_place(raw) for raw in before if _is_fact(raw)}
    for raw in after:
        if _is_fact(raw) and _filing(raw).source.ingested_ms < gone_ms and _place(raw) not in filed:
            yield f"fact {raw.offset}, of a record ingested before {gone_ms}"


def _is_fact(raw: RawRecord) -> bool:
    return raw.key not in (TICK_KEY, ACTIVATION_KEY, TAKE_OVER_KEY)


def _place(raw: RawRecord) -> tuple[bytes | None, str, int, int]:
    """The key under which it is filed, and what is filed there."""
    source = _filing(raw).source
    return raw.key, source.topic, source.partition, source.offset


def _filing(raw: RawRecord) -> Filing:
    return Filing.from_bytes(split_filing(raw.headers)[0] or b"")
