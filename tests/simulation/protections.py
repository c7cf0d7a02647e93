"""Every protection that is taken out somewhere, where its absence shows, and the search for such a place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tests.simulation.faults import CALM, DROWSY, JUMPY, RELENTLESS, STORM, Faults
from tests.simulation.parts import Parts
from tests.simulation.scenario import BROAD, FLEETING, FOLDED, HOT, MANY, TIMED, Density
from tests.simulation.simulation import DENSITIES, explore
from tests.simulation.weakened import WEAKENED
from tests.simulation.weakened_around import WEAKENED_AROUND
from tests.simulation.weakened_generations import WEAKENED_GENERATIONS

ALL_WEAKENED: Mapping[str, Parts] = {**WEAKENED, **WEAKENED_AROUND, **WEAKENED_GENERATIONS}
#: Another protection stands behind it, so that no run is known to end otherwise. Who spoke last about a key commits no
#: offset before all that it said at that position is on the log. So whoever restores beyond the position knows all of
#: these statements and answers each beyond its own position. What stays to be said without one is what the log lost;
#: that it gets the position that it had is held by `tests/unit/streams/test_judge.py`.
BACKED_UP = frozenset({"without counting what was said as read"})
#: A protection whose absence shows in none of so many runs is not protected by this suite.
SEEDS_TO_NOTICE = 2_000


@dataclass(frozen=True)
class Place:
    """A run: a seed, and its character where that is not left to the seed."""

    seed: int = 0
    faults: Faults | None = None
    densities: Sequence[Density] = DENSITIES

    def explore(self, parts: Parts | None = None) -> list[str]:
        return explore(self.seed, parts, self.faults, self.densities)


#: Where to look for those that show in few runs of any kind: among runs of one character.
WHERE: Mapping[str, Place] = {
    "without silence until the position is reached": Place(0, CALM, (HOT, MANY)),
    "without counting ticks that were restored": Place(0, DROWSY, (FLEETING,)),
    "without judging before ticks": Place(0, Faults(), (TIMED,)),
    "without the largest tick": Place(0, JUMPY, (TIMED,)),
    "without the order of activations": Place(0, JUMPY, (BROAD,)),
    "without keeping timers": Place(0, STORM, (TIMED,)),
    "without noting durably what is to be judged": Place(0, RELENTLESS, (HOT,)),
    "without being told first what was said": Place(0, CALM, (HOT, MANY)),
    "without waiting for what comes of a record": Place(0, CALM, (BROAD, HOT)),
    "without versions in a fold": Place(0, None, (FOLDED,)),
    "without versioned left facts in a fold": Place(0, None, (FOLDED,)),
    **dict.fromkeys(WEAKENED_GENERATIONS, Place(0, Faults(refile=1.0))),
    "without hearing all that was said before the take-over": Place(0, replace(CALM, refile=1.0)),
}


def first_noticed(protection: str, seeds: int = SEEDS_TO_NOTICE) -> int | None:
    """The first seed that goes wrong without a protection, and well with it."""
    where, parts = WHERE.get(protection, Place()), ALL_WEAKENED[protection]
    places = (replace(where, seed=seed) for seed in range(seeds))
    return next((one.seed for one in places if one.explore(parts) and not one.explore()), None)
