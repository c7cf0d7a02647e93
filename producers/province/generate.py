"""Puts a province together: planted scenes, the ordinary life around them, the order of arrival, the labels.

Pure: the same seed, size and end give the same province, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from producers.province.background import populate
from producers.province.cases import PLOTS, Plot
from producers.province.days import Calendar
from producers.province.labels import Label
from producers.province.publication import Publication
from producers.province.scene import Expectation, Scene, Setting
from producers.province.schedule import delay_some, in_order_of_arrival, repeat_some
from producers.province.texts import texts

DEFAULT_SIZE = 20_000


@dataclass(frozen=True)
class Province:
    """`publications` in the order of their arrival; `corrections` are published once the alerts of these exist."""

    seed: int
    size: int
    until_ms: int
    publications: tuple[Publication, ...]
    corrections: tuple[Publication, ...]
    labels: tuple[Label, ...]


def generate(
    seed: int,
    size: int = DEFAULT_SIZE,
    *,
    until_ms: int,
    plots: Sequence[Plot] = PLOTS,
    exposed: frozenset[str] = frozenset(),
) -> Province:
    """A province of `size` records (of the planted ones alone, about a thousand, if that leaves too few for more).

    Every plot is told twice, as a case and as a decoy; decoys whose scene is `exposed` lack their decisive
    fact. All instants lie in the two years before `until_ms`.
    """
    calendar = Calendar(until_ms)
    planted = [(plot, scene) for plot in plots for scene in _tell(plot, seed, calendar, exposed)]
    background = populate(seed, calendar, size - sum(scene.record_count for _, scene in planted))
    for scene in background:
        delay_some(scene)
    scenes = [scene for _, scene in planted] + background
    for scene in scenes:
        repeat_some(scene)
    return Province(
        seed,
        size,
        until_ms,
        in_order_of_arrival(filing for scene in scenes for filing in scene.filings),
        in_order_of_arrival(filing for scene in scenes for filing in scene.afterwards),
        tuple(label for plot, scene in planted for label in _labels(plot, scene)),
    )


def without_decisive_detail(province: Province, labels: Iterable[Label]) -> Province:
    """The same province, but the decoys of these labels lack the fact that excuses them, and must be found."""
    exposed = frozenset(label.scene for label in labels)
    return generate(province.seed, province.size, until_ms=province.until_ms, exposed=exposed)


def _tell(plot: Plot, seed: int, calendar: Calendar, exposed: frozenset[str]) -> Iterator[Scene]:
    for role in ("case", "decoy") if plot.has_decoy else ("case",):
        name = f"{plot.key}/{role}"
        innocent = role == "decoy" and name not in exposed
        scene = Scene(Setting(seed, name, calendar, plot.span_days, innocent))
        plot.tell(scene)
        yield scene


def _labels(plot: Plot, scene: Scene) -> Iterator[Label]:
    note = texts().notes[plot.key]
    for expectation in scene.expectations:
        label = _label(expectation, scene.setting.name, note.zh, note.en)
        if scene.innocent:
            label = replace(
                label, note_zh=f"{note.zh}；{note.excuse_zh}", note_en=f"{note.en}; {note.excuse_en}"
            )
        yield label


def _label(expectation: Expectation, scene: str, note_zh: str, note_en: str) -> Label:
    kind: Literal["case", "decoy"] = "decoy" if expectation.expected == "none" else "case"
    return Label(expectation.rule, kind, expectation.subject, expectation.expected, scene, note_zh, note_en)
