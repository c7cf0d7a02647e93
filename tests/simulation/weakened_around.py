"""What is around the cores with one protection taken out each: process, store, clock, alert store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete

from consumers.alerts import store as alert_store
from consumers.alerts import tables
from consumers.alerts.database import writing
from consumers.alerts.service import AlertStoreService
from consumers.alerts.statement import Statement, Stored
from consumers.alerts.store import AlertStore
from streams.clock import LowWatermark
from tests.simulation.assignments import READS_AGAIN, Assignment, Batch
from tests.simulation.broker import Place
from tests.simulation.clocks import BoldWatermark
from tests.simulation.parts import Parts
from tests.simulation.processes import Process
from xiezhi.store import KeyedStore, Sealed


class HastyProcess(Process):
    """Commits and acknowledges what it has handed to the client."""

    def may_finish(self, batch: Batch) -> bool:
        return True


class DisorderlyProcess(Process):
    """Acknowledges a batch when its own records are delivered, whatever is before it."""

    def _finish_when_due(self) -> None:
        for batch in self._batches:
            if batch.waiting == 0 and not batch.assignment.is_revoked:
                self.acknowledge(batch)
        super()._finish_when_due()


class ClingingProcess(Process):
    """Goes on committing to stores that may have been opened again since."""

    def finish(self, batch: Batch) -> None:
        batch.assignment.commit(batch.sealed)
        if not batch.assignment.is_revoked:
            self.acknowledge(batch)


class InattentiveAssignment(Assignment):
    """Does not see that a batch is missing."""

    def _act(self, what: str, *given: Any, **more: Any) -> None:
        if what != READS_AGAIN:
            super()._act(what, *given, **more)


class InattentiveProcess(Process):
    assignment = InattentiveAssignment


class EagerAssignment(Assignment):
    """Judges before it has been told what was said."""

    def _open(self) -> None:
        super()._open()
        self._untold = []
        self.wake_follower()


class EagerProcess(Process):
    assignment = EagerAssignment


class SplitStore(KeyedStore):
    """Writes the offset first, and the rows with the next batch."""

    _late: Sealed | None = None

    def commit(self, sealed: Sealed) -> None:
        late, self._late = self._late, sealed
        super().commit(Sealed(late.writes if late else {}, sealed.next_offset, sealed.number))


class BlindStore(KeyedStore):
    """Shows what is committed, and nothing that is on its way there."""

    def get(self, view: bytes, row: bytes) -> bytes | None:
        return KeyedStore(self.backend).get(view, row)

    def load(self, view: bytes) -> dict[bytes, bytes]:
        return KeyedStore(self.backend).load(view)


class HurriedWatermark(LowWatermark):
    """Is content when what was ingested is routed."""

    def _newly_passed_ms(self) -> int:
        return self._snapshots[-2].taken_ms if len(self._snapshots) > 1 else 0


class TrustingStore(AlertStore):
    """Lets every statement take effect."""

    def apply(
        self, statements: Sequence[Statement], next_offsets: Mapping[Place, int], *, stored_ms: int
    ) -> tuple[Stored, ...]:
        with writing(self._engine) as connection:
            first = alert_store._queue_up(connection) + 1
            stored = tuple(Stored(seq, stored_ms, one) for seq, one in enumerate(statements, first))
            alert_store._write(connection, stored)
            alert_store._move_offsets(connection, next_offsets)
        return stored


class ForgivingStore(AlertStore):
    """Forgets what was withdrawn, and its position with it."""

    def apply(
        self, statements: Sequence[Statement], next_offsets: Mapping[Place, int], *, stored_ms: int
    ) -> tuple[Stored, ...]:
        stored = super().apply(statements, next_offsets, stored_ms=stored_ms)
        with writing(self._engine) as connection:
            connection.execute(delete(tables.alerts).where(tables.alerts.c.state == "withdrawn"))
        return stored


class SteppedStore(AlertStore):
    """Notes how far it has read, then what it read."""

    def apply(
        self, statements: Sequence[Statement], next_offsets: Mapping[Place, int], *, stored_ms: int
    ) -> tuple[Stored, ...]:
        super().apply((), next_offsets, stored_ms=stored_ms)
        return super().apply(statements, {}, stored_ms=stored_ms)


class GroupsService(AlertStoreService):
    """Reads on from where its group believes that it is."""

    def assigned(self, consumer: Any, partitions: Sequence[Any]) -> None:
        consumer.assign(consumer.committed(partitions))


WEAKENED_AROUND: Mapping[str, Parts] = {
    "without waiting for deliveries": Parts(process=HastyProcess),
    "without acknowledging in order": Parts(process=DisorderlyProcess),
    "without closing what was revoked": Parts(process=ClingingProcess),
    "without reading again what was dropped": Parts(process=InattentiveProcess),
    "without being told first what was said": Parts(process=EagerProcess),
    "without state and offset in one batch": Parts(store=SplitStore),
    "without seeing what is not committed yet": Parts(store=BlindStore),
    "without a watermark": Parts(watermark=BoldWatermark),
    "without waiting for what comes of a record": Parts(watermark=HurriedWatermark),
    "without positions at the alert store": Parts(alert_store=TrustingStore),
    "without positions of what was withdrawn": Parts(alert_store=ForgivingStore),
    "without effect and offset at once": Parts(alert_store=SteppedStore),
    "without offsets beside the effects": Parts(alert_service=GroupsService),
}
