"""Runs all checks at once, each for itself, and waits for none of them longer than the deadline.

A check that fails or does not end leaves its part unexamined, which is a finding too. With the broker away, checks that
need it are not asked, and nothing is said a second time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from xiezhi.doctor.finding import Check, Examined, Finding, Patient, Severity
from xiezhi.errors import XiezhiError

#: For all checks together. Reached on a busy machine only: a broker that is away is known after two seconds, and then
#: nothing else is asked of it.
DEADLINE_S = 8.0


@dataclass(frozen=True, slots=True)
class PartReport:
    """One part: what was seen, or why nothing was."""

    check: Check
    examined: Examined | None
    obstacle: str = ""
    explained_by: str = ""  # the part that says why

    @property
    def severity(self) -> Severity | None:
        """Of its worst finding; None when it is well or unexamined."""
        findings = self.examined.findings if self.examined else ()
        return min((one.severity for one in findings), key=lambda one: one.rank, default=None)


@dataclass(frozen=True, slots=True)
class Report:
    """Every part in the order of the checks, and every finding, the worst first."""

    parts: tuple[PartReport, ...]
    findings: tuple[Finding, ...]

    @property
    def is_healthy(self) -> bool:
        return not any(one.severity is not Severity.NOTE for one in self.findings)


def examine(
    patient: Patient,
    checks: Sequence[Check],
    *,
    deadline_s: float = DEADLINE_S,
    clock: Callable[[], float] = time.monotonic,
) -> Report:
    """Returns after `deadline_s` at the latest; checks that have not ended by then are left behind."""
    answers: dict[str, PartReport] = {}
    done = {check.part: threading.Event() for check in checks}
    deadline = clock() + deadline_s

    def run(check: Check) -> None:
        answers[check.part] = _not_asked(check, done, answers, deadline - clock()) or _ask(check, patient)
        done[check.part].set()

    for check in checks:
        threading.Thread(target=run, args=(check,), daemon=True).start()
    for event in done.values():
        event.wait(max(0.0, deadline - clock()))
    late = f"no answer within {deadline_s:g} s"
    parts = tuple(answers.get(check.part) or PartReport(check, None, late) for check in checks)
    return Report(parts, tuple(_findings(parts)))


def _not_asked(
    check: Check, done: Mapping[str, threading.Event], answers: Mapping[str, PartReport], wait_s: float
) -> PartReport | None:
    """Why this check is left out: a part that it needs is away. None if all are well."""
    for need in check.needs:
        if need in done:
            done[need].wait(max(0.0, wait_s))
            answer = answers.get(need)
            if answer is None or answer.severity is Severity.CRITICAL:
                return PartReport(check, None, need, explained_by=need)
    return None


def _ask(check: Check, patient: Patient) -> PartReport:
    try:
        return PartReport(check, check.examine(patient))
    except XiezhiError as error:
        return PartReport(check, None, str(error))
    except Exception as error:  # noqa: BLE001 -- one broken check must not hide what the others found
        return PartReport(check, None, f"{type(error).__name__}: {error}")


def _findings(parts: Sequence[PartReport]) -> list[Finding]:
    found: list[Finding] = []
    for part in parts:
        if part.examined is not None:
            found += part.examined.findings
        elif not part.explained_by:
            found.append(Finding(Severity.WARNING, part.check.part, "unexamined", {"why": part.obstacle}))
    return sorted(found, key=lambda one: one.severity.rank)  # stable: within one severity as the parts stand
