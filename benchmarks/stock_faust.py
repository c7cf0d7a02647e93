"""The yardstick: a stock Faust agent that only decodes. `python -m benchmarks.stock_faust SERVERS TOPIC RECORDS FILE`.

Written as Faust's documentation writes agents: plain `kafka://`, one event per record. It reads Avro with fastavro and
does nothing with it. After RECORDS records it writes what that took to FILE, and goes on until TERM.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import faust
from fastavro import schemaless_reader

from schemas.catalogue import CONTRACTS
from xiezhi.contracts.avro import parse


def app_of(servers: str, topic: str, records: int, file: Path) -> Any:
    """The application; everything that is not Faust's default keeps it off the network or from creating topics."""
    contract = next(one for one in CONTRACTS if one.topic == topic)
    schema = parse(json.dumps(contract.schema))
    app = faust.App(
        f"benchmark-{file.stem}",
        broker=f"kafka://{servers}",
        autodiscover=False,
        datadir=file.with_suffix(".faust"),
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
    )
    channel = app.topic(topic, value_serializer="raw", key_serializer="raw")

    @app.agent(channel)  # type: ignore[untyped-decorator] # faust is untyped here
    async def _decode(values: Any) -> None:
        read, begun, cpu = 0, 0.0, 0.0
        async for value in values:
            if read == 0:  # the first starts the clock, so that starting up does not count
                begun, cpu = time.monotonic(), time.process_time()
            schemaless_reader(BytesIO(value[5:]), schema)
            read += 1
            if read == records:
                _write(file, read - 1, time.monotonic() - begun, time.process_time() - cpu)

    return app


def _write(file: Path, records: int, seconds: float, cpu_s: float) -> None:
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    result = {"records": records, "seconds": seconds, "cpu_s": cpu_s, "peak_rss_mb": peak_mb}
    part = file.with_suffix(".part")
    part.write_text(json.dumps(result), "utf-8")
    part.rename(file)  # whoever waits for it never sees half of it


def main(servers: str, topic: str, records: int, file: Path) -> None:
    app = app_of(servers, topic, records, file)
    faust.Worker(app, loglevel="WARNING", redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), Path(sys.argv[4]))
