"""What goes wrong in a run, how often, and to whom."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from tests.simulation.alert_stores import StoreGroup
from tests.simulation.clocks import ClockProcess, MachineClock
from tests.simulation.groups import Group
from tests.simulation.processes import LATE_MS_MAX, Process

JUMPS_MS = (-9_000, -1_000, -200, 300, 2_000, 8_000)


@dataclass(frozen=True)
class Faults:
    """Chances per event, unless it says otherwise."""

    kill: float = 0.02
    cut_off: float = 0.02
    rebalance: float = 0.004
    kill_clock: float = 0.008
    kill_store: float = 0.01
    cut_off_store: float = 0.004
    lose_database: float = 0.002
    jump: float = 0.003
    lost_disk: float = 0.3  # of the stores that are opened
    at_judges: float = 0.6  # of what is killed or cut off
    judges_lag: float = 0.3  # of the runs: they begin when everything was published
    last_rebalance: float = 0.5  # of the runs: one when nothing else goes wrong any more
    pause_ms_max: float = 1_500.0  # how long a zombie was paused, which is why it was taken for dead
    late_ms_max: float = LATE_MS_MAX
    workers_max: int = 3
    is_bold: bool = (
        False  # ticks do not wait for what is on its way: that may bear on when, not on what is said
    )
    refile: float = 0.15  # of the runs
    is_calm: bool = False  # nothing arrives late, nobody works beside another: what is said is said once

    @classmethod
    def of(cls, chance: random.Random) -> Faults:
        """Some runs have everything; others have a character of their own."""
        return chance.choice((cls(), cls(), STEADY, STORM, JUMPY, DROWSY, CALM))


STEADY = Faults(jump=0.0)
#: Who is taken for dead comes back when much has changed, and whoever takes over finds no disk.
DROWSY = Faults(
    kill=0.03,
    cut_off=0.03,
    at_judges=0.95,
    lost_disk=0.8,
    pause_ms_max=6_000.0,
    late_ms_max=6_000.0,
    is_bold=True,
)
#: Clocks jump all the time, and the service that ticks is hardly ever the same.
JUMPY = Faults(jump=0.02, kill_clock=0.03, cut_off=0.04, at_judges=0.95)
#: Judges hardly begin before they are killed, and hardly ever have a disk that is of use.
STORM = Faults(kill=0.08, cut_off=0.02, at_judges=0.9, lost_disk=0.6, kill_clock=0.02)
#: Judges are killed as soon as they begin, and find their disk again.
RELENTLESS = Faults(kill=0.12, cut_off=0.02, at_judges=0.95, lost_disk=0.05)
#: Nothing but kills, with nothing on the wire: what a single worker that is restarted must never do shows.
CALM = Faults(cut_off=0.0, rebalance=0.0, jump=0.0, late_ms_max=0.0, workers_max=1, is_calm=True)


class Targets(NamedTuple):
    """To whom something can happen: of every generation that works, and of the clocks the last."""

    routers: list[Group]
    judges: list[Group]
    clock: list[ClockProcess]
    store: StoreGroup
    clocks: tuple[MachineClock, ...]


class Mischief:
    """Decides before every event whether something goes wrong, and does it."""

    def __init__(self, faults: Faults, chance: random.Random, targets: Targets) -> None:
        self._faults, self._chance, self._targets = faults, chance, targets
        self._last: Group | None = None
        self.has_jumped = False
        what: list[tuple[float, Callable[[], None]]] = [
            (faults.kill, self._kill),
            (faults.cut_off, self.cut_off),
            (faults.rebalance, lambda: self._group().rebalance()),
            (faults.kill_clock, lambda: targets.clock[-1].kill()),
            (faults.kill_store, targets.store.kill),
            (faults.cut_off_store, targets.store.take_for_dead),
            (faults.lose_database, targets.store.lose_database),
            (faults.jump, self._jump),
        ]
        self._chances, self._happens = [one for one, _ in what], [one for _, one in what]
        self._some = sum(self._chances)

    def maybe(self) -> None:
        if self._chance.random() < self._some:
            self._chance.choices(self._happens, self._chances)[0]()

    def cut_off(self, group: Group | None = None) -> None:
        group = group or self._group()
        if group.members:
            group.take_for_dead(
                self._victim(group.members), self._chance.random() * self._faults.pause_ms_max
            )

    def _kill(self) -> None:
        group = self._group()
        if everybody := [*group.members, *group.zombies]:
            group.kill(self._victim(everybody), self._faults.late_ms_max)

    def _jump(self) -> None:
        self.has_jumped = True
        self._chance.choice(self._targets.clocks).mistake_ms = self._chance.choice((0, *JUMPS_MS))

    def _group(self) -> Group:
        """Where something goes wrong, it seldom does only once."""
        if self._last is None or not self._last.size or self._chance.random() < 0.5:
            is_judge = self._chance.random() < self._faults.at_judges
            groups = self._targets.judges if is_judge else self._targets.routers
            self._last = groups[0] if len(groups) == 1 else self._chance.choice(groups)
        return self._last

    def _victim(self, candidates: list[Process]) -> Process:
        return self._chance.choice(candidates)
