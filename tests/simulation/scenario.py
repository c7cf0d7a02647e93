"""What departments publish in one run: small worlds in which everything touches everything, chosen by a seed.

Ids come from small pools, so that records meet under the same keys; versions move them between keys, come late, twice,
or after their withdrawal. Some records break their contract. The publishing order is part of the scenario.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from streams.pipeline import Outgoing
from tests.simulation.world import (
    ACCOUNT,
    CODEC,
    HOLDING,
    JURISDICTION,
    ORDER,
    PAYMENT,
    RECEIPT,
    RECEIPT_WAIT_MS,
    RULES,
    START_MS,
    activation,
    card,
    record,
)
from xiezhi.contracts.bus import ACTIVATION
from xiezhi.envelope import Envelope
from xiezhi.partitioner import partition_of

Fields = Mapping[str, Any]

ACCOUNTS, ITEMS, PARTIES = ("a", "b"), ("x", "y"), ("k", "l", "m", "n")
AMOUNTS = (-5, 20, 60, 90, 101)


def _order(chance: random.Random) -> Fields:
    account = chance.choice((*ACCOUNTS, *ACCOUNTS, None))
    items = chance.sample(ITEMS, chance.choice((0, 1, 1, 2)))
    return {"account": account, "amount": chance.choice(AMOUNTS), "items": items}


def _deciding_order(chance: random.Random) -> Fields:
    """One that alone decides about one of many accounts."""
    return {"account": chance.choice("abcdefgh"), "amount": chance.choice((5, 150)), "items": []}


def _timed_order(chance: random.Random) -> Fields:
    """One of an account that comes to much or little, waits to settle, and for a receipt that others wait for, too."""
    return {"account": "a", "amount": chance.choice((-5, 20, 101)), "items": [chance.choice("xxxy")]}


def _fleeting_order(chance: random.Random) -> Fields:
    """One that waits for a receipt of one of many items, until its next version waits for another."""
    return {"account": None, "amount": 20, "items": [chance.choice("uvwxyz")]}


def _receipt(chance: random.Random) -> Fields:
    return {"items": [chance.choice(ITEMS)]}


def _account(chance: random.Random) -> Fields:
    return {"account": chance.choice(ACCOUNTS), "owner": chance.choice(PARTIES)}


def _holding(chance: random.Random) -> Fields:
    holder, company = chance.sample(PARTIES, 2)
    return {"holder": holder, "company": company}


def _payment(chance: random.Random) -> Fields:
    amount, purpose = chance.choice((*AMOUNTS, 0, 20)), chance.choice("fgh")
    return {"payer": chance.choice("kkkl"), "amount": amount, "purpose": purpose}


MAKERS: Mapping[str, Callable[[random.Random], Fields]] = {
    ORDER: _order,
    RECEIPT: _receipt,
    ACCOUNT: _account,
    HOLDING: _holding,
    PAYMENT: _payment,
}


@dataclass(frozen=True)
class Density:
    """How many records of each type there are at most, and how often departments change their minds."""

    pool: Mapping[str, int]
    versions: tuple[int, ...]
    partitions: tuple[int, ...] = (1, 2)
    makers: Mapping[str, Callable[[random.Random], Fields]] = field(default_factory=lambda: MAKERS)
    activations: tuple[int, ...] = (0, 1, 2, 4)  # how many come later
    occurred_ms: tuple[int, int] = (-RECEIPT_WAIT_MS, RECEIPT_WAIT_MS)  # when, from the beginning of the run


BROAD = Density({ORDER: 5, RECEIPT: 2, ACCOUNT: 2, HOLDING: 4, PAYMENT: 4}, versions=(1, 1, 1, 2, 3))
#: Few records and many versions: one key changes its answer again and again.
HOT = Density({ORDER: 2, RECEIPT: 1, ACCOUNT: 1, HOLDING: 2}, versions=(1, 4, 6, 8))
#: Many keys with short histories: a wrong word about any of them is the last one.
MANY = Density(
    {ORDER: 12},
    versions=(2, 2, 3),
    partitions=(1,),
    makers={**MAKERS, ORDER: _deciding_order},
    activations=(0, 0, 1),
)


#: Orders of few items whose deadlines are near each other: ticks and facts compete for what is said last.
TIMED = Density(
    {ORDER: 3, RECEIPT: 1},
    versions=(2, 4, 6, 8),
    makers={**MAKERS, ORDER: _timed_order},
    activations=(0, 0, 1),
    occurred_ms=(-RECEIPT_WAIT_MS * 3 // 2, -RECEIPT_WAIT_MS * 3 // 4),
)
#: Many keys, about which something is said that hardly stands when it is said, and later something because of a tick.
FLEETING = Density(
    {ORDER: 14},
    versions=(1, 2, 2),
    partitions=(1,),
    makers={**MAKERS, ORDER: _fleeting_order},
    activations=(0,),
    occurred_ms=(-RECEIPT_WAIT_MS * 3 // 2, -RECEIPT_WAIT_MS * 3 // 4),
)
#: One or two keys of a fold with many records that come, change and go, so that its blocks split and are freed.
FOLDED = Density({PAYMENT: 12}, versions=(1, 2, 4, 6))


@dataclass(frozen=True)
class Scenario:
    """Everything that enters the bus from outside, in the order in which it does."""

    records: tuple[Outgoing, ...]
    activations: tuple[Outgoing, ...]
    topics: tuple[str, ...]
    partitions: int

    @classmethod
    def of(cls, chance: random.Random, densities: Sequence[Density]) -> Scenario:
        density = chance.choice(densities)
        records = [one for topic in density.pool for one in _of_type(chance, topic, density)]
        if density is BROAD or chance.random() < 0.3:
            chance.shuffle(records)
        for _ in range(chance.randrange(4)):
            records.insert(chance.randrange(len(records) + 1), chance.choice(records))
        for _ in range(chance.choice((0, 0, 1, 2))):
            records.insert(chance.randrange(len(records) + 1), _broken(chance, chance.choice(records)))
        partitions = chance.choice(density.partitions)
        for _ in range(chance.choice((0, 1, 2)) if partitions > 1 else 0):
            records.insert(
                chance.randrange(len(records) + 1), _misplaced(chance, chance.choice(records), partitions)
            )
        return cls(tuple(records), tuple(_activations(chance, density)), tuple(density.pool), partitions)


def _of_type(chance: random.Random, topic: str, density: Density) -> list[Outgoing]:
    published = []
    for number in range(chance.randint(1 + density.pool[topic] // 2, density.pool[topic])):
        record_id = f"{topic[4]}{number}"
        for version in range(chance.choice(density.versions)):
            occurred_ms = START_MS + chance.randrange(*density.occurred_ms, 100)
            taken_back = chance.random() < (0.25 if version else 0.05)
            fields = None if taken_back else density.makers[topic](chance)
            published.append(_outgoing(topic, record_id, fields, version, occurred_ms))
    return published


def _outgoing(topic: str, record_id: str, fields: Fields | None, version: int, occurred_ms: int) -> Outgoing:
    raw = record(topic, record_id, fields, version=version, occurred_ms=occurred_ms)
    return Outgoing(topic, raw.key or b"", raw.value, list(raw.headers))


def _broken(chance: random.Random, one: Outgoing) -> Outgoing:
    """A newer version that breaks its contract: it counts as never published."""
    subject = one.key.decode()
    envelope = Envelope.create(
        source="urn:toy",
        type=one.topic,
        subject=subject,
        occurred_ms=START_MS,
        version=9,
        jurisdiction=JURISDICTION,
    )
    newer = one._replace(headers=envelope.to_headers())
    if one.topic in (ORDER, RECEIPT) and chance.random() < 0.5:
        fields = {"account": "a|b", "amount": 1, "items": ["x", ""]}
        return _outgoing(one.topic, subject, fields, 9, START_MS)
    return newer._replace(value=b"junk") if chance.random() < 0.5 else newer._replace(headers=[])


def _misplaced(chance: random.Random, one: Outgoing, partitions: int) -> Outgoing:
    """A newer version from a client with another partitioner: it counts as never published."""
    fields = None if chance.random() < 0.5 else MAKERS[one.topic](chance)
    newer = _outgoing(one.topic, one.key.decode(), fields, 8, START_MS)
    return newer._replace(partition=(partition_of(one.key, partitions) + 1) % partitions)


def _activations(chance: random.Random, density: Density) -> list[Outgoing]:
    """All rules first, as they come or with other limits; later some change, go off and on again."""
    first = [_activation(rule_id, 1, chance.choice((60, 100))) for rule_id in RULES]
    later = []
    for version in range(2, 2 + chance.choice(density.activations)):
        rule_id, enabled = chance.choice(list(RULES)), chance.random() < 0.6
        later.append(_activation(rule_id, version, chance.choice((30, 60, 100)), enabled=enabled))
    return first + later


def pack(chance: random.Random) -> list[Outgoing]:
    """Activations of all rules with other limits, as they come with new code."""
    return [_activation(rule_id, 9, chance.choice((30, 60, 100))) for rule_id in RULES]


def _activation(rule_id: str, version: int, limit: int, *, enabled: bool = True) -> Outgoing:
    value = _activation_value(rule_id, version, limit, enabled)
    return Outgoing(ACTIVATION.topic, rule_id.encode(), value, [], 0)


@cache
def _activation_value(rule_id: str, version: int, limit: int, enabled: bool) -> bytes:
    """There are few, and a card takes longer to check than to read."""
    value = activation(card(rule_id, version=version, limit=limit), enabled=enabled)
    return CODEC.encode(ACTIVATION.subject, value)
