"""Services: those of the local stack by the process table and by asking them, all others by their consumer groups."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from xiezhi.doctor.finding import Examined, Facts, Finding, Patient, Severity
from xiezhi.errors import BrokerUnavailableError
from xiezhi.groups import AUDIT, inputs_of_groups, service_of
from xiezhi.ingestion import Ingestion
from xiezhi.local.state import ProcessRecord, StackLock, StackState, read_state

PART = "services"
#: A process that answers takes milliseconds; one that computes may hold its interpreter for a while.
ANSWER_S = 1.5
#: Restarts past which a process is not merely starting.
RESTARTS_MANY = 3


def examine(patient: Patient) -> Examined:
    """What runs, what does not, and what runs without answering."""
    state = _running_stack(patient)
    findings = list(_of_stack(state.processes)) if state else []
    known = {process.name for process in state.processes} if state else set()
    members = _members(patient)
    for group, number in members.items():
        service = service_of(group)
        if number == 0 and not any(one.facts.get("service") == service for one in findings):
            findings.append(
                Finding(Severity.CRITICAL, PART, "nobody_consumes", {"group": group, "service": service})
            )
    if state:
        dead = {str(one.facts["service"]) for one in findings if one.text in ("not_running", "given_up")}
        summary = ", ".join(sorted(known - dead)) or "-"
    else:
        summary = ", ".join(f"{group} {number}" for group, number in members.items()) or "-"
    return Examined(summary, tuple(findings))


def _running_stack(patient: Patient) -> StackState | None:
    """The stack of the data folder, if it runs and is the bus that is meant."""
    home = Path(patient.settings.data_dir).absolute() / "stack"
    if StackLock(home).owner() is None:
        return None
    state = read_state(home)
    return state if state and state.bootstrap_servers == patient.settings.bootstrap_servers else None


def _of_stack(processes: Sequence[ProcessRecord]) -> Iterator[Finding]:
    for process in processes:
        facts: Facts = {"service": process.name, "log": process.log, "restarts": process.restarts}
        if process.note:
            yield Finding(Severity.CRITICAL, PART, "given_up", {**facts, "why": process.note})
        elif not process.is_alive:
            yield Finding(Severity.CRITICAL, PART, "not_running", facts)
        elif process.metrics_port and not answers(process.metrics_port):
            yield Finding(Severity.WARNING, PART, "no_answer", {**facts, "port": process.metrics_port})
        elif process.restarts >= RESTARTS_MANY:
            yield Finding(Severity.NOTE, PART, "restarted", facts)


def answers(port: int, timeout_s: float = ANSWER_S) -> bool:
    """Whether the metrics of a process can be scraped."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=timeout_s) as response:
            return bool(response.status == 200)
    except OSError:  # refused, or no answer in time
        return False


def _members(patient: Patient) -> dict[str, int]:
    """Members of the groups that must have some; nothing while the broker is away, which its own part says."""
    groups = expected_groups(patient)
    try:
        return Ingestion(patient.settings.bootstrap_servers, timeout_s=patient.timeout_s).members(groups)
    except BrokerUnavailableError:
        return {}


def expected_groups(patient: Patient) -> list[str]:
    """The groups of the project's services; without a project those that every bus has."""
    groups = inputs_of_groups((), patient.settings.generation)
    if patient.services:
        return [group for group in groups if service_of(group) in patient.services]
    return [group for group in groups if group != AUDIT]
