"""The crash model finds the oracle's answer for every seed, and notices each protection that is taken out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.faults.model.model import Faults, explore
from tests.faults.model.scenario import AWAITED, BROAD, FOLDED, HOT, MANY, Density
from tests.faults.model.weakened import NOTICED_IN_FOLDS, WEAKENED

SEEDS = 300
CHUNK = 50
#: A protection taken out of folds shows within so many seeds.
SEEDS_TO_NOTICE = 400


@dataclass(frozen=True)
class Place:
    """A run that goes wrong without a protection, and well with it."""

    seed: int
    faults: Faults | None = None
    densities: Sequence[Density] = (BROAD, HOT, MANY)


#: Where a protection taken out shows. A changed model moves the places: look for new ones among 2,000 seeds.
MANY_CRASHES = Faults(crash=0.12, zombie=0.02, at_judges=0.95, lost_disk=0.05)
MANY_ZOMBIES = Faults(
    crash=0.03, zombie=0.12, at_judges=1.0, lost_disk=0.2, judges_lag=0.0, pause_steps_max=80
)
NOTICED_AT = {
    "without the memory of what was said": Place(12),
    "without reading what others say": Place(225),
    "without versioned left facts": Place(24),
    "without left facts": Place(0),
    "without silence until the position is reached": Place(2),
    "without judging before ticks": Place(337, MANY_ZOMBIES, (AWAITED,)),
    "without restoring the judge": Place(1),
    "without restoring the router": Place(2),
    "without noting durably what is to be judged": Place(424, MANY_CRASHES, (HOT,)),
    "without taking back": Place(0),
    "without waking": Place(0),
    "without withdrawals": Place(0),
    "without versions": Place(0),
    "without taking out of a fold": Place(66),
}
#: Another protection stands behind it, so that no run is known to end otherwise. Who spoke last about a key commits no
#: offset before all that it said at that position is on the log. So whoever restores beyond the position knows all of
#: these statements and answers each beyond its own position. What stays to be said without one is what the log lost;
#: that it gets the position that it had is held by `tests/unit/streams/test_judge.py`.
BACKED_UP = {"without counting what was said as read"}


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_happens_the_answer_is_the_oracles(first: int) -> None:
    wrong = {seed: found[0] for seed in range(first, first + CHUNK) if (found := explore(seed))}
    assert wrong == {}, "repeat one: python -m tests.faults.model --start SEED --seeds 1"


@pytest.mark.parametrize("protection", NOTICED_AT)
def test_a_protection_taken_out_is_noticed_and_it_alone_is_the_reason(protection: str) -> None:
    place = NOTICED_AT[protection]
    assert explore(place.seed, WEAKENED[protection], place.faults, place.densities)
    assert explore(place.seed, None, place.faults, place.densities) == []


def test_every_protection_has_a_place_or_one_behind_it() -> None:
    assert {*NOTICED_AT, *NOTICED_IN_FOLDS, *BACKED_UP} == set(WEAKENED)


@pytest.mark.parametrize("protection", NOTICED_IN_FOLDS)
def test_a_protection_taken_out_of_folds_is_noticed(protection: str) -> None:
    parts = WEAKENED[protection]

    def notices(seed: int) -> bool:
        try:
            return bool(explore(seed, parts, densities=[FOLDED]))
        except ValueError:
            return True  # taken out is what was never put in: the judge stops

    assert any(map(notices, range(SEEDS_TO_NOTICE)))
