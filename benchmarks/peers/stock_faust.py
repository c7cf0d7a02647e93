"""The scenarios in stock Faust, as its documentation writes them: `python -m benchmarks.peers.stock_faust SCENARIO …`.

Plain `kafka://`, one event per record, tables in memory with their changelog topics. What is not Faust's default keeps
it off the network.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from io import BytesIO
from typing import Any

import faust
from fastavro import parse_schema, schemaless_reader

from benchmarks.peers.outcome import (
    PREFIX_BYTES,
    WINDOW_DAYS,
    WINDOW_MS,
    Clock,
    Job,
    duplicates_answer,
    sum_answer,
    totals_answer,
    write,
)

PARTITIONS = 2


class Decoder:
    """Avro behind the five bytes with which the registry's clients frame it."""

    def __init__(self, job: Job) -> None:
        self._schema = parse_schema(json.loads(job.schema.read_text("utf-8")))

    def __call__(self, data: bytes) -> Any:
        stream = BytesIO(data)
        stream.seek(PREFIX_BYTES)
        return schemaless_reader(stream, self._schema)


class Run:
    """Counts records; when all are through, has everything committed and leaves the result."""

    def __init__(self, app: Any, job: Job) -> None:
        self._app, self._job = app, job
        self.read, self.clock, self._processed = 0, Clock(), asyncio.Event()
        self.answer: Callable[[], dict[str, int]]

    def begin(self) -> None:
        """In front of everything else, for each record."""
        if self.read == 0:
            self.clock.begin()
        self.read += 1

    def end(self) -> None:
        """Behind everything else, for each record."""
        if self.read == self._job.records:
            self.clock.processed()
            self._processed.set()

    async def finish(self) -> None:
        await self._processed.wait()
        await self._app.producer.flush()  # changelogs
        await self._app.consumer.commit()
        write(self._job.folder, self.clock.committed(), self.answer())


def app_of(job: Job) -> Any:
    app = faust.App(
        job.group,
        broker=f"kafka://{job.servers}",
        autodiscover=False,
        datadir=job.folder / "faust",
        web_enabled=False,
        topic_disable_leader=True,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
    )
    channel = app.topic(job.topic, value_serializer="raw", key_serializer="raw", partitions=PARTITIONS)
    run, decode = Run(app, job), Decoder(job)
    agents: dict[str, Callable[..., Callable[[Any], Awaitable[None]]]] = {
        "S1": _decode_and_sum,
        "S2": _sum_per_key,
        "S4": _duplicates,
    }
    app.agent(channel)(agents[job.scenario](app, run, decode))
    app.task(run.finish)
    return app


def _decode_and_sum(app: Any, run: Run, decode: Decoder) -> Callable[[Any], Awaitable[None]]:
    total = 0

    async def add(values: Any) -> None:
        nonlocal total
        async for value in values:
            run.begin()
            total += decode(value)["amount_minor"]
            run.end()

    run.answer = lambda: sum_answer(run.read, total)
    return add


def _sum_per_key(app: Any, run: Run, decode: Decoder) -> Callable[[Any], Awaitable[None]]:
    totals = app.Table("totals", default=int, key_type=bytes, partitions=PARTITIONS)

    async def add(values: Any) -> None:
        async for key, value in values.items():
            run.begin()
            totals[key] += decode(value)["amount_minor"]
            run.end()

    run.answer = lambda: totals_answer(run.read, totals.items())
    return add


def _duplicates(app: Any, run: Run, decode: Decoder) -> Callable[[Any], Awaitable[None]]:
    length = timedelta(days=WINDOW_DAYS)
    table = app.Table("benefits", default=int, key_type=str, partitions=PARTITIONS)
    benefits = table.tumbling(length, expires=2 * length)
    found: list[tuple[bytes, int]] = []

    async def count(values: Any) -> None:
        async for event in values.events():
            run.begin()
            decode(event.value)
            person = event.key.decode()  # the key of a window is JSON
            benefits[person] += 1
            if benefits[person].current() == 2:
                at_ms = round(event.message.timestamp * 1000)
                found.append((event.key, at_ms - at_ms % WINDOW_MS))
            run.end()

    run.answer = lambda: duplicates_answer(run.read, found)
    return count


def main(job: Job) -> None:
    faust.Worker(app_of(job), loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(Job.of(sys.argv[1:]))
