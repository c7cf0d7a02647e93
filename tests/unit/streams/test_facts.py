"""The filing header says where a fact comes from and survives being written and read."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.facts import (
    FACT_HEADER,
    SEQUENCE_HEADER,
    Filing,
    Headers,
    Presence,
    fact_key,
    sequence_of,
    split_filing,
)
from streams.kernel import Source
from xiezhi.envelope import INSTANT_MS_MAX
from xiezhi.errors import BadRecordError

FILING = Filing(Presence.PRESENT, Source("finance.payment.v1", 3, 77, 1_700_000_000_000), "ab" * 32, 5)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(
    st.sampled_from(Presence),
    st.integers(0, 2**31 - 1),
    st.integers(0, 2**63 - 1),
    st.integers(-(2**40), 2**50),
    st.integers(0, INSTANT_MS_MAX),
)
def test_a_filing_reads_back_as_it_was_written(
    presence: Presence, partition: int, offset: int, ingested_ms: int, routed_ms: int
) -> None:
    filing = Filing(presence, Source("civil.death.v1", partition, offset, ingested_ms), "0" * 64, routed_ms)
    assert Filing.from_bytes(filing.to_bytes()) == filing


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"present",
        b";;;;;;",
        FILING.to_bytes() + b";more",
        FILING._replace(routed_ms=-1).to_bytes(),
        FILING._replace(routed_ms=INSTANT_MS_MAX + 1).to_bytes(),
        FILING.to_bytes().replace(b"present", b"deleted"),
        FILING.to_bytes().replace(b"77", b"seventy"),
        FILING.to_bytes().replace(b"77", b"9" * 20),
        FILING.to_bytes().replace(b";3;", b";-1;"),
        b"\xff" + FILING.to_bytes(),
    ],
)
def test_a_header_that_is_not_a_filing_is_a_bad_record(raw: bytes) -> None:
    with pytest.raises(BadRecordError) as caught:
        Filing.from_bytes(raw)
    assert caught.value.reason == "malformed_fact"


def test_the_router_s_own_header_counts_and_not_one_that_the_record_came_with() -> None:
    brought: Headers = [(FACT_HEADER, b"forged"), ("ce_id", b"1")]
    assert split_filing([*brought, (FACT_HEADER, FILING.to_bytes())]) == (FILING.to_bytes(), brought)
    assert split_filing(brought) == (None, brought)
    assert split_filing(()) == (None, ())


def test_a_fact_is_keyed_by_its_join_and_the_key_within_it() -> None:
    assert fact_key("contract", "K-1") == "contract|K-1"


def test_an_activation_tells_its_place_among_all_activations() -> None:
    assert sequence_of([("ce_id", b"x"), (SEQUENCE_HEADER, b"12")]) == 12


@pytest.mark.parametrize("value", [None, b"", b"-1", b"x", "²".encode()])
def test_an_activation_without_its_place_is_a_bad_record(value: bytes | None) -> None:
    with pytest.raises(BadRecordError, match=SEQUENCE_HEADER):
        sequence_of([(SEQUENCE_HEADER, value)])
    with pytest.raises(BadRecordError, match=SEQUENCE_HEADER):
        sequence_of([])
