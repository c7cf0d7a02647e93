"""Ways to break a record, each with the reason that its dead letter must give.

Of a department's record (the router refuses it), of a fact (the judge does) and of a statement on an output topic
(judge and alert store do, each with its own reason).
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from streams.facts import ACTIVATION_KEY, FACT_HEADER, SEQUENCE_HEADER, TICK_KEY
from streams.outputs import SAID_HEADER
from tests.wire import Wire

#: As much as a publisher can put into one record of a broker's default size.
RECORD_BYTES = 999_000
NOBODY_S_SCHEMA = b"\x00\x7f\xff\xff\xff"
NOISE = random.Random(5).randbytes(RECORD_BYTES)  # does not compress, so that it is as large on the wire

Break = Callable[[Wire], Wire]


@dataclass(frozen=True, slots=True)
class Poison:
    """One way; `reasons` per stage that meets the record."""

    name: str
    reasons: frozenset[tuple[str, str]]
    broken: Break


def departments_records() -> list[Poison]:
    """For any good record of a department that is not tender.notice, in the first of two partitions."""
    return [Poison(name, frozenset({("router", reason)}), broken) for name, reason, broken in _RECORDS]


def facts() -> list[Poison]:
    """For any fact of a record of version 0."""
    return [Poison(name, frozenset({("judge", reason)}), broken) for name, reason, broken in _FACTS]


def statements() -> list[Poison]:
    """For any statement on the alert topic."""
    return [
        Poison(name, frozenset({("judge", judge), ("alert-store", store)}), broken)
        for name, judge, store, broken in _STATEMENTS
    ]


def _value(change: Callable[[bytes], bytes | None]) -> Break:
    return lambda wire: replace(wire, value=change(wire.value or b""))


def _key(key: bytes | None) -> Break:
    return lambda wire: replace(wire, key=key)


def _header(name: str, value: bytes | None) -> Break:
    return lambda wire: replace(wire, headers=[(n, value if n == name else v) for n, v in wire.headers])


def _without(*names: str) -> Break:
    return lambda wire: replace(wire, headers=[each for each in wire.headers if each[0] not in names])


def _and(*more: tuple[str, bytes | None]) -> Break:
    return lambda wire: replace(wire, headers=[*wire.headers, *more])


def _both(first: Break, second: Break) -> Break:
    return lambda wire: second(first(wire))


def _padded(start: bytes) -> bytes:
    return start + NOISE[: RECORD_BYTES - len(start)]


#: A control record of somebody who has no clock.
def _control(key: bytes, value: bytes | None, *headers: tuple[str, bytes | None]) -> Break:
    return lambda wire: replace(wire, key=key, value=value, headers=headers)


_OTHER_TOPIC = b"tender.notice.v1"
#: Belongs into the first of two partitions.
_OTHER_ID = b"other"

_RECORDS: list[tuple[str, str, Break]] = [
    ("schema id that nobody registered", "unknown_schema", _value(lambda v: NOBODY_S_SCHEMA + v[5:])),
    ("schema id zero", "unknown_schema", _value(lambda v: bytes(5) + v[5:])),
    ("schema id beyond 31 bits", "unknown_schema", _value(lambda v: b"\x00\xff\xff\xff\xff" + v[5:])),
    ("Avro cut short", "undecodable_avro", _value(lambda v: v[:-3])),
    ("schema id and nothing after it", "undecodable_avro", _value(lambda v: v[:5])),
    ("a text that claims a terabyte", "undecodable_avro", _value(lambda v: v[:5] + b"\x80" * 5 + b"\x7e")),
    ("999,000 bytes of noise", "undecodable_avro", _value(lambda v: _padded(v[:5] + b"\x7f"))),
    ("999,000 bytes, a record first", "trailing_bytes", _value(_padded)),
    ("one byte too many", "trailing_bytes", _value(lambda v: v + b"\x00")),
    ("wrong magic", "wrong_magic", _value(lambda v: b"\x01" + v[1:])),
    ("JSON", "wrong_magic", _value(lambda v: b'{"record_id": "1"}')),
    ("shorter than a frame", "truncated_frame", _value(lambda v: v[:4])),
    ("empty, which is not null", "truncated_frame", _value(lambda v: b"")),
    ("another contract by its header", "wrong_type", _header("ce_type", _OTHER_TOPIC)),
    ("null key", "null_key", _key(None)),
    ("null key and value", "null_key", _both(_key(None), _value(lambda v: None))),
    ("another record's key", "wrong_key", _key(b"another")),
    ("a key that is no text", "wrong_key", _key(b"\xff\xfe")),
    ("another record's value", "wrong_key", _both(_key(_OTHER_ID), _header("ce_subject", _OTHER_ID))),
    (
        "a partition of another key",
        "wrong_partition",
        lambda wire: replace(wire, partition=1 - wire.partition),
    ),
    ("no headers at all", "missing_header", lambda wire: replace(wire, headers=())),
    ("no ce_id", "missing_header", _without("ce_id")),
    ("no ce_time", "missing_header", _without("ce_time")),
    ("no ce_recordversion", "missing_header", _without("ce_recordversion")),
    ("no ce_jurisdiction", "missing_header", _without("ce_jurisdiction")),
    (
        "a withdrawal without version",
        "missing_header",
        _both(_without("ce_recordversion"), _value(lambda v: None)),
    ),
    ("ce_id that is no UUID", "malformed_header", _header("ce_id", b"17")),
    ("ce_time of no day", "malformed_header", _header("ce_time", b"2026-02-30T00:00:00.000Z")),
    ("ce_recordversion below zero", "malformed_header", _header("ce_recordversion", b"-1")),
    ("ce_jurisdiction that is null", "malformed_header", _header("ce_jurisdiction", None)),
    ("CloudEvents of another version", "malformed_header", _header("ce_specversion", b"0.3")),
    ("a hundred headers", "malformed_header", _and(*((f"x-{number}", b"") for number in range(100)))),
    ("ce_subject twice", "duplicate_header", _and(("ce_subject", b"again"))),
    ("ce_time in 2100", "time_ahead", _header("ce_time", b"2100-01-01T00:00:00.000Z")),
]

_NEWER = _header("ce_recordversion", b"9")
_FACTS: list[tuple[str, str, Break]] = [
    ("a fact that nobody filed", "not_a_fact", _without(FACT_HEADER)),
    ("a fact without headers", "not_a_fact", lambda wire: replace(wire, headers=())),
    ("a null fact", "not_a_fact", _value(lambda v: None)),
    ("a fact without key", "not_a_fact", _key(None)),
    ("a fact under no join", "not_a_fact", _key(b"#timers")),
    ("a fact under a key of 100,000 bytes", "not_a_fact", _key(b"person-benefit|" + b"k" * 100_000)),
    ("a filing that is none", "malformed_fact", _header(FACT_HEADER, b"present;here")),
    ("a fact without envelope", "missing_header", _without("ce_id")),
    ("a fact that is no Avro", "wrong_magic", _both(_NEWER, _value(lambda v: b"\x09" + v[1:]))),
    ("999,000 bytes of fact", "trailing_bytes", _both(_NEWER, _value(_padded))),
    ("a fact of nobody's schema", "unknown_schema", _both(_NEWER, _value(lambda v: NOBODY_S_SCHEMA))),
    ("a tick that tells no time", "malformed_tick", _control(TICK_KEY, b'{"now_ms": "soon"}')),
    ("a tick of 2100", "tick_ahead", _control(TICK_KEY, b'{"now_ms": 4102444800000}')),
    ("a null tick", "malformed_tick", _control(TICK_KEY, None)),
    (
        "an activation of nonsense",
        "wrong_magic",
        _control(ACTIVATION_KEY, b"rule!", (SEQUENCE_HEADER, b"99")),
    ),
    (
        "an activation of nobody's schema",
        "unknown_schema",
        _control(ACTIVATION_KEY, NOBODY_S_SCHEMA, (SEQUENCE_HEADER, b"99")),
    ),
    ("a null activation", "missing_header", _control(ACTIVATION_KEY, None)),
]

_STATEMENTS: list[tuple[str, str, str, Break]] = [
    ("an alert of nonsense", "malformed_header", "missing_header", _control(b"x", b"nonsense")),
    ("an alert without anything", "malformed_header", "null_key", lambda w: replace(w, key=None, headers=())),
    ("an alert that no judge said", "malformed_header", "wrong_type", _both(
        _without(SAID_HEADER), _header("ce_type", _OTHER_TOPIC)
    )),
    # Of another id: of one that it has said itself the judge reads only what is beyond that.
    ("an alert cut short", "undecodable_avro", "undecodable_avro", _both(_key(_OTHER_ID), _value(lambda v: v[:-1]))),
    ("an alert of nobody's schema", "unknown_schema", "unknown_schema", _both(
        _key(_OTHER_ID), _value(lambda v: NOBODY_S_SCHEMA)
    )),
]  # fmt: skip
