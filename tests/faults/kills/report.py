"""What a run of kills did and what it cost, for people as text and for programs as JSON."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Verdict:
    """The answer after everything had settled, held against what was sent and against the oracle."""

    alerts_standing: int
    alerts_withdrawn: int
    statements: int  # on the alert topic
    physical_repeats: int  # the same statement written again: every consumer passes it over
    leaves: int
    records_lost: int
    duplicated_effects: int  # in the alert store, or two contents at one position
    audit_gaps: int
    wrong_answers: int  # alerts in which topic or store differ from the oracle
    audit_check_is_clean: bool

    @property
    def is_good(self) -> bool:
        wrong = self.records_lost + self.duplicated_effects + self.audit_gaps + self.wrong_answers
        return wrong == 0 and self.audit_check_is_clean


@dataclass(frozen=True)
class Report:
    """One run. `verdict` is None when it ended before there was one: `ended_by` says why."""

    seed: int
    begun: str  # ISO 8601
    seconds: Mapping[str, float]  # by phase
    kills: Mapping[str, int]  # by service, the broker among them
    points: Mapping[str, Mapping[str, int]]  # by service: where its kills landed
    with_uncommitted_input: int
    during_recovery_of_another: int
    broker_restarts: int
    stores_deleted: Mapping[str, int]
    records_sent: int
    restart_s: Mapping[str, Sequence[float]]  # by service: from each kill until it worked again
    killed_again_before: int  # restarts that have no time because the next kill came first
    verdict: Verdict | None
    ended_by: str = ""

    @property
    def total(self) -> int:
        return sum(self.kills.values())

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n", "utf-8")

    def text(self) -> str:
        points = Counter[str]()
        for landed in self.points.values():
            points.update(landed)
        lines = [
            f"seed {self.seed}, begun {self.begun}: {self.total} kills ({_listed(self.kills)}), "
            f"{sum(self.stores_deleted.values())} store folders deleted ({_listed(self.stores_deleted)})",
            f"{self.with_uncommitted_input} kills met input that was not acknowledged, "
            f"{self.during_recovery_of_another} another part that had not recovered yet",
            "where the kills landed:",
            *(f"  {count:5}  {point}" for point, count in points.most_common()),
            "restarts, from the kill until the group acknowledged more (clock, monitor: until metrics answer; broker: "
            f"until it answers); {self.killed_again_before} were killed again before:",
            *(f"  {name:<12} {_times(times)}" for name, times in sorted(self.restart_s.items()) if times),
            *self._verdict(),
            "time: " + ", ".join(f"{name} {seconds:.0f} s" for name, seconds in self.seconds.items()),
        ]
        return "\n".join(lines)

    def _verdict(self) -> list[str]:
        found = self.verdict
        if found is None:
            return [f"{self.records_sent} records sent; NO ANSWER was looked at: {self.ended_by}"]
        return [
            f"{self.records_sent} records sent, {found.statements} statements ({found.physical_repeats} physical "
            f"repeats), {found.alerts_standing} alerts stand, {found.alerts_withdrawn} withdrawn, "
            f"{found.leaves} leaves",
            f"{found.records_lost} records lost, {found.duplicated_effects} duplicated effects, "
            f"{found.audit_gaps} audit gaps, {found.wrong_answers} answers unlike the oracle's; `xiezhi audit check` "
            + ("clean" if found.audit_check_is_clean else "NOT CLEAN"),
        ]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items())) or "none"


def _times(times: Sequence[float]) -> str:
    return f"p50 {statistics.median(times):5.1f} s   max {max(times):5.1f} s   of {len(times)}"
