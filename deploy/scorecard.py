"""Found against planted: compares what was said with the labels of the synthetic province. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from producers.province.labels import Label

Subject = frozenset[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class SaidAlert:
    """One alert as the store holds it, however often it changed."""

    rule: str
    subject: Subject
    stands: bool


@dataclass(slots=True)
class RuleScore:
    """One rule's row. A decoy is notified when anything was ever said about it, even if it was taken back."""

    planted: int = 0
    found: int = 0
    withdrawn_planted: int = 0
    withdrawn_found: int = 0
    false: int = 0
    decoys: int = 0
    decoys_notified: int = 0
    remarks: list[str] = field(default_factory=list)

    @property
    def is_perfect(self) -> bool:
        return (
            self.found == self.planted
            and self.withdrawn_found == self.withdrawn_planted
            and self.false == self.decoys_notified == 0
        )


def score(labels: Iterable[Label], said: Iterable[SaidAlert]) -> dict[str, RuleScore]:
    """One row per rule that has a label or said anything."""
    alerts = {(alert.rule, alert.subject): alert for alert in said}
    rows: dict[str, RuleScore] = {}
    labelled = set()
    for label in labels:
        row = rows.setdefault(label.rule, RuleScore())
        key = (label.rule, subject_of(label.subject))
        labelled.add(key)
        _count(row, label, alerts.get(key))
    for key, alert in alerts.items():
        if key not in labelled and alert.stands:
            row = rows.setdefault(alert.rule, RuleScore())
            row.false += 1
            row.remarks.append(f"nobody planted {dict(alert.subject)}")
    return dict(sorted(rows.items()))


def subject_of(subject: Mapping[str, str]) -> Subject:
    return frozenset(subject.items())


def _count(row: RuleScore, label: Label, alert: SaidAlert | None) -> None:
    if label.expected == "none":
        row.decoys += 1
        row.decoys_notified += alert is not None
    elif label.expected == "open":
        row.planted += 1
        row.found += alert is not None and alert.stands
    else:
        row.withdrawn_planted += 1
        row.withdrawn_found += alert is not None and not alert.stands
    if not _as_expected(label, alert):
        row.remarks.append(f"{label.scene} {dict(label.subject)}: expected {label.expected}, {_state(alert)}")


def _as_expected(label: Label, alert: SaidAlert | None) -> bool:
    wanted = {"none": "never said", "open": "stands", "withdrawn": "withdrawn"}[label.expected]
    return _state(alert) == wanted


def _state(alert: SaidAlert | None) -> str:
    if alert is None:
        return "never said"
    return "stands" if alert.stands else "withdrawn"


def table(rows: Mapping[str, RuleScore]) -> Sequence[str]:
    """The rows as text, bilingual heading, one line per rule and a sum."""
    head = "rule   planted  found | to withdraw  withdrawn | falsely raised | decoys  notified"
    zh = "规则   埋设     发现  | 应撤回       已撤回    | 误报           | 诱饵    被惊动"
    lines = [head, zh, "-" * 86]
    for name, row in rows.items():
        lines.append(_line(name, row))
        lines += [f"         ! {remark}" for remark in row.remarks]
    return [*lines, "-" * 86, _line("all", _sum(rows.values()))]


def _line(name: str, row: RuleScore) -> str:
    return (
        f"{name:6} {row.planted:7} {row.found:6} | {row.withdrawn_planted:11} {row.withdrawn_found:10} | "
        f"{row.false:14} | {row.decoys:6} {row.decoys_notified:9}"
    )


def _sum(rows: Iterable[RuleScore]) -> RuleScore:
    total = RuleScore()
    for row in rows:
        for name in (
            "planted",
            "found",
            "withdrawn_planted",
            "withdrawn_found",
            "false",
            "decoys",
            "decoys_notified",
        ):
            setattr(total, name, getattr(total, name) + getattr(row, name))
    return total
