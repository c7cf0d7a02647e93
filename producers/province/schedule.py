"""The order in which publications reach the bus, and what goes wrong on the way.

Departments are late by months, send the same thing twice, and send a correction before what it corrects. None
of it may change what is finally said; background records are late only where the gap cannot even be noticed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from producers.province.days import DAY_MS
from producers.province.publication import Publication
from producers.province.scene import Filing, Scene
from schemas.catalogue import ACCEPTANCE, BID, FINDING, RECTIFICATION

_REPEATED = 0.02
_LATE = 0.03
_OVERTAKEN = 0.25
_LATE_DAYS = (30, 240)

#: Without these a rule has, for a while, good reason to say what it later takes back: too few bids, no acceptance, a
#: finding that nobody puts right or takes back.
_MISSED_WHEN_LATE = frozenset({BID, ACCEPTANCE, FINDING, RECTIFICATION})


def in_order_of_arrival(filings: Iterable[Filing]) -> tuple[Publication, ...]:
    """Publications as they reach the bus. What arrives in the same instant keeps its order."""
    return tuple(filing.publication for filing in sorted(filings, key=lambda filing: filing.arrives_ms))


def repeat_some(scene: Scene) -> None:
    """A few publications are sent twice, hours to weeks apart, exactly as they were."""
    for filing in tuple(scene.filings):
        if scene.rng.random() < _REPEATED:
            pause_ms = round(scene.rng.uniform(0.01, 40) * DAY_MS)
            scene.filings.append(replace(filing, arrives_ms=filing.arrives_ms + pause_ms))


def delay_some(scene: Scene) -> None:
    """A few publications arrive months late, and some corrections before the statement that they correct."""
    scene.filings = [_late(filing, scene) for filing in scene.filings]
    for newer in range(len(scene.filings)):
        older = _predecessor(scene.filings, newer)
        if older is not None and scene.rng.random() < _OVERTAKEN:
            _swap_arrivals(scene.filings, older, newer)


def _late(filing: Filing, scene: Scene) -> Filing:
    if filing.publication.contract in _MISSED_WHEN_LATE or scene.rng.random() >= _LATE:
        return filing
    arrives_ms = filing.arrives_ms + scene.rng.randint(*_LATE_DAYS) * DAY_MS
    return replace(filing, arrives_ms=arrives_ms) if arrives_ms < scene.setting.calendar.until_ms else filing


def _predecessor(filings: Sequence[Filing], newer: int) -> int | None:
    """Where the statement stands that the one at `newer` replaces, if it replaces any."""
    publication = filings[newer].publication
    for index in range(newer - 1, -1, -1):
        if filings[index].publication.record_id == publication.record_id:
            return index if filings[index].publication.version < publication.version else None
    return None


def _swap_arrivals(filings: list[Filing], one: int, other: int) -> None:
    first, second = filings[one], filings[other]
    filings[one] = replace(first, arrives_ms=second.arrives_ms)
    filings[other] = replace(second, arrives_ms=first.arrives_ms)
