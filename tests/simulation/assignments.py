"""One partition of router or judge in one assignment: `streams.stage` and its follower without Faust and Kafka.

Cores and stores are the real ones. What a stage does between two awaits is one event here: open the store, restore a
chunk, recall what was said, take in a batch, follow what others say. What comes out goes through the process's
pipeline, where every record sent and every commit is an event of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from streams.cores import JudgeCore, RouterCore
from streams.pipeline import Outgoing
from streams.stage import Work
from tests.simulation.broker import Place
from xiezhi.contracts.naming import ALERT, DEAD_LETTER, RELATION
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore, Sealed

if TYPE_CHECKING:
    from tests.simulation.processes import Process

Core = RouterCore | JudgeCore
OpenCore = Callable[[str, int, KeyedStore], Core]

OUTPUTS = (ALERT, RELATION)
READS_AGAIN = "reads again"
#: Records of a chunk that is restored, and of what was said before.
CHUNK_RECORDS_MAX = 6
#: How often a batch that was fetched is dropped between a seek and a rebalance, so that the stage must read it itself.
DROPPED = 0.02


@dataclass
class Batch:
    """What `streams.pipeline.Batch` is: waiting for deliveries, then to be committed and acknowledged."""

    assignment: Assignment
    sealed: Sealed
    acknowledges: int | None
    waiting: int


class Assignment:
    """Mirrors `Stage._open`, `Stage._handle` and `Follower` for one partition, from assignment to revocation."""

    def __init__(self, process: Process, place: Place) -> None:
        self.process, self.place = process, place
        self._broker, self._chance = process.site.broker, process.site.chance
        self._topic, self._partition = place
        self._fetched = process.committed(place)  # where the group says to read on
        self._core: Core | None = None
        self._store: KeyedStore
        self._next_offset = self._restore_to = 0
        self._untold: list[str] = []
        self._told_to: int | None = None
        self.is_revoked = False
        self._turn_is_due = self._follow_is_due = self._sweep_is_due = False
        self._broker.listen(*place, self.wake)
        self._hears = [(topic, self._partition) for topic in OUTPUTS] if process.judges else []
        for output in self._hears:
            self._broker.listen(*output, self.wake_follower)

    def revoke(self) -> None:
        """Nothing of it is committed any more; what is on its way is still sent."""
        self.is_revoked = True
        self._broker.hush(*self.place, self.wake)
        for output in self._hears:
            self._broker.hush(*output, self.wake_follower)

    # -- what comes next -----------------------------------------------------------------------------------------

    def wake(self) -> None:
        if not self._turn_is_due and not self.is_revoked and self._has_work():
            self._turn_is_due = True
            self.process.later("fetch", self._turn)
        self.wake_sweep()

    def wake_follower(self) -> None:
        if not self._follow_is_due and self._core is not None and not self.is_revoked:
            self._follow_is_due = True
            self.process.later("follow", self._follow)

    def wake_sweep(self) -> None:
        core = self._core
        if self._sweep_is_due or self.is_revoked or not isinstance(core, JudgeCore) or not core.sweeping:
            return
        if not self._untold and self._next_offset >= self._restore_to:
            self._sweep_is_due = True
            self.process.later("follow", self._sweep)

    def _has_work(self) -> bool:
        if self._core is not None and (self._untold or self._next_offset < self._restore_to):
            return True
        return self._fetched < self._broker.end(*self.place)

    def _turn(self) -> None:
        self._turn_is_due = False
        if self.is_revoked or self.process.is_full():
            return  # whoever makes room wakes us
        if self._core is None:
            self._open()
        elif self._next_offset < self._restore_to:
            self._restore()
        elif self._untold:
            self._recall()
        elif self._fetched < self._broker.end(*self.place):
            self.fetch()
        self.wake()

    # -- taking in -----------------------------------------------------------------------------------------------

    def _open(self) -> None:
        self._store = self.process.open_store(self.place)
        self._core = self.process.open_core(*self.place, self._store)
        self._next_offset = self._store.next_offset
        self._restore_to = self.process.committed(self.place)
        self._untold = list(OUTPUTS) if isinstance(self._core, JudgeCore) else []
        self._note("opens", self._next_offset)

    def _restore(self) -> None:
        end = min(self._next_offset + self._chance.randint(1, CHUNK_RECORDS_MAX), self._restore_to)
        chunk = self._broker.read(*self.place, self._next_offset, end)
        core = self._core
        assert core is not None

        def effects() -> Work:
            core.restore(chunk)
            return Work()

        self._act("restores", effects, chunk)

    def _recall(self) -> None:
        """Read one output partition to the end that it had when this began."""
        topic, core = self._untold[0], self._core
        assert isinstance(core, JudgeCore)
        if self._told_to is None:
            self._told_to = self._broker.end(topic, self._partition)
        start = core.outputs_read(topic)
        end = min(start + self._chance.randint(1, CHUNK_RECORDS_MAX), self._told_to)
        if chunk := self._broker.read(topic, self._partition, start, end):
            self._act("recalls", lambda: core.adopt(chunk), said=chunk)
            return
        self._untold.pop(0)
        self._told_to = None
        if not self._untold:
            self.wake_follower()

    def fetch(self) -> None:
        """Take in a batch, and before it what was dropped."""
        core, chance = self._core, self._chance
        assert core is not None
        if chance.random() < DROPPED:
            self._fetched += chance.randrange(self._broker.end(*self.place) - self._fetched)
        end = self._fetched + chance.randint(1, self.process.temper.batch_records)
        records = self._broker.read(*self.place, self._fetched, end)
        self._fetched += len(records)
        if records[0].offset > self._next_offset:
            gap = self._broker.read(*self.place, self._next_offset, records[0].offset)
            self._hear_before(gap)
            self._act(READS_AGAIN, lambda: core.process(gap), gap)
        records = [record for record in records if record.offset >= self._next_offset]
        self._hear_before(records)
        self._act("takes in", lambda: core.process(records), records, acknowledges=self._fetched)

    def _hear_before(self, records: Sequence[RawRecord]) -> None:
        """All that was said, at once, before a batch with which a silent judge begins to speak."""
        core = self._core
        if not isinstance(core, JudgeCore) or not core.is_to_speak(records):
            return
        for topic in OUTPUTS:
            if chunk := self._broker.read(topic, self._partition, core.outputs_read(topic)):
                self._act("hears", partial(core.adopt, chunk), said=chunk)

    def can_fetch(self) -> bool:
        """Whether it is past its beginnings and there is a batch."""
        is_ready = self._core is not None and not self._untold and self._next_offset >= self._restore_to
        return is_ready and self._fetched < self._broker.end(*self.place) and not self.process.is_full()

    def _follow(self) -> None:
        deaf_ms = self.process.site.deaf_until_ms - self.process.site.timeline.now_ms
        if deaf_ms > 0:
            self.process.site.timeline.after(deaf_ms, self._follow)
            return
        self._follow_is_due = False
        core = self._core
        if self.is_revoked or self._untold or not isinstance(core, JudgeCore) or self.process.is_full():
            return
        behind = [one for one in OUTPUTS if core.outputs_read(one) < self._broker.end(one, self._partition)]
        if not behind:
            return
        topic = self._chance.choice(behind)
        start = core.outputs_read(topic)
        chunk = self._broker.read(topic, self._partition, start, start + self._chance.choice((1, 2, 5, 20)))
        self._act("hears", lambda: core.adopt(chunk), said=chunk)
        self.wake_follower()

    def _sweep(self) -> None:
        """Judge some keys again, as `streams.rejudging` does between fresh batches."""
        self._sweep_is_due = False
        core, views = self._core, self._chance.choice((1, 2, 20))
        if self.is_revoked or self.process.is_full() or not isinstance(core, JudgeCore):
            return  # whoever makes room wakes us
        self._act("judges again", lambda: core.rejudge(views))

    def _act(
        self,
        what: str,
        effects: Callable[[], Work],
        records: Sequence[RawRecord] = (),
        acknowledges: int | None = None,
        said: Sequence[RawRecord] = (),
    ) -> None:
        """`Stage.act`: let the core do one thing, seal what it wrote, submit what it wants sent."""
        work = effects()
        if records:
            self._next_offset = records[-1].offset + 1
        sealed = self._store.seal(self._next_offset)
        outgoing = [*work.outgoing, *(_letter(raw) for raw, _ in work.bad)]
        self._note(what, _range(records or said))
        self.process.submit(Batch(self, sealed, acknowledges, len(outgoing)), outgoing)
        self.wake_sweep()

    def commit(self, sealed: Sealed) -> None:
        self._store.commit(sealed)
        self._note("commits store", sealed.next_offset)

    def _note(self, what: str, which: object) -> None:
        self.process.note(what, (*self.place, which))


def _letter(raw: RawRecord) -> Outgoing:
    """A dead letter, in so far as anybody looks at it here: whose it is."""
    return Outgoing(DEAD_LETTER, raw.key or b"", f"{raw.topic}/{raw.partition}/{raw.offset}".encode(), [])


def _range(records: Sequence[RawRecord]) -> str:
    return f"{records[0].offset}..{records[-1].offset}" if records else ""
