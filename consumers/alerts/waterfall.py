"""A trace as a waterfall for a terminal: events with their stages, then the alert and what happened to it since.

Pure functions from a trace to lines of at most `cells` cells. All lines share one axis of time; what happened long
after the alert was said is marked at its end, or a delivery of the next day would shrink everything else to a dot.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from consumers.alerts.pages import ID_CHARS
from consumers.alerts.texts import Lang, text
from consumers.alerts.traces import WholeTrace, all_spans, notes_on
from xiezhi.cli.terminal import clean, clip, instant, pad, width
from xiezhi.telemetry.alert_spans import EventTrace, department
from xiezhi.telemetry.span import StageSpan

CELLS_MIN, CELLS_MAX = 60, 160
_NAME, _NUMBER = 35, 9
_INDENT = "   "
_LATER = "»"
#: The axis ends at most so many times the alert's own way after its beginning, and a second.
_AXIS_STRETCH, _AXIS_EXTRA_NS = 2, 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Axis:
    """Time from left to right, in nanoseconds, over so many cells."""

    start_ns: int
    end_ns: int
    cells: int

    @classmethod
    def of(cls, whole: WholeTrace, cells: int) -> _Axis:
        spans = list(all_spans(whole))
        start = min(span.start_ns for span in spans)
        limit = start + _AXIS_STRETCH * (whole.trace.alert.end_ns - start) + _AXIS_EXTRA_NS
        return cls(start, max(span.end_ns for span in spans if span.end_ns <= limit), cells)

    def bar(self, span: StageSpan) -> str:
        """Filled from the span's start to its end; at least a sliver where it is."""
        if span.start_ns > self.end_ns:
            return " " * (self.cells - 1) + _LATER
        length = max(1, self.end_ns - self.start_ns)
        first = min((span.start_ns - self.start_ns) * self.cells // length, self.cells - 1)
        last = min(-((self.start_ns - span.end_ns) * self.cells // length), self.cells)
        return " " * first + (
            "█" * (last - first) if last > first + 1 or span.end_ns > span.start_ns else "▏"
        )


def page(whole: WholeTrace, lang: Lang, cells: int = 80) -> list[str]:
    """Everything about one trace."""
    cells = max(CELLS_MIN, min(cells, CELLS_MAX))
    axis = _Axis.of(whole, cells - _NAME - 2 * (_NUMBER + 2) - 2)
    lines = [*_head(whole, axis, lang)]
    for event in whole.trace.events:
        lines += ["", *_event(event, axis, lang)]
    return [clip(line, cells) for line in [*lines, "", *_alert(whole, axis, lang)]]


def _head(whole: WholeTrace, axis: _Axis, lang: Lang) -> Iterator[str]:
    alert, statement = whole.stored.alert, whole.stored.statement
    words = [
        text("trace", "title", lang),
        alert.record_id[:ID_CHARS],
        alert.rule_id,
        text("value", alert.state, lang),
        instant(statement.said_ms),
    ]
    yield "  ".join(map(clean, words))
    columns = [
        pad(text("trace", "stage", lang), _NAME),
        *(_right(text("trace", name, lang)) for name in ("at", "took")),
        _ruler(axis),
    ]
    yield "  ".join(columns)


def _ruler(axis: _Axis) -> str:
    end = _time(axis.end_ns - axis.start_ns)
    return "0 " + "─" * max(0, axis.cells - len(end) - 3) + f" {end}"


def _event(event: EventTrace, axis: _Axis, lang: Lang) -> Iterator[str]:
    one = event.evidence
    owner = f"{text('trace', 'department', lang)} {department(one.topic)}"
    yield clean(f"{event.number:>2} {one.topic}/{one.partition}/{one.offset}  {owner}")
    yield f"{_INDENT}{event.context.trace_id} {event.context.span_id}"
    yield from _spans(event.spans, axis, lang)
    for note in notes_on(event):
        yield from _note(note, lang)


def _alert(whole: WholeTrace, axis: _Axis, lang: Lang) -> Iterator[str]:
    trace, statement = whole.trace, whole.stored.statement
    yield clean(
        f"{text('trace', 'statement', lang)} {statement.topic}/{statement.partition}/{statement.offset}"
    )
    yield f"{_INDENT}{trace.alert.context.trace_id} {trace.alert.context.span_id}"
    links = " ".join(f"[{event.number}]" for event in trace.events)
    yield f"{_INDENT}{text('trace', 'links', lang)} {links}"
    yield from _spans((trace.alert, *whole.since), axis, lang)
    if trace.left_out:
        yield from _note("left_out", lang, str(trace.left_out))
    for note in whole.notes():
        yield from _note(note, lang, whole.endpoint if note == "at_endpoint" else "")


def _spans(spans: Sequence[StageSpan], axis: _Axis, lang: Lang) -> Iterator[str]:
    depths: dict[str, int] = {}
    for span in spans:
        depth = depths.get(span.parent_id, -1) + 1
        depths[span.context.span_id] = depth
        branch = "  " * (depth - 1) + "└ " if depth else ""
        name = f"{_INDENT}{branch}{text('stage', span.stage, lang)} {_who(span)}"
        at, took = _time(span.start_ns - axis.start_ns), _time(span.end_ns - span.start_ns)
        cells = [pad(clip(clean(name), _NAME), _NAME), _right(at), _right(took), axis.bar(span)]
        yield "  ".join(cells).rstrip()


def _who(span: StageSpan) -> str:
    """The department that published, the rule that judged, or the service that did it."""
    if span.stage == "judge":
        return str(span.attributes.get("xiezhi.rule.id", ""))
    return span.service.removeprefix("xiezhi-")


def _note(name: str, lang: Lang, detail: str = "") -> Iterator[str]:
    """One line in each language, so that it fits."""
    langs: tuple[Lang, ...] = ("zh", "en") if lang == "both" else (lang,)
    for each in langs:
        yield clean(f"{_INDENT}! {text('trace', name, each)} {detail}".rstrip())


def _right(cell: str) -> str:
    return " " * (_NUMBER - width(cell)) + cell


def _time(ns: int) -> str:
    """`4 ms`, `1.23 s`, `12m 03s`, `5h 12m`."""
    seconds = ns / 1e9
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes = round(seconds / 60) if seconds >= 3600 else int(seconds // 60)
    return (
        f"{minutes // 60}h {minutes % 60:02d}m" if minutes >= 60 else f"{minutes}m {int(seconds % 60):02d}s"
    )
