"""A pause is the longest wait of those that ended then; what is done once more ends no wait."""

from __future__ import annotations

import pytest

from tests.pauses import Wait, first, longest_s

WAITS = [Wait(0, 100), Wait(1_000, 4_500), Wait(2_000, 4_500), Wait(9_000, 9_050)]


@pytest.mark.parametrize(
    ("since_ms", "until_ms", "seconds"),
    [
        (0, 10_000, 3.5),
        (1_500, 10_000, 3.5),  # came before, and was still there
        (0, 2_000, 0.1),  # came, and was not done: the pause of what follows
        (4_500, 9_050, 0.05),
        (5_000, 6_000, 0.0),
    ],
)
def test_the_longest_wait_of_those_that_ended(since_ms: int, until_ms: int, seconds: float) -> None:
    assert longest_s(WAITS, since_ms, until_ms) == seconds


def test_a_second_copy_ends_no_wait_whichever_is_read_first() -> None:
    found = [(("t", 0, 1), Wait(0, 900)), (("t", 0, 1), Wait(0, 100)), (("t", 0, 2), Wait(0, 50))]
    assert sorted(first(found)) == sorted(first(found[::-1])) == [Wait(0, 50), Wait(0, 100)]
