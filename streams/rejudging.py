"""Judging keys again in the background: slices of the open sweeps, at a bounded rate, between fresh batches.

How far that is, is told in the log, as a metric, and as the offsets of a consumer group without members, which any
process can ask for. Only what was delivered counts as done.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from time import monotonic, perf_counter
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from streams.cores import JudgeCore
from streams.stage import Assigned, Stage, Work
from xiezhi.telemetry import catalogue
from xiezhi.telemetry.meters import Meters

logger = logging.getLogger(__name__)

#: Views judged at a time, at most, and fewer where they take longer than this: a fresh fact waits for one slice. Far
#: smaller ones would each pay for a batch of their own.
SLICE_VIEWS = 50
SLICE_S = 0.01
#: How often it is looked whether anything is to be judged again, and told how far that is.
LOOK_INTERVAL_S = 0.25

#: Told partition -> offset before which every activation is judged on every key. Does not block.
Report = Callable[[Mapping[int, int]], None]


@dataclass(slots=True)
class _Progress:
    """What is known of one assignment of a partition."""

    assigned: Assigned
    sweeping: tuple[str, ...] = ()
    under_way: int = 0  # slices whose statements are not yet all on the broker
    upto: int = 0
    slice_views: int = SLICE_VIEWS
    begun_s: float = field(default_factory=monotonic)
    swept_before: int = 0

    @property
    def core(self) -> JudgeCore:
        assert isinstance(self.assigned.core, JudgeCore)
        return self.assigned.core


class Rejudging:
    """The background work of one judge process: at most `keys_per_s`, and at most half of the time."""

    def __init__(
        self, stage: Stage, topic: str, keys_per_s: float, report: Report, meters: Meters | None = None
    ) -> None:
        self._stage, self._topic, self._keys_per_s = stage, topic, keys_per_s
        self._report, self._meters = report, meters or Meters()
        self._meters.count(catalogue.REJUDGED, 0)  # one that first appears at 1 is not seen to have risen
        self._known: dict[int, _Progress] = {}
        self._reported: dict[int, int] = {}
        self._told_s = 0.0

    async def run(self) -> None:
        """Forever, for whatever partitions are open."""
        try:
            while True:
                sweeping = [one for one in self._open() if one.sweeping]
                for progress in sweeping:
                    await self._slice(progress)
                self._tell()
                if not sweeping:
                    await asyncio.sleep(LOOK_INTERVAL_S)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 -- keys that nobody judged again would be wrong without a word
            self._stage.fail(error)

    def _open(self) -> list[_Progress]:
        """The partitions that are open here and were told what was said."""
        known: dict[int, _Progress] = {}
        for one in self._stage.assigned(self._topic):
            held = self._known.get(one.partition)
            if one.ready and not one.revoked:
                known[one.partition] = held if held and held.assigned is one else _Progress(one)
        self._reported = {number: self._reported[number] for number in known if number in self._reported}
        self._known = known
        for progress in known.values():
            self._note(progress)
        return list(known.values())

    def _note(self, progress: _Progress) -> None:
        """Say in the log what began and what ended."""
        place, before = f"{self._topic}/{progress.assigned.partition}", progress.sweeping
        progress.sweeping = progress.core.sweeping
        if progress.sweeping and not before:
            progress.begun_s, progress.swept_before = monotonic(), progress.core.swept
            logger.info(
                "%s: judging again the keys of %s",
                place,
                ", ".join(name or "all joins" for name in progress.sweeping),
            )
        elif before and not progress.sweeping:
            judged, took_s = progress.core.swept - progress.swept_before, monotonic() - progress.begun_s
            logger.info("%s: judged again %s keys in %.1f s", place, judged, took_s)

    async def _slice(self, progress: _Progress) -> None:
        """Judge some keys again, then leave as much time to others."""
        judged, took_s = 0, 0.0

        def effects() -> Work:
            nonlocal judged, took_s
            begun_s, before = perf_counter(), progress.core.swept
            work = progress.core.rejudge(progress.slice_views)
            judged, took_s = progress.core.swept - before, perf_counter() - begun_s
            return work

        progress.under_way += 1
        await self._stage.act(progress.assigned, effects, event=_Delivered(progress))
        self._meters.count(catalogue.REJUDGED, judged)
        if judged:
            progress.slice_views = max(1, min(SLICE_VIEWS, int(judged * SLICE_S / max(took_s, 1e-9))))
        await asyncio.sleep(max(took_s, judged / self._keys_per_s))

    def _tell(self) -> None:
        if monotonic() - self._told_s < LOOK_INTERVAL_S:
            return
        self._told_s = monotonic()
        for progress in self._known.values():
            _move(progress)
        news = {n: one.upto for n, one in self._known.items() if self._reported.get(n) != one.upto}
        if news:
            self._report(news)
            self._reported |= news


@dataclass(slots=True)
class _Delivered:
    """Acknowledged when all that a slice gave rise to is on the broker."""

    progress: _Progress

    def ack(self) -> None:
        self.progress.under_way -= 1


def _move(progress: _Progress) -> None:
    open_since = progress.core.swept_upto
    if open_since is not None:
        progress.upto = open_since
    elif not progress.under_way:
        progress.upto = progress.assigned.next_offset


def group_report(bootstrap_servers: str, group: str, topic: str) -> Report:
    """Tell it as what `group` has committed of `topic`. One that is lost is made up for by the next."""
    consumer: Any = Consumer({"bootstrap.servers": bootstrap_servers, "group.id": group}, logger=logger)

    def report(upto: Mapping[int, int]) -> None:
        places = [TopicPartition(topic, number, offset) for number, offset in upto.items()]
        consumer.commit(offsets=places, asynchronous=True)

    return report
