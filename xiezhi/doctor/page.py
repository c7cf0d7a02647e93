"""The doctor's page for a terminal, and the same as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from xiezhi.cli.terminal import clean, instant, table, width
from xiezhi.doctor.examine import PartReport, Report
from xiezhi.doctor.finding import Finding, Lang, Patient, Severity, label, part_label

_SUMMARY_CELLS_MAX = 110
_COLOURS = {Severity.CRITICAL: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}


def page(report: Report, patient: Patient, lang: Lang) -> list[tuple[str, str | None]]:
    """Lines with their colours: one per part, then what was found and what to do, then the verdict."""
    heads = [label(name, lang) for name in ("part", "state", "seen")]
    rows = [
        (part_label(one.check.part, one.check.catalogue, lang), state_of(one, lang), _seen(one))
        for one in report.parts
    ]
    lines: list[tuple[str, str | None]] = [(f"獬豸 doctor  {instant(patient.now_ms)}", None), ("", None)]
    lines += [(line, None) for line in table(heads, rows)]
    for finding in report.findings:
        lines.append(("", None))
        lines += _paragraph(
            label(finding.severity.value, lang), finding.said, lang, _COLOURS[finding.severity]
        )
        lines += _paragraph(f"  {label('do', lang)}", finding.advice, lang, None)
    return [*lines, ("", None), (verdict(report, lang), None if report.is_healthy else "red")]


def _paragraph(
    head: str, text: Callable[[Lang], str], lang: Lang, colour: str | None
) -> list[tuple[str, str | None]]:
    """One line per language, the second below the first."""
    languages: tuple[Lang, ...] = ("zh", "en") if lang == "both" else (lang,)
    heads = [f"{head}: ", " " * (width(head) + 2)]
    return [(before + clean(text(one)), colour) for before, one in zip(heads, languages, strict=False)]


def verdict(report: Report, lang: Lang) -> str:
    if report.is_healthy:
        return label("healthy", lang)
    found = Counter(finding.severity for finding in report.findings)
    return label("ill", lang, critical=found[Severity.CRITICAL], warning=found[Severity.WARNING])


def state_of(part: PartReport, lang: Lang) -> str:
    if part.examined is None:
        return label("unexamined", lang)
    severity = part.severity
    return label("well" if severity is None else severity.value, lang)


def _seen(part: PartReport) -> str:
    seen = part.examined.summary if part.examined else part.obstacle
    return seen if len(seen) <= _SUMMARY_CELLS_MAX else f"{seen[:_SUMMARY_CELLS_MAX]}…"


def to_object(report: Report, patient: Patient) -> dict[str, Any]:
    """The report for programs."""
    return {
        "healthy": report.is_healthy,
        "looked_ms": patient.now_ms,
        "parts": [_part(one) for one in report.parts],
        "findings": [_finding(one) for one in report.findings],
    }


def _part(part: PartReport) -> dict[str, Any]:
    state = part.severity.value if part.severity else "well"
    return {
        "part": part.check.part,
        "state": state if part.examined else "unexamined",
        "seen": part.examined.summary if part.examined else part.obstacle,
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "severity": finding.severity.value,
        "part": finding.part,
        "finding": finding.text,
        "facts": dict(finding.facts),
        "says": {"zh": finding.said("zh"), "en": finding.said("en")},
        "do": {"zh": finding.advice("zh"), "en": finding.advice("en")},
    }
