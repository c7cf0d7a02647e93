"""A consumer group: its members, its generation, and who owns which partition.

A rebalance is eager, as Faust's are: every member that answers gives up all its partitions, then gets its share. Who
does not answer keeps its own until it notices, and is a zombie for so long.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from tests.simulation.broker import Place
from tests.simulation.processes import Machine, Process, Site

#: How often a partition that moves takes its folder along (a volume that is attached elsewhere).
HANDED_OVER = 0.3
RESTART_MS_MAX = 300
#: How long a process that was paused goes on before it learns that it is out of its group.
UNNOTICED_MS_MAX = 400
#: Of the members of a group that is to end, so many do not at once, and for how long they are not heard of.
LINGERING, LINGERING_MS_MAX = 0.4, 3_000

StartProcess = Callable[[Machine], Process]


class Group:
    """All processes of one stage."""

    def __init__(
        self, site: Site, name: str, places: Sequence[Place], size: int, start: StartProcess
    ) -> None:
        """`size` processes work on `places`, on as many machines, with one to spare for each of two zombies."""
        self.site, self.name, self.places, self.size = site, name, places, size
        self._start = start
        self._full_size = size
        self._machines = [Machine(f"m{number}") for number in range(size + 2)]
        self.members: list[Process] = []
        self.zombies: list[Process] = []
        self._rebalance_is_due = False
        self._starting = 0

    # -- members -------------------------------------------------------------------------------------------------

    def start_all(self) -> None:
        while len(self.members) + self._starting < self.size:
            self._start_one()

    def _start_one(self) -> None:
        """Mostly on the same machine again, which is the first free one."""
        free = [machine for machine in self._machines if not machine.is_in_use]
        machine = self.site.chance.choice((free[0], *free))
        process = self._start(machine)
        process.note("starts")
        self.members.append(process)
        self._rebalance_soon(10)

    def start_later(self) -> None:
        self._starting += 1

        def start() -> None:
            self._starting -= 1
            if len(self.members) < self.size:
                self._start_one()

        self.site.timeline.after(self.site.chance.random() * RESTART_MS_MAX, start)

    def retire(self, within_ms: float, *, may_linger: bool) -> None:
        """Every member ends within that time and nobody takes its place; some `linger`, as on a machine cut off."""
        self.size = 0
        for member in self.members:
            lingers = may_linger and self.site.chance.random() < LINGERING
            leave = partial(self._leave, member, lingers=lingers)
            self.site.timeline.after(self.site.chance.random() * within_ms, leave)

    def stop(self, *, late_ms_max: float, also_zombies: bool = False) -> None:
        """Every member ends now, and nobody takes its place before `resume`."""
        self.size = 0
        for member in list(self.members):
            self._end(member, late_ms_max)
        for zombie in list(self.zombies) if also_zombies else ():
            self.kill(zombie, late_ms_max)
        self.rebalance()

    def lose_disks(self) -> None:
        for machine in self._machines:
            machine.disks.clear()

    def straggle(self, for_ms: float) -> None:
        """A member of a group that has ended comes up once more, on a machine that nobody thought of."""
        if any(not machine.is_in_use for machine in self._machines):
            self._start_one()
            self.site.timeline.after(for_ms, partial(self._leave, self.members[-1], lingers=False))

    def resume(self) -> None:
        self.size = self._full_size
        self.start_all()

    def _leave(self, member: Process, *, lingers: bool) -> None:
        if member not in self.members:
            return  # killed meanwhile, or cut off before
        if lingers:
            member.note("lingers")
            pause_ms = self.site.chance.random() * LINGERING_MS_MAX
            self._cut_off(member, pause_ms)
            self._notices_after(member, pause_ms)
        else:
            self._end(member, late_ms_max=0.0)
        self.rebalance()

    def _end(self, member: Process, late_ms_max: float) -> None:
        member.note("ends")
        self.members.remove(member)
        member.revoke()
        member.die(late_ms_max=late_ms_max)

    # -- rebalances ----------------------------------------------------------------------------------------------

    def _rebalance_soon(self, within_ms: float) -> None:
        if not self._rebalance_is_due:
            self._rebalance_is_due = True
            self.site.timeline.after(self.site.chance.random() * within_ms, self.rebalance)

    def rebalance(self) -> None:
        """A new generation: everything is given up, then dealt out anew."""
        self._rebalance_is_due = False
        owners = {place: one for one in self.members for place in one.assignments}
        for member in self.members:
            member.revoke()
        self.site.broker.generations[self.name] += 1
        if not self.members:
            return
        self.site.timeline.note(self.name, "rebalances", self.site.broker.generations[self.name])
        shares: dict[int, list[Place]] = {number: [] for number in range(len(self.members))}
        for place in self.places:
            number = self.site.chance.randrange(len(self.members))
            shares[number].append(place)
            self._hand_over(place, owners.get(place), self.members[number])
        for number, places in shares.items():
            self.members[number].assign(self.site.broker.generations[self.name], places)

    def _hand_over(self, place: Place, before: Process | None, after: Process) -> None:
        if before is None or before is after or self.site.chance.random() > HANDED_OVER:
            return
        if place in before.machine.disks:
            after.machine.disks[place] = before.machine.disks.pop(place)

    # -- faults --------------------------------------------------------------------------------------------------

    def kill(self, process: Process, late_ms_max: float) -> None:
        """The supervisor starts another one; the group learns of it when that one joins, or earlier."""
        process.note("is killed")
        process.die(late_ms_max=late_ms_max)
        if process in self.zombies:
            self.zombies.remove(process)
            return
        self.members.remove(process)
        self.start_later()
        if self.members and self.site.chance.random() < 0.5:
            self._rebalance_soon(RESTART_MS_MAX)

    def take_for_dead(self, process: Process, pause_ms: float) -> None:
        """The group hears nothing of a member for too long: another one gets its partitions."""
        if len(self.zombies) > 1 or process not in self.members or not self.size:
            return
        process.note("is cut off")
        self._cut_off(process, pause_ms)
        self._start_one()
        self.rebalance()
        self._notices_after(process, pause_ms)

    def _cut_off(self, process: Process, pause_ms: float) -> None:
        process.work_offline()
        process.pause(pause_ms)
        self.members.remove(process)
        self.zombies.append(process)

    def _notices_after(self, process: Process, pause_ms: float) -> None:
        unnoticed_ms = self.site.chance.random() * UNNOTICED_MS_MAX
        self.site.timeline.after(pause_ms + unnoticed_ms, lambda: self._notices(process))

    def _notices(self, zombie: Process) -> None:
        """What it still has to send is sent, unless it ends; then it joins again, if anybody is missing."""
        if zombie.is_dead:
            return
        self.zombies.remove(zombie)
        if len(self.members) < self.size and self.site.chance.random() < 0.5:
            zombie.note("joins again")
            zombie.revoke()
            self.members.append(zombie)
            self.rebalance()
        else:
            zombie.note("gives up")
            zombie.die(late_ms_max=0 if self.site.chance.random() < 0.5 else RESTART_MS_MAX)
