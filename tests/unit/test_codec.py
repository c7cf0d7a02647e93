"""The codec: exact in both directions, and hostile bytes cost no more than their length."""

from __future__ import annotations

import json
import struct
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xiezhi.codec import Codec
from xiezhi.errors import (
    BadRecordError,
    ConfigurationError,
    RecordRefusedError,
    RegistryUnavailableError,
    UnknownSchemaError,
)
from xiezhi.registry import InMemoryRegistry, RegisteredSchema

SUBJECT, TOPIC = "test.payment.v1-value", "test.payment.v1"
SCHEMA = {
    "type": "record",
    "name": "Payment",
    "namespace": "xiezhi.test",
    "fields": [
        {"name": "record_id", "type": "string"},
        {"name": "amount_minor", "type": "long"},
        {"name": "paid_at", "type": {"type": "long", "logicalType": "timestamp-millis"}},
        {"name": "day", "type": ["null", {"type": "int", "logicalType": "date"}], "default": None},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["payment", "refund"]}},
        {"name": "suppliers", "type": {"type": "array", "items": "string"}},
        {"name": "labels", "type": {"type": "map", "values": "string"}, "default": {}},
    ],
}
VALUE: dict[str, Any] = {
    "record_id": "合同-1",
    "amount_minor": -(2**62),
    "paid_at": 1_772_355_600_123,
    "day": 20_513,
    "kind": "refund",
    "suppliers": ["a", "b"],
    "labels": {"x": "y"},
}


def registered(schema: Any, subject: str = SUBJECT) -> tuple[Codec, int]:
    registry = InMemoryRegistry()
    schema_id = registry.register(subject, json.dumps(schema))
    return Codec(registry), schema_id


def record(*fields: dict[str, Any]) -> dict[str, Any]:
    return {"type": "record", "name": "R", "namespace": "t", "fields": list(fields)}


def frame(schema_id: int, body: bytes) -> bytes:
    return struct.pack(">BI", 0, schema_id) + body


def varint(number: int) -> bytes:
    rest, out = (number << 1) ^ (number >> 63), bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes([*out, rest])


def test_a_value_comes_back_exactly_with_instants_and_days_as_integers() -> None:
    codec, schema_id = registered(SCHEMA)
    data = codec.encode(SUBJECT, VALUE)
    assert data[:5] == frame(schema_id, b"")
    assert codec.decode(data) == VALUE
    assert codec.decode_as(TOPIC, data) == VALUE
    assert codec.schema_id(data) == schema_id


def test_fields_with_a_default_may_be_left_out() -> None:
    codec, _ = registered(SCHEMA)
    short = {name: part for name, part in VALUE.items() if name not in ("day", "labels")}
    assert codec.decode(codec.encode(SUBJECT, short)) == {**VALUE, "day": None, "labels": {}}


@pytest.mark.parametrize(
    "change",
    [
        {"amount_minor": None},
        {"amount_minor": "1"},
        {"amount_minor": 2**63},
        {"kind": "gift"},
        {"suppliers": None},
        {"record_id": "\ud800"},
        {"surprise": 1},
    ],
)
def test_a_value_that_does_not_fit_the_registered_schema_is_refused(change: dict[str, Any]) -> None:
    codec, _ = registered(SCHEMA)
    with pytest.raises(RecordRefusedError, match=r"xiezhi\.test\.Payment"):
        codec.encode(SUBJECT, VALUE | change)


def test_a_subject_that_is_not_registered_says_what_to_do() -> None:
    codec = Codec(InMemoryRegistry())
    with pytest.raises(ConfigurationError, match="contracts apply"):
        codec.encode(SUBJECT, VALUE)


def test_bytes_written_with_an_older_schema_are_read_with_it() -> None:
    registry = InMemoryRegistry()
    registry.register(SUBJECT, json.dumps(SCHEMA))
    old = Codec(registry).encode(SUBJECT, VALUE)
    newer = {**SCHEMA, "fields": [*SCHEMA["fields"], {"name": "n", "type": "long", "default": 0}]}
    registry.register(SUBJECT, json.dumps(newer))
    codec = Codec(registry)
    assert codec.decode_as(TOPIC, old) == VALUE
    assert codec.decode_as(TOPIC, codec.encode(SUBJECT, VALUE | {"n": 1})) == VALUE | {"n": 1}


def test_a_record_of_another_contract_is_the_wrong_type() -> None:
    codec, schema_id = registered(SCHEMA)
    other = codec._registry.register("other-value", json.dumps(record({"name": "a", "type": "long"})))
    assert other != schema_id
    with pytest.raises(BadRecordError) as error:
        codec.decode_as(TOPIC, frame(other, b"\x02"))
    assert error.value.reason == "wrong_type"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "truncated_frame"),
        (b"\x00\x00\x00", "truncated_frame"),
        (b"\x01\x00\x00\x00\x01rest", "wrong_magic"),
        (b'{"record_id"', "wrong_magic"),
    ],
)
def test_what_is_no_frame_is_a_bad_record(data: bytes, reason: str) -> None:
    codec, _ = registered(SCHEMA)
    for read in (codec.decode, lambda data: codec.decode_as(TOPIC, data), codec.schema_id):
        with pytest.raises(BadRecordError) as error:
            read(data)
        assert error.value.reason == reason


def test_every_truncation_and_every_appended_byte_is_noticed() -> None:
    codec, _ = registered(SCHEMA)
    whole = codec.encode(SUBJECT, VALUE)
    for end in range(5, len(whole)):
        with pytest.raises(BadRecordError) as error:
            codec.decode(whole[:end])
        assert error.value.reason == "undecodable_avro"
    with pytest.raises(BadRecordError) as error:
        codec.decode(whole + b"\x00")
    assert error.value.reason == "trailing_bytes"


def test_an_unknown_schema_id_is_the_registrys_answer() -> None:
    codec, _ = registered(SCHEMA)
    for schema_id in (7, 2**32 - 1):
        with pytest.raises(UnknownSchemaError):
            codec.decode(frame(schema_id, b"x"))


class UnreachableRegistry(InMemoryRegistry):
    """Away until told otherwise; counts what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.away, self.asked = True, 0

    def schema(self, schema_id: int) -> str:
        self.asked += 1
        if self.away:
            raise RegistryUnavailableError("away")
        return super().schema(schema_id)

    def latest(self, subject: str) -> RegisteredSchema:
        self.asked += 1
        return super().latest(subject)


def test_what_was_prepared_needs_no_registry_any_more() -> None:
    registry = UnreachableRegistry()
    registry.register(SUBJECT, json.dumps(SCHEMA))
    registry.away = False
    codec = Codec(registry)
    codec.prepare(SUBJECT)
    registry.away = True
    assert codec.decode_as(TOPIC, codec.encode(SUBJECT, VALUE)) == VALUE


def test_a_registry_that_is_away_is_asked_again_and_one_that_answered_never() -> None:
    registry = UnreachableRegistry()
    schema_id = registry.register(SUBJECT, json.dumps(SCHEMA))
    data = Codec(registry).encode(SUBJECT, VALUE)
    codec, registry.asked = Codec(registry), 0
    for _ in range(2):
        with pytest.raises(RegistryUnavailableError):
            codec.decode(data)
    registry.away = False
    for _ in range(3):
        assert codec.decode_as(TOPIC, data) == VALUE
        codec.encode(SUBJECT, VALUE)
    assert registry.asked == 2 + 1 + 1  # away twice, the schema, the subject's latest
    assert codec.schema_id(data) == schema_id


@pytest.mark.parametrize(
    "body",
    [
        varint(2**60) + b"abc",
        varint(-1) + b"abc",
        varint(-(2**62)) + b"abc",
        varint(2) + b"\xff\xfe",
        b"\xff" * 200_000,
    ],
    ids=["huge", "negative", "very negative", "not UTF-8", "endless number"],
)
def test_hostile_lengths_of_text_end_at_once(body: bytes) -> None:
    codec, schema_id = registered(record({"name": "a", "type": "string"}))
    with pytest.raises(BadRecordError) as error:
        codec.decode(frame(schema_id, body))
    assert error.value.reason == "undecodable_avro"


@pytest.mark.parametrize("items", ["string", "long", {"type": "map", "values": "null"}, ["null", "long"]])
def test_hostile_lengths_of_lists_cost_no_more_than_the_frame(items: Any) -> None:
    codec, schema_id = registered(record({"name": "a", "type": {"type": "array", "items": items}}))
    for count in (2**60, -(2**60), -(2**63)):
        started = time.monotonic()
        with pytest.raises(BadRecordError):
            codec.decode(frame(schema_id, varint(count) + b"\x00" * 1000))
        assert time.monotonic() - started < 1


RECURSIVE = record({"name": "next", "type": ["null", "R"]})
NOTHING = {"type": "record", "name": "Nothing", "fields": []}


@pytest.mark.parametrize(
    "schema",
    [
        RECURSIVE,
        record({"name": "a", "type": {"type": "map", "values": {"type": "array", "items": "t.R"}}}),
        record({"name": "a", "type": {"type": "array", "items": "null"}}),
        record({"name": "a", "type": {"type": "array", "items": NOTHING}}),
        record(
            {"name": "a", "type": NOTHING}, {"name": "b", "type": {"type": "array", "items": "t.Nothing"}}
        ),
        record({"name": "a", "type": {"type": "array", "items": {"type": "fixed", "name": "F", "size": 0}}}),
    ],
)
def test_a_schema_that_lets_few_bytes_hang_or_crash_a_reader_is_not_read(schema: Any) -> None:
    codec, schema_id = registered(schema)
    for _ in range(2):  # the verdict is kept
        with pytest.raises(BadRecordError) as error:
            codec.decode(frame(schema_id, b"\x02" * 500_000))
        assert error.value.reason == "undecodable_avro"
    with pytest.raises(ConfigurationError):
        codec.encode(SUBJECT, {})


class TextRegistry(InMemoryRegistry):
    """Gives out any text as a schema, as a registry with other schema languages does."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def schema(self, schema_id: int) -> str:
        return self.text


@pytest.mark.parametrize(
    "text",
    [
        "",
        'syntax = "proto3";',
        '{"$schema": "http://json-schema.org/draft-07/schema#"}',
        '"string"',
        '["null", "string"]',
        '{"type": "record"}',
        '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "Elsewhere"}]}',
        "[" * 100_000,
    ],
)
def test_bytes_that_name_something_else_than_a_record_schema_are_bad(text: str) -> None:
    with pytest.raises(BadRecordError) as error:
        Codec(TextRegistry(text)).decode(frame(1, b"\x00"))
    assert error.value.reason == "undecodable_avro"


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("kind", ["double", ["null", "double"], {"type": "array", "items": "double"}])
def test_numbers_that_are_not_finite_are_bad(number: float, kind: Any) -> None:
    codec, schema_id = registered(record({"name": "a", "type": kind}))
    double = struct.pack("<d", number)
    body = {"str": double, "list": b"\x02" + double, "dict": b"\x02" + double + b"\x00"}[type(kind).__name__]
    with pytest.raises(BadRecordError, match="finite"):
        codec.decode(frame(schema_id, body))


@settings(max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 60))
def test_any_bytes_give_a_value_or_one_kind_of_error(noise: bytes, at: int) -> None:
    codec, _ = registered(SCHEMA)
    whole = codec.encode(SUBJECT, VALUE)
    hostile = whole[: 5 + at] + noise + whole[5 + at + len(noise) :]
    try:
        value = codec.decode(hostile)
    except BadRecordError:
        return
    assert isinstance(value, dict)
