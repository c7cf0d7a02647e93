"""How far groups are behind when the last offsets of a partition hold no record."""

from __future__ import annotations

from xiezhi.lag import STALLED_LOOKS, Lags, PartitionLag

GROUP, TOPIC = "group", "topic"


class Told(Lags):
    """The broker's answers as a test sets them; nothing is asked over the network."""

    def __init__(self, *, empty: bool) -> None:
        super().__init__("127.0.0.1:1", {GROUP: [TOPIC]})
        self.committed, self.end, self.empty, self.probes = 0, 0, empty, 0

    def _ends(self) -> dict[tuple[str, int], int]:
        return {(TOPIC, 0): self.end}

    def _committed(self, group: str) -> dict[tuple[str, int], int]:
        return {(TOPIC, 0): self.committed}

    def _holds_no_record(self, lag: PartitionLag) -> bool:
        self.probes += 1
        return self.empty

    def behind(self, looks: int) -> list[int]:
        return [self.read()[0].records for _ in range(looks)]


def test_markers_of_transactions_behind_the_last_record_are_no_backlog() -> None:
    lags = Told(empty=True)
    lags.committed, lags.end = 7, 9
    assert lags.behind(STALLED_LOOKS + 2) == [2] * (STALLED_LOOKS - 1) + [0] * 3
    assert lags.probes == 1
    lags.end = 12
    assert lags.behind(1) == [5]


def test_a_backlog_that_does_not_shrink_is_one_and_is_looked_at_ever_less_often() -> None:
    lags = Told(empty=False)
    lags.end = 9
    assert set(lags.behind(256)) == {9}
    assert lags.probes == 7


def test_a_backlog_that_shrinks_is_not_looked_at() -> None:
    lags = Told(empty=True)
    lags.end = 50
    for lags.committed in range(50):
        assert lags.behind(1) == [50 - lags.committed]
    assert lags.probes == 0
