"""The same parts with one protection taken out each. None of them may go unnoticed by the model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from streams.cores import JudgeCore, RouterCore
from streams.evaluation import Evaluation
from streams.facts import Filing, Presence, split_filing
from streams.judge import Judge, Output, _fact_row, _Key
from streams.records import Withdrawal
from streams.router import OutgoingFact, Router
from streams.stage import Work
from tests.faults.model.model import Parts
from xiezhi.envelope import Envelope
from xiezhi.errors import BadRecordError
from xiezhi.log import RawRecord


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
                self.store.put(raw.key, _fact_row(slot), None)


class TalkativeJudge(Judge):
    """Speaks although more was said than it has read."""

    def _must_wait(self, last_said: int) -> bool:
        return False

    def _position(self, join_name: str, key: _Key, last_said: int) -> int:
        return max(key.position, self._bearing.get(join_name, -1), 0)


class ShortSightedJudge(Judge):
    """Knows only those ticks to bear on a key at which it judged it itself."""

    def _position(self, join_name: str, key: _Key, last_said: int) -> int:
        return max(key.position, self._bearing.get(join_name, -1))

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


class HoardingRouter(Router):
    """Sends no left facts."""

    def _facts(
        self, raw: RawRecord, record: Any, keys: Iterable[str], former: Iterable[str], routed_ms: int
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
    "without restoring the judge": Parts(judge_core=ForgetfulCore),
    "without restoring the router": Parts(router_core=ForgetfulRouterCore),
    "without noting durably what is to be judged": Parts(judge=HastyJudge),
    "without taking back": Parts(judge=StubbornJudge),
    "without judging before ticks": Parts(judge=ImpatientJudge),
    "without waking": Parts(judge=SleepyJudge),
    "without withdrawals": Parts(router=DenyingRouter),
    "without versions": Parts(router=LatestRouter),
}

#: Those whose absence shows without any fault, by the order of reading alone.
NOTICED_WITHOUT_FAULTS = (
    "without left facts",
    "without taking back",
    "without waking",
    "without withdrawals",
    "without versions",
)
