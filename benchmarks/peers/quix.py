"""The scenarios in Quix Streams, as its documentation writes them: `python -m benchmarks.peers.quix SCENARIO …`.

A custom deserializer reads Avro with fastavro; going to the registry's client for it would be slower. State and windows
are those of StreamingDataFrame, with their defaults: RocksDB, changelog topics, a checkpoint each five seconds.
Runs in an environment of its own (`quix_environment.py`), where neither Xiezhi nor its types are.
"""
# mypy: ignore-errors
# Quix Streams is not installed where types are checked.

from __future__ import annotations

import json
import sys
from datetime import timedelta
from io import BytesIO

from fastavro import parse_schema, schemaless_reader
from quixstreams import Application
from quixstreams.models import Deserializer

from benchmarks.peers.outcome import (
    PREFIX_BYTES,
    WINDOW_DAYS,
    Clock,
    Job,
    duplicates_answer,
    sum_answer,
    totals_answer,
    write,
)


class PaymentDeserializer(Deserializer):
    """Avro behind the five bytes with which the registry's clients frame it."""

    def __init__(self, schema):
        super().__init__()
        self._schema = parse_schema(schema)

    def __call__(self, value, ctx):
        stream = BytesIO(value)
        stream.seek(PREFIX_BYTES)
        return schemaless_reader(stream, self._schema)


class Run:
    """Counts records, keeps what the answer needs."""

    def __init__(self, records):
        self.records, self.read, self.clock = records, 0, Clock()
        self.sum, self.totals, self.duplicates = 0, {}, []

    def count(self, value):
        """In front of everything else."""
        if self.read == 0:
            self.clock.begin()
        self.read += 1

    def last(self, value):
        """Behind everything else."""
        if self.read == self.records:
            self.clock.processed()

    def add(self, payment):
        self.sum += payment["amount_minor"]

    def add_to_key(self, payment, key, timestamp, headers, state):
        total = state.get("total", 0) + payment["amount_minor"]
        state.set("total", total)
        self.totals[key] = total

    def note_duplicate(self, window, key, timestamp, headers):
        if window["value"] == 2:
            self.duplicates.append((key, window["start"]))

    def answer(self, scenario):
        if scenario == "S1":
            return sum_answer(self.read, self.sum)
        if scenario == "S2":
            return totals_answer(self.read, self.totals.items())
        return duplicates_answer(self.read, self.duplicates)


def main(job: Job) -> None:
    run = Run(job.records)
    app = Application(
        broker_address=job.servers,
        consumer_group=job.group,
        auto_offset_reset="earliest",
        state_dir=job.folder / "state",
        loglevel="WARNING",
    )
    schema = json.loads(job.schema.read_text("utf-8"))
    topic = app.topic(job.topic, value_deserializer=PaymentDeserializer(schema), key_deserializer="bytes")
    frame = app.dataframe(topic).update(run.count)
    if job.scenario == "S1":
        frame = frame.update(run.add)
    elif job.scenario == "S2":
        frame = frame.update(run.add_to_key, stateful=True, metadata=True)
    else:
        frame = frame.tumbling_window(timedelta(days=WINDOW_DAYS)).count().current()
        frame = frame.update(run.note_duplicate, metadata=True)
    frame.update(run.last)
    app.run(count=job.records, collect=False)  # commits its checkpoint before it returns
    write(job.folder, run.clock.committed(), run.answer(job.scenario))


if __name__ == "__main__":
    main(Job.of(sys.argv[1:]))
