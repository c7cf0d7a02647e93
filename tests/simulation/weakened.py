"""Routers, judges and folds with one protection taken out each. None of them may go unnoticed by the simulator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from streams.cores import JudgeCore, RouterCore
from streams.evaluation import Evaluation
from streams.fact_rows import Fact, Rank, row_of
from streams.facts import Filing, Presence, split_filing, tick_ms
from streams.folds.aggregates import Aggregates, Slot
from streams.folds.state import Folds, ReadFact, rows_of
from streams.judge import Judge, Judging, Output, _Key
from streams.records import Withdrawal
from streams.router import OutgoingFact, Router
from streams.stage import Work
from streams.sweeps import Sweeps
from tests.simulation.parts import Parts
from xiezhi.contracts.naming import RELATION
from xiezhi.envelope import Envelope
from xiezhi.errors import BadRecordError
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore


class DeafCore(JudgeCore):
    """Remembers what it said itself, and never reads what stands on the output topics."""

    def adopt(self, records: Sequence[RawRecord]) -> Work:
        for raw in records:
            self._judge.note_outputs_read(raw.topic, raw.offset + 1)
        return Work()


class CarelessCore(JudgeCore):
    """Reads its outputs when it begins, and does not care for what others say later."""

    def adopt(self, records: Sequence[RawRecord]) -> Work:
        if not self._speaking:
            return super().adopt(records)
        for raw in records:
            self._judge.note_outputs_read(raw.topic, raw.offset + 1)
        return Work()


class ForgetfulCore(JudgeCore):
    """Begins at the committed offset without what came before."""

    def restore(self, records: Sequence[RawRecord]) -> None:
        return None


class ForgetfulRouterCore(RouterCore):
    """The same of a router."""

    def restore(self, records: Sequence[RawRecord]) -> None:
        return None


class LastWordJudge(Judge):
    """Takes a record away when a left fact comes, and does not remember as of which version."""

    def _merge(self, raw: RawRecord) -> None:
        super()._merge(raw)
        header, headers = split_filing(raw.headers)
        filing = Filing.from_bytes(header or b"")
        if filing.presence is Presence.LEFT and raw.key is not None:
            slot = (filing.source.topic, Envelope.from_headers(headers).subject)
            held = self._key(raw.key.decode()).held
            if slot in held and held[slot].statement is None:
                del held[slot]
                self.store.put(raw.key, row_of(b"f", slot), None)


class TalkativeJudge(Judge):
    """Speaks although more was said than it has read."""

    def _must_wait(self, last_said: int) -> bool:
        return False


class ShortSightedJudge(Judge):
    """Knows only those ticks to bear on a key at which it judged it itself."""

    def _position(self, join_name: str, key: _Key, last_said: int) -> int:
        return max(key.position, self._bearing.get(join_name, -1))


class WaitingJudge(ShortSightedJudge):
    """Is silent until by its own count it has reached what was said."""

    def _evaluate(self, view: str) -> list[Output]:
        join_name, key = view.partition("|")[0], self._key(view)
        last_said = max((said.position for said in key.said.values()), default=-1)
        outputs = super()._evaluate(view)
        return outputs if self._position(join_name, key, last_said) >= last_said else []


class HastyJudge(Judge):
    """Leaves restored and adopted keys for later in memory only."""

    def postpone(self) -> None:
        super().postpone()
        for view in self._postponed:
            self.store.put(b"#unjudged", view.encode(), None)


class StubbornJudge(Judge):
    """Never takes anything back."""

    def _withdraw(self, view: str, key: _Key, position: int, result: Evaluation) -> Iterable[Output]:
        return []


class ImpatientJudge(Judge):
    """Judges at the end of a batch only, whatever ticks and activations came in between."""

    def apply(self, records: Iterable[RawRecord], bad: Any) -> list[Output]:
        for raw in records:
            self._take(raw, bad)
        return self.evaluate()


class SleepyJudge(Judge):
    """Lets ticks pass without waking anybody."""

    def _tick(self, raw: RawRecord) -> None:
        self._timers.clear()
        super()._tick(raw)


class TimelessJudge(Judge):
    """Lets a sweep speak at the position of its activation, whatever time it is by then."""

    def _tick(self, raw: RawRecord) -> None:
        super()._tick(raw)
        self._ticked = -1


class ForgetfulSweeps(Sweeps):
    """Remembers what is to be judged again as long as it lives."""

    def _move(self, prefix: bytes, sweep: Any) -> None:
        super()._move(prefix, sweep)
        self._store.put(b"#sweeps", prefix, None)


class OneShotJudge(Judge):
    """Does not note durably that keys are to be judged again."""

    def __init__(self, judging: Judging, store: KeyedStore) -> None:
        super().__init__(judging, store)
        self._sweeps = ForgetfulSweeps(store)


class UnhurriedJudge(Judge):
    """Sets its timers anew when a key is touched, not when it starts."""

    def __init__(self, judging: Judging, store: KeyedStore) -> None:
        super().__init__(judging, store)
        self._timers.clear()


class ObedientJudge(Judge):
    """Takes whatever tick came last for the time."""

    def _tick(self, raw: RawRecord) -> None:
        self.now_ms = min(self.now_ms, tick_ms(raw.value) - 1)
        super()._tick(raw)


class NewestJudge(Judge):
    """Lets whatever activation came last be in force."""

    def _activation(self, raw: RawRecord) -> None:
        self._sequences.clear()
        super()._activation(raw)


class WallCore(JudgeCore):
    """Looks at its machine's clock, as if ticks were not enough."""

    def process(self, records: Sequence[RawRecord]) -> Work:
        self._judge.now_ms = max(self._judge.now_ms, self._clock())
        return super().process(records)


class ScatteringCore(JudgeCore):
    """Leaves it to the key on which output partition a statement goes."""

    def _say(self, work: Work, outputs: Sequence[Output]) -> Work:
        said = super()._say(work, outputs)
        said.outgoing[:] = [one._replace(partition=None) for one in said.outgoing]
        return said


class UnversionedCore(JudgeCore):
    """Says relations without their position."""

    def _say(self, work: Work, outputs: Sequence[Output]) -> Work:
        said = super()._say(work, outputs)
        said.outgoing[:] = [
            one._replace(headers=[_unversioned(*header) for header in one.headers])
            if one.topic == RELATION
            else one
            for one in said.outgoing
        ]
        return said


def _unversioned(name: str, value: bytes) -> tuple[str, bytes]:
    return (name, b"0") if name == "ce_recordversion" else (name, value)


class SwallowingRouterCore(RouterCore):
    """Leaves bad records where they are."""

    def process(self, records: Sequence[RawRecord]) -> Work:
        return Work(super().process(records).outgoing)


class FoldingJudge(Judge):
    """Keeps its folds in another way."""

    folds: ClassVar[type[Folds]] = Folds

    def __init__(self, judging: Judging, store: KeyedStore) -> None:
        super().__init__(judging, store)
        self._folds = self.folds(judging.joins, store, self._statement_of, judging.fold_bounds)


class AddingAggregates(Aggregates):
    """Adds what is new and leaves what it replaced."""

    def count(self, slot: Slot, contribution: Mapping[str, Any] | None, times: int) -> None:
        if times > 0:
            super().count(slot, contribution, times)


class AddingFolds(Folds):
    aggregates = AddingAggregates


class LatestFolds(Folds):
    """Lets whatever came last stand."""

    def merge(self, view: str, fact: Fact, read_new: ReadFact) -> None:
        held = self._store.get(rows_of(view), row_of(b"r", fact.slot))
        ranked = fact if held is None else _Greatest(*fact)
        super().merge(view, ranked, read_new)


class _Greatest(Fact):
    def replaces(self, rank: Rank, offset: int) -> bool:
        return True


class LastWordFolds(Folds):
    """Takes a record away when a left fact comes, and does not remember as of which version."""

    def merge(self, view: str, fact: Fact, read_new: ReadFact) -> None:
        super().merge(view, fact, read_new)
        rows, row = rows_of(view), row_of(b"r", fact.slot)
        if not fact.is_present and (held := self._store.get(rows, row)) and held.endswith(fact.to_bytes()):
            self._store.put(rows, row, None)


class UnrestoredFolds(Folds):
    """Writes the aggregates with a later batch than the records that changed them."""

    def flush(self) -> None:
        self._late = not getattr(self, "_late", False)
        if not self._late:
            super().flush()


class AddingJudge(FoldingJudge):
    folds = AddingFolds


class LatestFoldJudge(FoldingJudge):
    folds = LatestFolds


class LastWordFoldJudge(FoldingJudge):
    folds = LastWordFolds


class LateFoldJudge(FoldingJudge):
    folds = UnrestoredFolds


class HoardingRouter(Router):
    """Sends no left facts."""

    def _facts(
        self, raw: RawRecord, record: Any, keys: Sequence[str], former: Sequence[str], routed_ms: int
    ) -> list[OutgoingFact]:
        return super()._facts(raw, record, keys, (), routed_ms)


class DenyingRouter(Router):
    """Takes withdrawals for bad records."""

    def _keys(self, record: Any) -> list[str]:
        if isinstance(record, Withdrawal):
            raise BadRecordError("null_value", "no value")
        return super()._keys(record)


class LatestRouter(Router):
    """Believes whatever came last."""

    def route(self, raw: RawRecord, routed_ms: int) -> list[OutgoingFact]:
        record = self._guard.admit(raw)
        view = f"{raw.topic}|{record.record_id}".encode()
        if self.store.get(view, b"") is not None:
            keys = self._keys(record)
            self.store.put(view, b"", None)
            return self._facts(raw, record, keys, (), routed_ms)
        return super().route(raw, routed_ms)


WEAKENED: Mapping[str, Parts] = {
    "without the memory of what was said": Parts(judge_core=DeafCore),
    "without reading what others say": Parts(judge_core=CarelessCore),
    "without versioned left facts": Parts(judge=LastWordJudge),
    "without left facts": Parts(router=HoardingRouter),
    "without silence until the position is reached": Parts(judge=TalkativeJudge),
    "without counting what was said as read": Parts(judge=ShortSightedJudge),
    "without counting ticks that were restored": Parts(judge=WaitingJudge),
    "without restoring the judge": Parts(judge_core=ForgetfulCore),
    "without restoring the router": Parts(router_core=ForgetfulRouterCore),
    "without noting durably what is to be judged": Parts(judge=HastyJudge),
    "without taking back": Parts(judge=StubbornJudge),
    "without judging before ticks": Parts(judge=ImpatientJudge),
    "without waking": Parts(judge=SleepyJudge),
    "without keeping timers": Parts(judge=UnhurriedJudge),
    "without the ticks that a sweep has read": Parts(judge=TimelessJudge),
    "without noting durably what is to be judged again": Parts(judge=OneShotJudge),
    "without ticks as the only time": Parts(judge_core=WallCore),
    "without the largest tick": Parts(judge=ObedientJudge),
    "without the order of activations": Parts(judge=NewestJudge),
    "without outputs where their facts are": Parts(judge_core=ScatteringCore),
    "without positions of relations": Parts(judge_core=UnversionedCore),
    "without withdrawals": Parts(router=DenyingRouter),
    "without versions": Parts(router=LatestRouter),
    "without dead letters": Parts(router_core=SwallowingRouterCore),
    "without taking out of a fold": Parts(judge=AddingJudge),
    "without versions in a fold": Parts(judge=LatestFoldJudge),
    "without versioned left facts in a fold": Parts(judge=LastWordFoldJudge),
    "without folding in the batch of the record": Parts(judge=LateFoldJudge),
}

#: Those whose absence shows without any fault, by the order of reading alone.
NOTICED_WITHOUT_FAULTS = (
    "without left facts",
    "without taking back",
    "without waking",
    "without withdrawals",
    "without versions",
    "without taking out of a fold",
)
