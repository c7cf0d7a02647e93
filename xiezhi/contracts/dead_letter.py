"""The dead letter: a record that broke its contract, whole and unchanged, with the reason and where it stood."""

from __future__ import annotations

from pydantic import ConfigDict

from xiezhi.contracts.base import Record
from xiezhi.contracts.evidence import Count, Part, SmallCount
from xiezhi.contracts.types import Instant


class Source(Part):
    """Where the log holds the record."""

    topic: str
    partition: SmallCount
    offset: Count
    ingested_ms: Instant


class Header(Part):
    """One Kafka header, bytes as they came."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    name: str
    value: bytes | None = None


class DeadLetter(Record):
    """A record set aside by one stage. In JSON, bytes are base64."""

    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

    stage: str
    reason: str
    detail: str
    attempts: SmallCount
    source: Source
    key: bytes | None = None
    value: bytes | None = None
    headers: list[Header]
    failed_ms: Instant
