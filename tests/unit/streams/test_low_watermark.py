"""Ticks say up to when everything is judged, never what a clock shows."""

from __future__ import annotations

from streams.clock import LowWatermark
from xiezhi.lag import PartitionLag


class LagsOf:
    """Lags as a test sets them: one group, one partition."""

    def __init__(self) -> None:
        self.committed, self.end = 0, 0

    def read(self) -> tuple[PartitionLag, ...]:
        return (PartitionLag("judge", "facts", 0, self.committed, self.end),)


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now_ms = 1_000

    def __call__(self) -> int:
        return self.now_ms


def watermark() -> tuple[LowWatermark, LagsOf, Hand]:
    lags, hand = LagsOf(), Hand()
    return LowWatermark(lags, hand), lags, hand  # type: ignore[arg-type] # only `read` is used


def test_before_the_first_snapshot_is_reached_there_is_no_time() -> None:
    mark, lags, _ = watermark()
    lags.end = 5
    assert mark.read() == 0


def test_a_quiet_bus_is_judged_up_to_the_look_before() -> None:
    mark, _, hand = watermark()
    mark.read()
    hand.now_ms = 2_000
    assert mark.read() == 1_000
    hand.now_ms = 3_000
    assert mark.read() == 2_000


def test_time_stands_still_while_a_record_of_the_snapshot_is_on_its_way() -> None:
    mark, lags, hand = watermark()
    mark.read()
    hand.now_ms, lags.end = 2_000, 7
    assert mark.read() == 1_000
    for hand.now_ms in (3_000, 4_000, 5_000):
        lags.committed = 6
        assert mark.read() == 1_000
    lags.committed = 7
    assert mark.read() == 2_000


def test_records_after_the_snapshot_do_not_hold_it_back() -> None:
    mark, lags, hand = watermark()
    mark.read()
    hand.now_ms, lags.end = 2_000, 7
    mark.read()
    hand.now_ms, lags.committed, lags.end = 3_000, 7, 900
    assert mark.read() == 2_000


def test_a_partition_that_is_no_longer_told_of_holds_time() -> None:
    mark, lags, hand = watermark()
    mark.read()
    lags.read = tuple  # type: ignore[method-assign] # as after a broker that forgot a topic
    hand.now_ms = 2_000
    assert mark.read() == 0
