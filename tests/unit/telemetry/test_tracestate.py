"""The send time in `tracestate`: ours in front, the caller's kept, the limits of W3C Trace Context held."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulation.world import ORDER, record
from xiezhi.envelope import INSTANT_MS_MAX, TRACESTATE_BYTES_MAX, Envelope
from xiezhi.telemetry.tracestate import MEMBERS_MAX, sent_ms, with_sent_ms

NOW_MS = 1_776_664_991_990
members = st.lists(
    st.builds(
        "{}={}".format, st.from_regex("[a-z][a-z0-9]{0,10}", fullmatch=True), st.text("abc;:=", max_size=300)
    ),
    max_size=40,
)


@given(st.integers(0, INSTANT_MS_MAX), members)
def test_the_send_time_reads_back_whatever_the_caller_had(instant: int, others: list[str]) -> None:
    state = with_sent_ms(",".join(others), instant)
    assert sent_ms(state) == instant
    assert len(state) <= TRACESTATE_BYTES_MAX
    assert 1 <= len(state.split(",")) <= MEMBERS_MAX
    kept = state.split(",")[1:]
    assert [one for one in others if one in kept] == kept or not others  # in the caller's order


def test_the_callers_members_travel_on_behind_ours() -> None:
    assert (
        with_sent_ms("rojo=00f067aa0ba902b7, congo=t61rcWkgMzE", 5)
        == "xz=5,rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
    )


def test_an_earlier_send_time_is_replaced() -> None:
    assert with_sent_ms("rojo=1,xz=4", 5) == "xz=5,rojo=1"


def test_long_members_go_first_when_room_is_short() -> None:
    long, short = "long=" + "x" * 200, [f"k{number}={'y' * 60}" for number in range(6)]
    assert with_sent_ms(",".join([long, *short]), 5) == ",".join(["xz=5", *short])


def test_a_hop_may_put_its_member_before_ours() -> None:
    assert sent_ms(f"vendor=1, xz={NOW_MS}") == NOW_MS


@pytest.mark.parametrize(
    "state",
    ["", "xz=", "xz=-1", "xz=1.5", "xz=²", "xz=9999999999999999", "xz=999999999999999", "axz=1", "xz=1 2"],
)
def test_what_is_no_instant_is_unknown(state: str) -> None:
    assert sent_ms(state) == 0


def test_without_a_traceparent_the_tracestate_says_nothing() -> None:
    """W3C: what belongs to a broken traceparent is not to be read."""
    headers = dict(record(ORDER, "o1", {}).headers)
    assert Envelope.from_headers(list(headers.items())).tracestate
    broken = {**headers, "traceparent": b"00-broken"}
    assert Envelope.from_headers(list(broken.items())).tracestate == ""
