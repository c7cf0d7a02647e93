"""`xiezhi refile` in virtual time, killed perhaps and run again, up to the switch.

Mirrors `streams.refile_cli`: what is left of an earlier run is thrown away, router and judge of the next generation
file everything that is there and end, the pack is activated, and the switch is made.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streams.pipeline import Outgoing
from tests.simulation.broker import Place
from tests.simulation.generations import LATER_JOINS, Generation
from tests.simulation.groups import Group
from tests.simulation.processes import LATE_MS_MAX, Site
from tests.simulation.scenario import pack
from tests.simulation.timeline import Action
from xiezhi.contracts.naming import ACTIVATION

#: Between two looks at how far it is.
LOOK_MS_MAX = 100
#: Between two activations of the pack.
GAP_MS_MAX = 40
#: How soon a run that is going to be killed is, and how soon after that it is run again.
KILLED_MS_MAX, AGAIN_MS_MAX = 800, 1_500

#: Longer than the clock waits at least between the end of a generation and the take-over.
DEAF_MS = 3_000


@dataclass(frozen=True)
class Plan:
    """When and how a run of the simulation refiles."""

    at_first: float  # of the records, this share is published from the beginning, the rest from the switch on
    begins: float  # when this share of the first ones is published
    changed: str  # what has changed in the code: a key of LATER_JOINS
    killed: str  # in which part of its way the first run is: "filling", "activating" or, not at all, ""
    pack: Sequence[Outgoing]  # the activations of the switch
    deaf_ms: int  # for so long after the switch no judge hears what is said, unless it begins

    @classmethod
    def of(cls, chance: random.Random) -> Plan:
        whole = pack(chance)
        return cls(
            at_first=chance.choice((0.5, 0.8, 1.0)),
            begins=chance.choice((0.0, 0.4, 0.8, 1.1)),
            changed=chance.choice(("nothing", *LATER_JOINS)),
            killed=chance.choice(("", "", "filling", "activating")),
            pack=chance.sample(whole, chance.choice((0, 1, len(whole)))),
            deaf_ms=chance.choice((0, 0, DEAF_MS)),
        )


class Refile:
    """The command from its first run to the switch.

    `open_next` gives the next generation, with nobody at work yet; `switch` makes it the live one.
    """

    def __init__(
        self,
        site: Site,
        plan: Plan,
        open_next: Callable[[], Generation],
        switch: Callable[[Generation], None],
    ) -> None:
        self._site, self._plan, self._open_next, self._switch = site, plan, open_next, switch
        self._killed = plan.killed
        self._run = 0
        self.following: Generation | None = None

    def begin(self) -> None:
        """A run of the command: throw away what is left of the one before, and fill."""
        self._run += 1
        self._note("begins")
        if self.following is None:
            self.following = self._open_next()
        following = self.following
        self._clear(following)
        for group in following.groups:
            group.resume()
        if self._killed == "filling":
            self._later(KILLED_MS_MAX, self._die)
        self._wait(following.routers, lambda: self._wait(following.judges, lambda: self._filled(following)))

    def _clear(self, left: Generation) -> None:
        for group in left.groups:
            group.stop(late_ms_max=0.0, also_zombies=True)
            group.lose_disks()
        self._site.broker.forget(left.facts, [group.name for group in left.groups])

    def _wait(self, group: Group, go_on: Action) -> None:
        """Until everything is passed that is there now."""
        broker = self._site.broker
        ends: Mapping[Place, int] = {place: broker.end(*place) for place in group.places}

        def look() -> None:
            if all(broker.committed_of(group.name, *place) >= end for place, end in ends.items()):
                go_on()
            else:
                self._later(LOOK_MS_MAX, look)

        look()

    def _filled(self, following: Generation) -> None:
        """What filled it ends; what it filled stays."""
        if self._killed == "filling":
            self._killed = ""  # it was quicker
        for group in following.groups:
            group.stop(late_ms_max=0.0)
        self._activate(0)

    def _activate(self, number: int) -> None:
        pack, following = self._plan.pack, self.following
        assert following is not None
        if self._killed == "activating" and number == len(pack):
            self._die()
        elif number < len(pack):
            self._note("activates")
            self._site.broker.append(pack[number])
            self._later(GAP_MS_MAX, lambda: self._activate(number + 1))
        else:
            self._note("switches")
            self._site.deaf_until_ms = self._site.timeline.now_ms + self._plan.deaf_ms
            self._switch(following)

    def _die(self) -> None:
        """And so do router and judge that it runs; another run will come."""
        if not self._killed or self.following is None:
            return
        self._note("is killed")
        self._killed = ""
        self._run += 1
        for group in self.following.groups:
            group.stop(late_ms_max=LATE_MS_MAX)
        self._site.timeline.after(self._site.chance.random() * AGAIN_MS_MAX, self.begin)

    def _later(self, within_ms: float, action: Action) -> None:
        run = self._run

        def act() -> None:
            if run == self._run:
                action()

        self._site.timeline.after(self._site.chance.random() * within_ms, act)

    def _note(self, what: str) -> None:
        self._site.timeline.note("refile", what, ACTIVATION if what == "activates" else self._run)
