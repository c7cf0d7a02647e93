"""Consumers of alerts and relations: read each partition in order, repeat parts of it, keep the greatest position."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from functools import partial

from streams.outputs import Decode, read_output
from tests.simulation.broker import Broker
from xiezhi.contracts.naming import ALERT, RELATION
from xiezhi.envelope import Envelope
from xiezhi.log import RawRecord

#: (record id, position, digest of the content or "" when it is withdrawn)
Statement = tuple[str, int, str]


def held_alerts(broker: Broker, chance: random.Random, decode: Decode) -> dict[str, str]:
    """Digest of every alert that stands, as an alert store ends with it."""
    return _held(broker, ALERT, chance, partial(_read_alert, decode))


def held_relations(broker: Broker, chance: random.Random, decode: Decode) -> dict[str, str]:
    """The same of relations, for whoever reads them: versions are positions, a null value is a withdrawal."""
    return _held(broker, RELATION, chance, partial(_read_relation, decode))


def _held(
    broker: Broker, topic: str, chance: random.Random, read: Callable[[RawRecord], Statement]
) -> dict[str, str]:
    held: dict[str, tuple[int, str]] = {}
    for raw in _with_repeats(broker, topic, chance):
        record_id, position, digest = read(raw)
        if record_id not in held or position > held[record_id][0]:
            held[record_id] = (position, digest)
    return {record_id: digest for record_id, (_, digest) in held.items() if digest}


def _with_repeats(broker: Broker, topic: str, chance: random.Random) -> Iterator[RawRecord]:
    """Every record of every partition, with rewinds as after a consumer's crash."""
    for partition in range(broker.partitions):
        offset, end = 0, broker.end(topic, partition)
        rewinds = chance.randrange(3)
        while offset < end:
            yield broker.read(topic, partition, offset, offset + 1)[0]
            offset += 1
            if rewinds and chance.random() < 0.1:
                rewinds -= 1
                offset = chance.randrange(offset)


def _read_alert(decode: Decode, raw: RawRecord) -> Statement:
    value = decode(raw.topic, raw.value or b"")
    digest = "" if value["state"] == "withdrawn" else value["content_digest"]
    return value["record_id"], value["position"], digest


def _read_relation(decode: Decode, raw: RawRecord) -> Statement:
    envelope = Envelope.from_headers(raw.headers)
    digest = "" if raw.value is None else decode(raw.topic, raw.value)["content_digest"]
    return envelope.subject, envelope.version, digest


def one_content_per_position(broker: Broker, decode: Decode) -> list[str]:
    """Two statements about one thing at one position must say the same: else which one stands is chance."""
    said: dict[tuple[str, int], str] = {}
    broken = []
    for topic in (ALERT, RELATION):
        for raw in broker.all(topic):
            output_id, view, memory = read_output(raw, decode)
            if said.setdefault((output_id, memory.position), memory.digest) != memory.digest:
                broken.append(f"{topic} {output_id} of {view}: two contents at position {memory.position}")
    return broken
