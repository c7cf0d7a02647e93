"""Publishes a stream at a fixed rate, come what may: `python -m benchmarks.latency.sender FIRST RECORDS RATE FILE`.

Open loop: the moment at which a record should be sent follows from its place in the stream alone, and latency counts
from there, so that a bus that slows its sender down does not look faster for it. Settings come from the environment;
the client is set up as every publisher's. FILE tells when the first record was due and how late the sender ever was.
"""

from __future__ import annotations

import gc
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from confluent_kafka import Producer

from benchmarks.latency.stream import Stream
from benchmarks.workload import Encoded, encode
from xiezhi.codec import Codec
from xiezhi.errors import DeliveryError
from xiezhi.publish import producer_settings
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import read_settings

#: Between getting ready and the first record.
LEAD_S = 1.0
#: The longest pause: bounds how late a record is sent on an idle machine.
PAUSE_S = 0.001
FLUSH_TIMEOUT_S = 120.0


def send(
    records: Sequence[Encoded],
    rate: float,
    producer: Any,
    *,
    seconds: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, float]:
    """Returns when the first record was due (Unix time, ns), and by how many seconds the latest was sent late."""
    due_unix_ns = time.time_ns() + int(LEAD_S * 1e9)
    due, late = seconds() + LEAD_S, 0.0
    failed: list[str] = []

    def delivered(error: Any, message: Any) -> None:
        if error is not None:
            failed.append(f"{message.topic()}: {error}")

    for number, one in enumerate(records):
        while (ahead := due + number / rate - seconds()) > 0:
            producer.poll(0)
            sleep(min(ahead, PAUSE_S))
        late = max(late, -ahead)
        producer.produce(one.topic, one.value, one.key, headers=one.headers, on_delivery=delivered)
    if producer.flush(FLUSH_TIMEOUT_S) or failed:
        raise DeliveryError(f"the stream could not be published: {failed[:1] or 'timeout'}")
    return due_unix_ns, late


def main(first: int, records: int, rate: float, file: Path) -> None:
    settings = read_settings()
    encoded = encode(Stream(first, records).live(), Codec(ConfluentRegistry(settings.registry_url)))
    gc.disable()  # a walk through all that is to be sent would hold the sender up
    due_unix_ns, late_s = send(encoded, rate, Producer(producer_settings(settings)))
    part = file.with_suffix(".part")
    part.write_text(json.dumps({"due_unix_ns": due_unix_ns, "late_s": late_s}), "utf-8")
    part.rename(file)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4]))
