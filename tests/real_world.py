"""The project's own joins, rules, contracts and cards as a world for flows without Kafka."""

from __future__ import annotations

import json
from functools import cache

from schemas.catalogue import CONTRACTS
from streams.joins import JOINS
from tests.builders import active_rules, instant
from tests.simulation.flow import World
from xiezhi.codec import Codec
from xiezhi.contracts.bus import ACTIVATION, ALERT, DEAD_LETTER, RELATION
from xiezhi.registry import InMemoryRegistry


@cache
def real_codec() -> Codec:
    registry = InMemoryRegistry()
    for contract in (*CONTRACTS, ALERT, RELATION, ACTIVATION, DEAD_LETTER):
        registry.register(contract.subject, json.dumps(contract.schema))
    return Codec(registry)


@cache
def real_world() -> World:
    codec, active = real_codec(), active_rules("cn")
    return World(
        joins=JOINS,
        topics=tuple(contract.topic for contract in CONTRACTS),
        active=active,
        decode=codec.decode_as,
        encode=codec.encode,
        activate=lambda value: active[value.decode()],
        activations=[rule_id.encode() for rule_id in sorted(active)],
        # A minute before A01 may speak of the older finding in the records of `test_stream_equals_oracle`.
        start_ms=instant("2026-06-30 23:59"),
    )
