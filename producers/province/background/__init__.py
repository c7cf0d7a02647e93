"""The ordinary life of the province, in which no rule has anything to say, told until it has filled the size.

Each story is a scene of its own. Shares say how many of the records each kind of story brings; benefits, which
come one record at a time, fill the rest exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from producers.province.background.oversight import AUDIT_DAYS, GRANTS_DAYS, audit, grants
from producers.province.background.people import CADRE_DAYS, MONTHS, cadre, household, household_days
from producers.province.background.purchasing import BOOKKEEPING_DAYS, PURCHASE_DAYS, bookkeeping, purchase
from producers.province.background.society import Society, settle
from producers.province.days import Calendar
from producers.province.scene import Scene, Setting
from producers.province.units import dice

_RECORDS_PER_OFFICE = 250
_RECORDS_PER_GROUP = 75
_OFFICES_MIN, _GROUPS_MIN = 12, 12  # fewer would make everyone meet everyone
_LEAST = 1_000  # offices and groups at their least, and some life beside them


@dataclass(frozen=True)
class Story:
    """A kind of story, how long it takes and which part of the records it brings."""

    kind: str
    share: float
    span_days: int
    tell: Callable[[Scene, Society], None]


_STORIES = (
    Story("purchase", 0.40, PURCHASE_DAYS, purchase),
    Story("bookkeeping", 0.05, BOOKKEEPING_DAYS, bookkeeping),
    Story("cadre", 0.05, CADRE_DAYS, cadre),
    Story("grants", 0.04, GRANTS_DAYS, grants),
    Story("audit", 0.02, AUDIT_DAYS, audit),
)


def populate(seed: int, calendar: Calendar, records: int) -> list[Scene]:
    """Scenes of `records` records together; of none if that is too few for a society to live on."""
    stage = _Stage(seed, calendar)
    if records < _LEAST:
        return stage.scenes
    society = settle(
        stage.open,
        offices=max(_OFFICES_MIN, records // _RECORDS_PER_OFFICE),
        groups=max(_GROUPS_MIN, records // _RECORDS_PER_GROUP),
    )
    for story in _STORIES:
        _tell(story, stage, society, round(records * story.share))
    _fill(stage, records - sum(scene.record_count for scene in stage.scenes))
    return stage.scenes


class _Stage:
    """Opens scenes and keeps them."""

    def __init__(self, seed: int, calendar: Calendar) -> None:
        self.seed, self._calendar = seed, calendar
        self.scenes: list[Scene] = []

    def open(self, kind: str, number: int, span_days: int = 60) -> Scene:
        scene = Scene(Setting(self.seed, f"background/{kind}/{number}", self._calendar, span_days))
        self.scenes.append(scene)
        return scene


def _tell(story: Story, stage: _Stage, society: Society, records: int) -> None:
    told = number = 0
    while told < records:
        scene = stage.open(story.kind, number, story.span_days)
        story.tell(scene, society)
        told, number = told + scene.record_count, number + 1


def _fill(stage: _Stage, records: int) -> None:
    number = 0
    rng = dice(stage.seed, "background/months")
    while records > 0:
        months = rng.randint(*MONTHS)
        scene = stage.open("household", number, household_days(months))
        household(scene, months, records)
        records, number = records - scene.record_count, number + 1
