"""The crash model finds the oracle's answer for every seed, and notices each protection that is taken out."""

from __future__ import annotations

import pytest

from tests.faults.model.model import explore
from tests.faults.model.scenario import FOLDED
from tests.faults.model.weakened import NOTICED_IN_FOLDS, NOTICED_WITHOUT_FAULTS, WEAKENED

SEEDS = 300
CHUNK = 50
#: A protection taken out shows within so many seeds; `make model` explores far more with all of them in.
SEEDS_TO_NOTICE = 400


@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_whatever_happens_the_answer_is_the_oracles(first: int) -> None:
    wrong = {seed: found[0] for seed in range(first, first + CHUNK) if (found := explore(seed))}
    assert wrong == {}, "repeat one: python -m tests.faults.model --start SEED --seeds 1"


@pytest.mark.parametrize("protection", NOTICED_WITHOUT_FAULTS)
def test_a_protection_taken_out_is_noticed(protection: str) -> None:
    parts = WEAKENED[protection]
    assert any(explore(seed, parts) for seed in range(SEEDS_TO_NOTICE))


@pytest.mark.parametrize("protection", NOTICED_IN_FOLDS)
def test_a_protection_taken_out_of_folds_is_noticed(protection: str) -> None:
    parts = WEAKENED[protection]

    def notices(seed: int) -> bool:
        try:
            return bool(explore(seed, parts, densities=[FOLDED]))
        except ValueError:
            return True  # taken out is what was never put in: the judge stops

    assert any(map(notices, range(SEEDS_TO_NOTICE)))
