"""What makes one generation follow another without a gap, with one protection taken out each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from streams.clock import Clock
from streams.cores import JudgeCore
from streams.judge import Judge, Judging, Output
from tests.simulation.parts import Parts
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore

_CONTROL, _TAKEN_OVER = b"#control", b"taken-over"


class LoudJudge(Judge):
    """Speaks while it is filled."""

    def __init__(self, judging: Judging, store: KeyedStore) -> None:
        super().__init__(judging, store)
        self._speaks = True


class ModestJudge(Judge):
    """Lets the take-over bear on what comes, and leaves all keys as they were said."""

    def _take_over(self, raw: RawRecord) -> None:
        super()._take_over(raw)
        self._sweeps._move(b"", None)


class BackdatingJudge(Judge):
    """Judges every key at the take-over, at the position of what it knows of the key."""

    def _position(self, join_name: str, key: Any, last_said: int) -> int:
        everywhere, self._bearing[""] = self._bearing.get("", -1), -1
        try:
            return super()._position(join_name, key, last_said)
        finally:
            self._bearing[""] = everywhere


class LevelJudge(Judge):
    """Counts positions from 0 again, as the generation before did."""

    def __init__(self, judging: Judging, store: KeyedStore) -> None:
        super().__init__(replace(judging, generation=1), store)
        self._speaks = judging.generation == 1 or store.get(_CONTROL, _TAKEN_OVER) is not None


class ShyJudge(Judge):
    """Remembers as long as it lives that it may speak."""

    def _take_over(self, raw: RawRecord) -> None:
        super()._take_over(raw)
        self.store.put(_CONTROL, _TAKEN_OVER, None)


class FactualJudge(Judge):
    """Sweeps over keys of which it has facts, not over those of which only words are left."""

    def _evaluate(self, view: str) -> list[Output]:
        has_facts = self._folds.takes(view) or bool(self._key(view).held)
        return super()._evaluate(view) if has_facts or not self._sweeps.is_ahead(view) else []


class AbruptCore(JudgeCore):
    """Begins to speak with what it happens to have heard."""

    def is_to_speak(self, records: Sequence[RawRecord]) -> bool:
        return False


class ElbowingClock(Clock):
    """Takes over whoever still speaks."""

    def __init__(self, *given: Any, **more: Any) -> None:
        super().__init__(*given, **{**more, "earlier_speak": lambda: False})


class RashClock(Clock):
    """Takes over as soon as nobody speaks, with what happens to be filed."""

    def _may_take_over(self, now_ms: int, passed_ms: int) -> bool:
        return super()._may_take_over(now_ms, now_ms + 1)


class ThoughtlessClock(Clock):
    """Takes over without saying what time it is."""

    def _tick(self, passed_ms: int) -> None:
        if self._waits_to_take_over:
            self.said_ms = passed_ms
        else:
            super()._tick(passed_ms)


WEAKENED_GENERATIONS: Mapping[str, Parts] = {
    "without silence until the take-over": Parts(judge=LoudJudge),
    "without judging every key at the take-over": Parts(judge=ModestJudge),
    "without judging what only words are left of": Parts(judge=FactualJudge),
    "without the position of the take-over": Parts(judge=BackdatingJudge),
    "without the generation in positions": Parts(judge=LevelJudge),
    "without remembering the take-over": Parts(judge=ShyJudge),
    "without hearing all that was said before the take-over": Parts(judge_core=AbruptCore),
    "without waiting for the earlier generation to end": Parts(clock=ElbowingClock),
    "without waiting until everything is filed": Parts(clock=RashClock),
    "without the time before the take-over": Parts(clock=ThoughtlessClock),
}
