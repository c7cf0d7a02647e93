"""When records were ingested, in minutes after everything that they say has happened."""

from __future__ import annotations

from dataclasses import replace

from streams.kernel import Statement
from tests.builders import instant

BEGIN = instant("2027-01-04 10:00")
MINUTE = 60_000


def ingested(record: Statement, minute: float) -> Statement:
    return replace(record, source=record.source._replace(ingested_ms=BEGIN + int(minute * MINUTE)))
