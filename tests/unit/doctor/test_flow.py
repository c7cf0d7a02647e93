"""Lag over two looks: how much, since when, and whether it moves."""

from __future__ import annotations

import pytest

from xiezhi.doctor.finding import Severity
from xiezhi.doctor.flow import GroupLag, _lag_findings, group_lags, span
from xiezhi.lag import PartitionLag

NOW_MS = 1_700_000_000_000


def lag(committed: int, end: int, partition: int = 0, group: str = "g") -> PartitionLag:
    return PartitionLag(group, "t", partition, committed, end)


def test_partitions_are_added_up_and_the_oldest_wait_counts() -> None:
    before = [lag(10, 20), lag(0, 5, 1), lag(3, 3, group="h")]
    after = [lag(14, 30), lag(1, 5, 1), lag(3, 3, group="h")]
    since = {("g", "t", 0): NOW_MS - 2_000, ("g", "t", 1): NOW_MS - 90_000}
    assert group_lags(before, after, since, NOW_MS) == [GroupLag("g", 20, 90.0, 5), GroupLag("h", 0, 0.0, 0)]


@pytest.mark.parametrize(
    ("seconds", "moved", "found"),
    [
        (5.0, 0, None),  # between two commits
        (30.0, 0, ("stands_still", Severity.CRITICAL)),
        (30.0, 7, None),  # busy
        (90.0, 7, ("behind", Severity.WARNING)),
        (90.0, 0, ("stands_still", Severity.CRITICAL)),
    ],
)
def test_a_group_that_stands_still_is_worse_than_one_that_is_behind(
    seconds: float, moved: int, found: tuple[str, Severity] | None
) -> None:
    findings = [(one.text, one.severity) for one in _lag_findings([GroupLag("g", 9, seconds, moved)])]
    assert findings == ([found] if found else [])


def test_spans_are_told_in_the_unit_that_fits() -> None:
    assert [span(s) for s in (0.4, 90, 150, 7200, 90_000, 259_200)] == [
        *("0 s", "90 s", "2 min", "2 h", "25 h", "3 d")
    ]
