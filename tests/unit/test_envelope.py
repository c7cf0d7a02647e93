"""The envelope: the same statement has the same id, and hostile headers have one kind of end."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xiezhi.envelope import (
    HEADERS_MAX,
    TEXT_BYTES_MAX,
    TRACESTATE_BYTES_MAX,
    VERSION_MAX,
    Envelope,
    format_instant,
)
from xiezhi.errors import BadRecordError, RecordRefusedError

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
MIN_MS, MAX_MS = -62_135_596_800_000, 253_402_300_799_999

text = st.text(
    st.characters(codec="utf-8", min_codepoint=0x20, exclude_characters="|"), min_size=1, max_size=200
)
envelopes = st.builds(
    Envelope.create,
    source=text,
    type=text,
    subject=text,
    occurred_ms=st.integers(MIN_MS, MAX_MS),
    version=st.integers(0, VERSION_MAX),
    jurisdiction=st.text("0123456789", min_size=12, max_size=12),
    traceparent=st.sampled_from(["", TRACEPARENT]),
    tracestate=st.just(""),
)


def create(**changes: Any) -> Envelope:
    fields: dict[str, Any] = {
        "source": "urn:xiezhi:finance",
        "type": "finance.payment.v1",
        "subject": "pay-2026-000001",
        "occurred_ms": 1_772_355_600_123,
        "version": 3,
        "jurisdiction": "110000000000",
        "traceparent": TRACEPARENT,
    }
    return Envelope.create(**fields | changes)


def headers(**changes: bytes | None) -> list[tuple[str, bytes | None]]:
    """Good headers but for the changes; "-" in a header's name is written "_" unless it is the envelope's own."""
    good: dict[str, bytes | None] = dict(create().to_headers())
    return list(
        (good | {name.replace("content_type", "content-type"): v for name, v in changes.items()}).items()
    )


@given(envelopes)
def test_what_is_written_is_read_back(envelope: Envelope) -> None:
    assert Envelope.from_headers(envelope.to_headers()) == envelope


def test_headers_follow_cloudevents_in_binary_mode() -> None:
    assert create(tracestate="a=1").to_headers() == [
        ("ce_specversion", b"1.0"),
        ("ce_id", create().event_id.encode()),
        ("ce_source", b"urn:xiezhi:finance"),
        ("ce_type", b"finance.payment.v1"),
        ("ce_time", b"2026-03-01T09:00:00.123Z"),
        ("ce_subject", b"pay-2026-000001"),
        ("ce_recordversion", b"3"),
        ("ce_jurisdiction", b"110000000000"),
        ("content-type", b"application/avro"),
        ("traceparent", TRACEPARENT.encode()),
        ("tracestate", b"a=1"),
    ]


@given(envelopes)
def test_the_event_id_is_a_uuid_of_version_7_with_the_time_it_happened(envelope: Envelope) -> None:
    event_id = uuid.UUID(envelope.event_id)
    assert (event_id.version, event_id.variant) == (7, uuid.RFC_4122)
    assert event_id.int >> 80 == max(envelope.occurred_ms, 0)


def test_the_event_id_never_changes_between_releases() -> None:
    assert create().event_id == "019ca8a0-3efb-7354-81e1-2d85de11d3a8"


@pytest.mark.parametrize(
    "change", [{"source": "urn:b"}, {"type": "a.b.v1"}, {"subject": "b"}, {"version": 4}, {"occurred_ms": 0}]
)
def test_another_statement_has_another_event_id(change: dict[str, Any]) -> None:
    assert create(**change).event_id != create().event_id


def test_neither_trace_nor_jurisdiction_is_part_of_the_event_id() -> None:
    assert create(traceparent="", jurisdiction="330000000000").event_id == create().event_id


def test_parts_of_the_event_id_do_not_run_into_each_other() -> None:
    assert create(type="a", subject="bc").event_id != create(type="ab", subject="c").event_id


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"source": ""}, "source"),
        ({"source": "urn:a\n"}, "source"),
        ({"subject": ""}, "record_id"),
        ({"subject": "a|b"}, "record_id"),
        ({"subject": "a\x00b"}, "record_id"),
        ({"subject": "\ud800"}, "record_id"),
        ({"subject": "x" * (TEXT_BYTES_MAX + 1)}, "record_id"),
        ({"occurred_ms": MAX_MS + 1}, "occurred_at"),
        ({"occurred_ms": MIN_MS - 1}, "occurred_at"),
        ({"version": -1}, "version"),
        ({"version": VERSION_MAX + 1}, "version"),
        ({"jurisdiction": "11000000000"}, "jurisdiction"),
        ({"jurisdiction": "11000000000a"}, "jurisdiction"),
        ({"jurisdiction": "１１００００００００００"}, "jurisdiction"),
    ],
)
def test_a_publisher_is_told_which_part_is_wrong(change: dict[str, Any], field: str) -> None:
    with pytest.raises(RecordRefusedError) as refused:
        create(**change)
    assert refused.value.field == field


@pytest.mark.parametrize(
    "name",
    [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "ce_subject",
        "ce_recordversion",
        "ce_jurisdiction",
    ],
)
def test_every_part_of_the_envelope_must_be_there_once(name: str) -> None:
    with pytest.raises(BadRecordError, match=name) as missing:
        Envelope.from_headers([pair for pair in headers() if pair[0] != name])
    assert missing.value.reason == "missing_header"
    with pytest.raises(BadRecordError, match=name) as twice:
        Envelope.from_headers([*headers(), (name, dict(headers())[name])])
    assert twice.value.reason == "duplicate_header"
    with pytest.raises(BadRecordError, match=name) as null:
        Envelope.from_headers(headers(**{name: None}))
    assert null.value.reason == "malformed_header"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ce_specversion", b"0.3"),
        ("ce_id", b"1"),
        ("ce_id", b"019ca89a-9f3b-4d3c-9a4c-6d1ae1d2a3b4"),  # version 4
        ("ce_id", b"019CA89A-9F3B-7D3C-9A4C-6D1AE1D2A3B4"),
        ("ce_id", b"019ca89a09f3b-7d3c-9a4c-6d1ae1d2a3b-"),
        ("ce_id", b"019ca89a-9f3b-7d3c-9a4c-6d1ae1d2a3\xff\xff"),
        ("ce_source", b""),
        ("ce_source", b"\xff"),
        ("ce_source", b"x" * (TEXT_BYTES_MAX + 1)),
        ("ce_type", b"a\nb"),
        ("ce_subject", b"a|b"),
        ("ce_subject", b"\xed\xa0\x80"),  # a surrogate
        ("ce_time", b"2026-03-01T09:00:00Z"),
        ("ce_time", b"2026-03-01T09:00:00.123"),
        ("ce_time", b"2026-03-01T09:00:00.123+"),
        ("ce_time", b"2026-03-01 09:00:00.123Z"),
        ("ce_time", b"2026-02-30T09:00:00.123Z"),
        ("ce_time", b"2026-03-01T24:00:00.123Z"),
        ("ce_time", b"2026-03-01T09:60:00.123Z"),
        ("ce_time", b"2026-03-01T09:00:60.123Z"),
        ("ce_time", b"0000-03-01T09:00:00.123Z"),
        ("ce_time", b"2026-3-01T009:00:00.123Z"),
        ("ce_time", b"2026-03- 1T09:00:00.123Z"),
        ("ce_time", b"2026-W09-1T09:00:00.123Z"),
        ("ce_recordversion", b""),
        ("ce_recordversion", b"-1"),
        ("ce_recordversion", b"+1"),
        ("ce_recordversion", b"01"),
        ("ce_recordversion", b"1.0"),
        ("ce_recordversion", b"1_0"),
        ("ce_recordversion", b" 1"),
        ("ce_recordversion", str(VERSION_MAX + 1).encode()),
        ("ce_recordversion", b"9" * 100_000),
        ("ce_jurisdiction", b"1100"),
        ("ce_jurisdiction", b"11000000000x"),
        ("content_type", b"application/json"),
        ("content_type", None),
    ],
)
def test_a_malformed_header_is_named_and_its_value_is_not_repeated(name: str, value: bytes | None) -> None:
    with pytest.raises(BadRecordError, match=name.replace("_type", ".type")) as error:
        Envelope.from_headers(headers(**{name: value}))
    assert error.value.reason == "malformed_header"
    if value and len(value) > 4:
        assert repr(value)[2:-1] not in error.value.detail


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-" + b"0" * 16 + b"-01",
        b"00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01",
        b"01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-0",
        b"00-0af7651916cd43dd8448eb211c80319cb-7ad6b7169203331-01",
        b"\xff" * 55,
        None,
    ],
)
def test_broken_trace_context_is_dropped_and_costs_no_record(value: bytes | None) -> None:
    read = Envelope.from_headers(headers(traceparent=value))
    assert read == create()._replace(traceparent="")


def test_trace_context_twice_costs_no_record() -> None:
    read = Envelope.from_headers([*headers(), ("traceparent", TRACEPARENT.encode())])
    assert read == create()


@pytest.mark.parametrize("value", [b"a" * (TRACESTATE_BYTES_MAX + 1), b"\xff", b"a\nb", None])
def test_a_broken_tracestate_is_dropped(value: bytes | None) -> None:
    assert Envelope.from_headers(headers(tracestate=value)) == create()


def test_headers_of_others_are_left_alone_up_to_a_bound() -> None:
    room = HEADERS_MAX - len(headers())
    others: list[tuple[str, bytes | None]] = [(f"x{i // 2}", None) for i in range(room)]
    assert Envelope.from_headers([*headers(), *others]) == create()
    with pytest.raises(BadRecordError) as error:
        Envelope.from_headers([*headers(), *others, ("one more", b"")])
    assert error.value.reason == "malformed_header"


@pytest.mark.parametrize("none", [None, [], ()])
def test_a_record_without_headers_lacks_its_envelope(none: Any) -> None:
    with pytest.raises(BadRecordError) as error:
        Envelope.from_headers(none)
    assert error.value.reason == "missing_header"


@given(
    st.lists(
        st.tuples(
            st.sampled_from([name for name, _ in create().to_headers()]) | st.text(max_size=5),
            st.none() | st.binary(max_size=60),
        ),
        max_size=20,
    )
)
def test_any_bytes_give_an_envelope_or_one_kind_of_error(noise: list[tuple[str, bytes | None]]) -> None:
    pairs = dict(headers()) | dict(noise)
    try:
        envelope = Envelope.from_headers(list(pairs.items()))
    except BadRecordError:
        return
    assert Envelope.from_headers(envelope.to_headers()) == envelope


@given(st.integers(MIN_MS, MAX_MS))
def test_instants_are_written_with_milliseconds_in_utc(instant_ms: int) -> None:
    written = format_instant(instant_ms)
    assert len(written) == 24
    since = datetime.fromisoformat(written) - datetime(1970, 1, 1, tzinfo=UTC)
    assert (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000 == instant_ms
