"""The scenarios on the product's own parts, as an application would use them: `python -m benchmarks.peers.ours …`.

Faust with the batch transport, the codec and the keyed store. State and input offset become durable in one write per
batch, before the batch is acknowledged; the log is what restores them, so there is no changelog topic.
"""

from __future__ import annotations

import gc
import struct
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import faust

from benchmarks.peers.outcome import (
    WINDOW_MS,
    Clock,
    Job,
    duplicates_answer,
    sum_answer,
    totals_answer,
    write,
)
from xiezhi.codec import Codec
from xiezhi.registry import ConfluentRegistry
from xiezhi.service import COLLECT_AFTER_OBJECTS
from xiezhi.settings import read_settings
from xiezhi.store import KeyedStore, RocksBackend

_NUMBER = struct.Struct(">q")
_TOTAL = b"total"


class Work(Protocol):
    """What one scenario does with a batch of Kafka records of one partition."""

    def take(self, records: Sequence[Any], store: KeyedStore) -> None: ...
    def answer(self, read: int, stores: Iterable[KeyedStore]) -> dict[str, int]: ...


class DecodeAndSum:
    """S1; keeps nothing but the offset."""

    def __init__(self, codec: Codec) -> None:
        self._decode, self._sum = codec.decode, 0

    def take(self, records: Sequence[Any], store: KeyedStore) -> None:
        self._sum += sum(self._decode(record.value)["amount_minor"] for record in records)

    def answer(self, read: int, stores: Iterable[KeyedStore]) -> dict[str, int]:
        return sum_answer(read, self._sum)


class SumPerKey:
    """S2: a row per key, read and written once a batch."""

    def __init__(self, codec: Codec) -> None:
        self._decode = codec.decode
        self._keys: set[bytes] = set()

    def take(self, records: Sequence[Any], store: KeyedStore) -> None:
        amounts: Counter[bytes] = Counter()
        for record in records:
            amounts[record.key] += self._decode(record.value)["amount_minor"]
        for key, amount in amounts.items():
            _add(store, key, _TOTAL, amount)
        self._keys |= amounts.keys()

    def answer(self, read: int, stores: Iterable[KeyedStore]) -> dict[str, int]:
        held = ((key, row) for store in stores for key in self._keys if (row := store.get(key, _TOTAL)))
        return totals_answer(read, ((key, _NUMBER.unpack(row)[0]) for key, row in held))


class Duplicates:
    """S4: a row per person and window, and a note when its count passes two."""

    def __init__(self, codec: Codec) -> None:
        self._decode = codec.decode
        self._found: list[tuple[bytes, int]] = []

    def take(self, records: Sequence[Any], store: KeyedStore) -> None:
        counts: Counter[tuple[bytes, int]] = Counter()
        for record in records:
            self._decode(record.value)
            counts[record.key, record.ingested_ms - record.ingested_ms % WINDOW_MS] += 1
        for (person, start_ms), count in counts.items():
            total = _add(store, person, _NUMBER.pack(start_ms), count)
            if total - count < 2 <= total:
                self._found.append((person, start_ms))

    def answer(self, read: int, stores: Iterable[KeyedStore]) -> dict[str, int]:
        return duplicates_answer(read, self._found)


WORKS: dict[str, type[DecodeAndSum] | type[SumPerKey] | type[Duplicates]] = {
    "S1": DecodeAndSum,
    "S2": SumPerKey,
    "S4": Duplicates,
}


def _add(store: KeyedStore, view: bytes, row: bytes, amount: int) -> int:
    held = store.get(view, row)
    total = amount + (_NUMBER.unpack(held)[0] if held else 0)
    store.put(view, row, _NUMBER.pack(total))
    return int(total)


class Run:
    """One store per partition; counts records, and leaves the result when the last batch is committed."""

    def __init__(self, job: Job, work: Work) -> None:
        self._job, self._work, self._clock, self._read = job, work, Clock(), 0
        self._stores: dict[int, KeyedStore] = {}

    def handle(self, event: Any) -> None:
        """One folded batch, through to its acknowledgement."""
        if not self._read:
            self._clock.begin()
        records = event.value
        store = self._store(records[0].partition)
        self._work.take(records, store)
        self._read += len(records)
        if self._read == self._job.records:
            self._clock.processed()
        store.commit(store.seal(records[-1].offset + 1))
        event.ack()
        if self._read == self._job.records:
            figures = self._clock.committed()
            write(self._job.folder, figures, self._work.answer(self._read, self._stores.values()))

    def _store(self, partition: int) -> KeyedStore:
        if partition not in self._stores:
            folder: Path = self._job.folder / f"store-{partition}"
            self._stores[partition] = KeyedStore(RocksBackend(folder))
        return self._stores[partition]


def app_of(job: Job) -> Any:
    app = faust.App(
        job.group,
        broker=f"xiezhi://{job.servers}",
        autodiscover=False,
        datadir=job.folder / "faust",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=2,
        broker_commit_interval=0.5,
    )
    channel = app.topic(job.topic, value_serializer="raw", key_serializer="raw")
    run = Run(job, WORKS[job.scenario](Codec(ConfluentRegistry(read_settings().registry_url))))

    @app.agent(channel, concurrency=1)  # type: ignore[untyped-decorator] # faust is untyped here
    async def _consume(stream: Any) -> None:
        async for event in stream.noack().events():
            run.handle(event)

    return app


def main(job: Job) -> None:
    gc.set_threshold(COLLECT_AFTER_OBJECTS)
    faust.Worker(app_of(job), loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(Job.of(sys.argv[1:]))
