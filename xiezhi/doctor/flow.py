"""What moves and what does not: lag of every consumer group, silence of departments."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from xiezhi.contracts.naming import is_topic_name
from xiezhi.doctor.finding import Examined, Facts, Finding, Patient, Severity
from xiezhi.doctor.processes import expected_groups
from xiezhi.groups import inputs_of_groups
from xiezhi.ingestion import Ingestion
from xiezhi.lag import Lags, PartitionLag
from xiezhi.wall_clock import now_ms

LAG, DEPARTMENTS = "lag", "departments"
#: Between two looks: groups commit about twice a second.
LOOK_AGAIN_S = 1.0
#: A group that moves and is less than this behind is only busy.
LATE_S = 60.0
#: A group that does not move may be committing; after so long it stands still.
STILL_S = 10.0


@dataclass(frozen=True, slots=True)
class GroupLag:
    """How far one group is behind, over all of its partitions."""

    group: str
    records: int
    seconds: float  # age of the oldest record that it has not committed
    moved: int  # records it committed between two looks


def examine_lag(patient: Patient) -> Examined:
    """Every group: behind by how much, and is it moving?"""
    servers, timeout_s = patient.settings.bootstrap_servers, patient.timeout_s
    ingestion = Ingestion(servers, timeout_s=timeout_s / 2)
    lags = Lags(servers, _inputs(patient, ingestion), timeout_s=timeout_s)
    before = lags.read()
    if any(one.records for one in before):
        time.sleep(LOOK_AGAIN_S)
    after = lags.read()
    groups = group_lags(before, after, ingestion.waiting_since(after), now_ms())
    summary = ", ".join(f"{one.group} {one.records} ({one.seconds:.0f} s)" for one in groups)
    return Examined(summary, tuple(_lag_findings(groups)))


def _inputs(patient: Patient, ingestion: Ingestion) -> dict[str, tuple[str, ...]]:
    topics = [contract.topic for contract in patient.contracts]
    if not patient.services:  # no project names them: whatever departments have on this broker
        topics = sorted(filter(is_topic_name, ingestion.topics()))
    inputs = inputs_of_groups(topics, patient.settings.generation)
    return {group: inputs[group] for group in expected_groups(patient)}


def group_lags(
    before: Sequence[PartitionLag],
    after: Sequence[PartitionLag],
    waiting_since_ms: Mapping[tuple[str, str, int], int],
    now_ms: int,
) -> list[GroupLag]:
    """Two looks added up per group."""
    found = []
    committed = {(one.group, one.topic, one.partition): one.committed for one in before}
    for group in dict.fromkeys(one.group for one in after):
        own = [one for one in after if one.group == group]
        since = [ms for (name, _, _), ms in waiting_since_ms.items() if name == group]
        moved = sum(
            one.committed - committed.get((group, one.topic, one.partition), one.committed) for one in own
        )
        behind_s = max(0, now_ms - min(since)) / 1000 if since else 0.0
        found.append(GroupLag(group, sum(one.records for one in own), behind_s, moved))
    return found


def _lag_findings(groups: Sequence[GroupLag]) -> Iterator[Finding]:
    for one in groups:
        facts: Facts = {
            "group": one.group,
            "records": one.records,
            "seconds": round(one.seconds),
            "moved": one.moved,
        }
        if one.moved == 0 and one.seconds > STILL_S:
            yield Finding(Severity.CRITICAL, LAG, "stands_still", facts)
        elif one.seconds > LATE_S:
            yield Finding(Severity.WARNING, LAG, "behind", facts)


def examine_departments(patient: Patient) -> Examined:
    """Every contract with a promised rhythm: when did its last record come?"""
    rhythmic = [one for one in patient.contracts if one.expected_every is not None]
    ingestion = Ingestion(patient.settings.bootstrap_servers, timeout_s=patient.timeout_s)
    newest = ingestion.newest(ingestion.ends([one.topic for one in rhythmic]))
    findings = []
    for contract in rhythmic:
        assert contract.expected_every is not None
        expected_s = contract.expected_every.total_seconds()
        facts: Facts = {"owner": contract.owner, "topic": contract.topic}
        facts["expected"] = span(expected_s)
        if contract.topic not in newest:
            findings.append(Finding(Severity.NOTE, DEPARTMENTS, "never_published", facts))
            continue
        silent_s = (patient.now_ms - newest[contract.topic]) / 1000
        if silent_s > expected_s:
            facts["silent"] = span(silent_s)
            findings.append(Finding(Severity.WARNING, DEPARTMENTS, "silent", facts))
    late = sum(one.text == "silent" for one in findings)
    return Examined(f"{len(rhythmic) - late}/{len(rhythmic)}", tuple(findings))


def span(seconds: float) -> str:
    """`45 s`, `12 min`, `5 h` or `3 d`."""
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(seconds, 0):.0f} s"
