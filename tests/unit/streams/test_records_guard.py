"""The guard admits what keeps its contract, and names a stable reason for everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from streams.kernel import Source, Statement
from streams.records import EMPTY_DIGEST, TEXT_BYTES_MAX, Guard, Withdrawal, digest
from tests.simulation.world import (
    ACCOUNT,
    FUTURE_TOLERANCE_MS,
    GUARD,
    ORDER,
    START_MS,
    guard,
    order,
    record,
)
from xiezhi.contracts.bus import ALERT
from xiezhi.contracts.naming import RELATION
from xiezhi.errors import BadRecordError, RegistryUnavailableError, UnknownSchemaError
from xiezhi.log import RawRecord

GOOD = record(ORDER, "o1", order("a", 5), version=3, offset=9, ingested_ms=START_MS + 7)


def _with_header(raw: RawRecord, name: str, value: bytes | None) -> RawRecord:
    kept = [(header, held) for header, held in raw.headers if header != name]
    return raw._replace(headers=[*kept, (name, value)])


def _without_header(raw: RawRecord, name: str) -> RawRecord:
    return raw._replace(headers=[each for each in raw.headers if each[0] != name])


def test_a_record_becomes_a_statement_with_its_address_and_digest() -> None:
    admitted = GUARD.admit(GOOD)
    assert isinstance(admitted, Statement)
    assert (admitted.record_type, admitted.record_id, admitted.version) == (ORDER, "o1", 3)
    assert admitted.source == Source(ORDER, 0, 9, START_MS + 7)
    assert admitted.value["amount"] == 5
    assert admitted.digest == digest(GOOD.value or b"")
    assert admitted.rank == (3, START_MS, admitted.event_id, admitted.digest)


def test_a_null_value_is_a_withdrawal_as_of_its_version() -> None:
    admitted = GUARD.admit(record(ORDER, "o1", None, version=4))
    assert isinstance(admitted, Withdrawal)
    assert (admitted.record_id, admitted.version, admitted.digest) == ("o1", 4, EMPTY_DIGEST)
    statement = GUARD.admit(GOOD)
    assert admitted.rank > statement.rank


def test_the_same_statement_published_twice_has_the_same_rank() -> None:
    again = GOOD._replace(offset=1000, ingested_ms=START_MS + 9999)
    assert GUARD.admit(again).rank == GUARD.admit(GOOD).rank


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (GOOD._replace(key=None), "null_key"),
        (GOOD._replace(key=b"o2"), "wrong_key"),
        (GOOD._replace(key=b"\xff"), "wrong_key"),
        (GOOD._replace(topic=ACCOUNT), "wrong_type"),
        (GOOD._replace(headers=()), "missing_header"),
        (_without_header(GOOD, "ce_id"), "missing_header"),
        (_with_header(GOOD, "ce_id", b"17"), "malformed_header"),
        (_with_header(GOOD, "ce_id", None), "malformed_header"),
        (_with_header(GOOD, "ce_recordversion", b"-1"), "malformed_header"),
        (_with_header(GOOD, "ce_time", b"2026-13-01T00:00:00.000Z"), "malformed_header"),
        (GOOD._replace(headers=[*GOOD.headers, ("ce_subject", b"o1")]), "duplicate_header"),
        (GOOD._replace(headers=[*GOOD.headers, *[(f"x{n}", b"") for n in range(64)]]), "malformed_header"),
        (GOOD._replace(ingested_ms=START_MS - FUTURE_TOLERANCE_MS - 1), "time_ahead"),
        (GOOD._replace(value=b"{"), "undecodable_avro"),
        (GOOD._replace(value=b'{"record_id": "o2"}'), "wrong_key"),
        (GOOD._replace(value=b"{}"), "wrong_key"),
        (GOOD._replace(value=b""), "undecodable_avro"),
    ],
)
def test_what_breaks_its_contract_is_refused_with_a_reason(raw: RawRecord, reason: str) -> None:
    with pytest.raises(BadRecordError) as caught:
        GUARD.admit(raw)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "truncated_frame"),
        (b"\x00\x00", "truncated_frame"),
        (b"\x01\x00\x00\x00\x01rest", "wrong_magic"),
        (b"\x00\x00\x00\xff\xffrest", "unknown_schema"),
        (b"\x00\x00\x00\x00\x01\x02", "undecodable_avro"),
        (b"\x00\x00\x00\x00\x02", "wrong_type"),  # the relation's schema, on the topic of alerts
    ],
)
def test_avro_that_is_not_the_topic_s_is_refused_with_a_reason(value: bytes, reason: str) -> None:
    raw = record(ALERT.topic, "al", None)
    with pytest.raises(BadRecordError) as caught:
        GUARD.admit(raw._replace(value=value))
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("fields", "admitted"),
    [
        ({"owner": "n" * TEXT_BYTES_MAX}, True),
        ({"owner": "n" * (TEXT_BYTES_MAX + 1)}, False),
        ({"owner": "名" * (TEXT_BYTES_MAX // 3 + 1)}, False),
        ({"owner": [{"n" * (TEXT_BYTES_MAX + 1): 1}]}, False),
        ({"owner": [["n"] * TEXT_BYTES_MAX]}, True),
    ],
)
def test_a_text_that_no_alert_could_quote_is_refused(fields: dict[str, Any], admitted: bool) -> None:
    raw = record(ACCOUNT, "a1", {"account": "a", **fields})
    if admitted:
        GUARD.admit(raw)
        return
    with pytest.raises(BadRecordError) as caught:
        GUARD.admit(raw)
    assert caught.value.reason == "oversized_text"


def test_a_time_ahead_within_the_tolerance_is_admitted() -> None:
    GUARD.admit(GOOD._replace(ingested_ms=START_MS - FUTURE_TOLERANCE_MS))


def test_a_withdrawal_is_held_to_key_and_time_like_any_record() -> None:
    withdrawal = record(ORDER, "o1", None)
    for broken in (
        withdrawal._replace(key=b"o2"),
        withdrawal._replace(ingested_ms=START_MS - FUTURE_TOLERANCE_MS - 1),
    ):
        with pytest.raises(BadRecordError):
            GUARD.admit(broken)


@pytest.mark.parametrize("value", [GOOD.value, None])
def test_a_record_that_is_not_where_its_key_belongs_is_refused(value: bytes | None) -> None:
    for partitions, place in ((1, 0), (2, 1), (3, 1)):
        for partition in range(partitions):
            raw = GOOD._replace(partition=partition, value=value)
            if partition == place:
                guard(partitions).admit(raw)
                continue
            with pytest.raises(BadRecordError) as caught:
                guard(partitions).admit(raw)
            assert caught.value.reason == "wrong_partition"
            assert f"partition {place} of {partitions}" in caught.value.detail


def test_a_relation_may_be_anywhere_since_it_stands_where_its_cause_does() -> None:
    raw = record(RELATION, "r1", None)._replace(partition=7)
    assert isinstance(guard(2).admit(raw), Withdrawal)


def test_a_record_that_breaks_more_than_its_place_is_named_after_its_key() -> None:
    """Where it belongs is not known then."""
    for key, reason in ((None, "null_key"), (b"o2", "wrong_key")):
        with pytest.raises(BadRecordError) as caught:
            guard(2).admit(GOOD._replace(partition=1, key=key))
        assert caught.value.reason == reason


def test_a_registry_that_cannot_be_reached_is_nobody_s_bad_record() -> None:
    guard = Guard(_raising(RegistryUnavailableError("down")), 0, {ORDER: 1})
    with pytest.raises(RegistryUnavailableError):
        guard.admit(GOOD)


def test_a_schema_that_the_registry_denies_is_a_bad_record() -> None:
    guard = Guard(_raising(UnknownSchemaError("404")), 0, {ORDER: 1})
    with pytest.raises(BadRecordError) as caught:
        guard.admit(GOOD)
    assert caught.value.reason == "unknown_schema"


def _raising(error: Exception) -> Callable[[str, bytes], Any]:
    def decode(topic: str, data: bytes) -> Any:
        raise error

    return decode
