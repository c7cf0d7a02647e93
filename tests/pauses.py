"""How long a stage paused, read from the log alone: how long what came in meanwhile waited for what it gave rise to.

All instants are those at which the broker appended, so nothing depends on the clocks of workers. A record's wait at the
router ends with the first fact filed of it, a fact's at the judge with the first statement whose position it is. What
comes right at the beginning of a pause waits for all of it, so the longest wait is the pause, with what it takes to
catch up.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from streams.facts import Filing, split_filing
from streams.judge import position_of
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ALERT, fact_topic
from xiezhi.log import LogReader, RawRecord
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings


class Wait(NamedTuple):
    """One record at one stage, in milliseconds since 1970."""

    came_ms: int
    done_ms: int


def waits(stage: str, settings: Settings) -> list[Wait]:
    """Of every record or fact that something followed from so far; a tick is one, too."""
    with LogReader(settings.bootstrap_servers) as log:
        return first(_of_router(log, settings) if stage == "router" else _of_judge(log, settings))


def first(found: Iterable[tuple[Hashable, Wait]]) -> list[Wait]:
    """What followed again, filed or said once more by another worker, ends no wait."""
    done: dict[Hashable, Wait] = {}
    for place, wait in found:
        known = done.setdefault(place, wait)
        if wait.done_ms < known.done_ms:
            done[place] = wait
    return list(done.values())


def longest_s(waits: Iterable[Wait], since_ms: int, until_ms: int) -> float:
    """The longest wait of those that ended after `since_ms`, up to `until_ms`; in seconds, 0 when none did."""
    found = (one.done_ms - one.came_ms for one in waits if since_ms < one.done_ms <= until_ms)
    return max(found, default=0) / 1000


def _of_router(log: LogReader, settings: Settings) -> Iterator[tuple[Hashable, Wait]]:
    for raw in _records(log, fact_topic(settings.generation)):
        header, _ = split_filing(raw.headers)
        if header is not None:
            source = Filing.from_bytes(header).source
            place = (source.topic, source.partition, source.offset)
            yield place, Wait(source.ingested_ms, raw.ingested_ms)


def _of_judge(log: LogReader, settings: Settings) -> Iterator[tuple[Hashable, Wait]]:
    codec = Codec(ConfluentRegistry(settings.registry_url))
    said = [
        ((raw.partition, int(codec.decode_as(ALERT, raw.value or b"")["position"])), raw.ingested_ms)
        for raw in _records(log, ALERT)
    ]
    facts = _records(log, fact_topic(settings.generation))  # after: of what was said all facts are there
    came = {(one.partition, position_of(settings.generation, one.offset)): one.ingested_ms for one in facts}
    for place, said_ms in said:
        yield place, Wait(came[place], said_ms)


def _records(log: LogReader, topic: str) -> Iterator[RawRecord]:
    for partition in range(log.partitions(topic)):
        for chunk in log.read(topic, partition, 0):
            yield from chunk
