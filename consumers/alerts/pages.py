"""Pages about alerts for a terminal: one line, a list, everything about one. Pure functions from statements to lines.

Every page says that it shows suspicions (疑似). All text from records is cleaned before it is placed on a page.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from consumers.alerts.statement import Stored
from consumers.alerts.texts import Lang, text, versions
from xiezhi.cli.terminal import clean, instant, pad, pairs, table, width
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.evidence import EvidenceRef

#: Characters of an alert id that lists show; `show` takes any unique beginning.
ID_CHARS = 12
_INDENT = "  "


def notice(lang: Lang) -> str:
    return text("notice", "suspected", lang)


def line(stored: Stored, lang: Lang) -> str:
    """One statement as it comes in: when, how grave, what happened, which rule, where, which alert, and why."""
    alert = stored.alert
    words = [
        instant(stored.statement.said_ms),
        text("label", "alert", lang),
        _aligned(alert.severity, ("red", "orange", "yellow"), lang),
        _aligned(alert.state, ("raised", "changed", "withdrawn"), lang),
        *([_value("sealed", lang)] if alert.handling == "sealed" else []),
        alert.rule_id,
        alert.jurisdiction or "-",
        alert.record_id[:ID_CHARS],
        " / ".join(versions(alert.explanation, lang)) or " / ".join(versions(alert.title, lang)),
    ]
    return "  ".join(clean(word) for word in words)


def listing(rows: Sequence[Stored], lang: Lang) -> list[str]:
    """A table of alerts as they stand."""
    if not rows:
        return [text("notice", "none", lang)]
    heads = ("id", "severity", "state", "handling", "rule", "jurisdiction", "said", "title")
    body = table([text("label", head, lang) for head in heads], (_cells(row, lang) for row in rows))
    sealed = any(row.alert.handling == "sealed" for row in rows)
    return [*body, "", notice(lang), *([text("notice", "sealed", lang)] if sealed else [])]


def _cells(stored: Stored, lang: Lang) -> tuple[str, ...]:
    alert = stored.alert
    return (
        alert.record_id[:ID_CHARS],
        _value(alert.severity, lang),
        _value(alert.state, lang),
        _value(alert.handling, lang),
        alert.rule_id,
        alert.jurisdiction or "-",
        instant(stored.statement.said_ms),
        " / ".join(versions(alert.title, lang)),
    )


def page(history: Sequence[Stored], lang: Lang) -> list[str]:
    """Everything about one alert; the last entry of `history` is the statement that stands."""
    standing = history[-1]
    alert = standing.alert
    sections: list[tuple[str, Iterable[str]]] = [
        ("explanation", versions(alert.explanation, lang)),
        ("rule_text", versions(alert.rule_text, lang)),
        ("legal_basis", alert.legal_basis),
        ("parameters", (f"{name} = {value}" for name, value in sorted(alert.parameters.items()))),
    ]
    lines = [*_head(alert, lang), "", *_facts(standing, lang)]
    for name, body in sections:
        lines += [
            "",
            text("section", name, lang),
            *(_INDENT + clean(part) for each in body for part in each.splitlines()),
        ]
    lines += ["", f"{text('section', 'evidence', lang)} ({len(alert.evidence)})"]
    for number, evidence in enumerate(alert.evidence, 1):
        lines += _evidence(number, evidence, lang)
    return [*lines, "", text("section", "history", lang), *_history(history, lang)]


def _head(alert: Alert, lang: Lang) -> list[str]:
    title = " / ".join(versions(alert.title, lang))
    lines = [f"{text('label', 'alert', lang)}: {clean(title)}", notice(lang)]
    if alert.handling == "sealed":
        lines.append(text("notice", "sealed", lang))
    if alert.state == "withdrawn":
        lines.append(text("notice", "withdrawn", lang))
    return lines


def _facts(stored: Stored, lang: Lang) -> list[str]:
    alert, statement = stored.alert, stored.statement
    times = [("occurred", alert.times.occurred_ms), ("ingested", alert.times.ingested_ms)]
    times += [("judged", alert.times.judged_ms), ("said", statement.said_ms), ("stored", stored.stored_ms)]
    facts = [
        ("id", alert.record_id),
        ("state", _value(alert.state, lang)),
        ("severity", _value(alert.severity, lang)),
        ("handling", _value(alert.handling, lang)),
        ("rule", f"{alert.rule_id} v{alert.rule_version} ({alert.activation})"),
        ("jurisdiction", alert.jurisdiction or "-"),
        ("office", alert.office or "-"),
        ("subject", ", ".join(f"{name}={value}" for name, value in sorted(alert.subject.items()))),
        ("tier", alert.tier),
        ("reason", alert.reason),
        *((name, instant(when)) for name, when in times),
        ("position", str(alert.position)),
        ("log", f"{statement.topic}/{statement.partition}/{statement.offset} {statement.event_id}"),
        ("digest", alert.content_digest),
        ("trace", statement.traceparent or "-"),
    ]
    return pairs([(text("label", name, lang), value) for name, value in facts])


def _evidence(number: int, evidence: EvidenceRef, lang: Lang) -> list[str]:
    facts = [
        ("record", f"{evidence.record_type} {evidence.record_id} v{evidence.version}"),
        ("address", f"{evidence.topic}/{evidence.partition}/{evidence.offset}"),
        ("event", evidence.event_id),
        ("digest", f"sha256 {evidence.digest}"),
        ("fields", ", ".join(evidence.fields) or "-"),
        ("occurred", instant(evidence.occurred_ms)),
        ("ingested", instant(evidence.ingested_ms)),
    ]
    first, *others = pairs([(text("label", name, lang), value) for name, value in facts])
    mark = f"{number:>3}  "
    return [mark + first, *(" " * len(mark) + other for other in others)]


def _history(history: Sequence[Stored], lang: Lang) -> list[str]:
    heads = [text("label", name, lang) for name in ("seq", "position", "state", "severity", "said", "reason")]
    rows = (
        (
            str(each.seq),
            str(each.alert.position),
            _value(each.alert.state, lang),
            _value(each.alert.severity, lang),
            instant(each.statement.said_ms),
            each.alert.reason,
        )
        for each in history
    )
    return [_INDENT + row for row in table(heads, rows)]


def to_object(stored: Stored) -> dict[str, Any]:
    """A statement for programs: `alert` is the record of the contract, the rest says where it is held."""
    statement = stored.statement
    return {
        "seq": stored.seq,
        "stored_ms": stored.stored_ms,
        "said_ms": statement.said_ms,
        "topic": statement.topic,
        "partition": statement.partition,
        "offset": statement.offset,
        "event_id": statement.event_id,
        "traceparent": statement.traceparent,
        "alert": statement.alert.model_dump(mode="json"),
    }


def _aligned(name: str, among: Sequence[str], lang: Lang) -> str:
    return pad(_value(name, lang), max(width(_value(each, lang)) for each in among))


def _value(name: str, lang: Lang) -> str:
    return text("value", name, lang)
