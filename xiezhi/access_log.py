"""Reading the access trail back from the bus. A record that was forwarded twice counts once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pydantic import ValidationError

from xiezhi.codec import Codec
from xiezhi.contracts.access import Access
from xiezhi.contracts.bus import ACCESS
from xiezhi.errors import BadRecordError, ConfigurationError, UnknownSchemaError
from xiezhi.log import KafkaLog, RawRecord


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which accesses. An empty field means all; an object is called by its id or the beginning of it."""

    actor: str = ""
    object_id: str = ""
    since_ms: int = 0

    def fits(self, access: Access) -> bool:
        return (
            self.actor in ("", access.actor)
            and any(one.startswith(self.object_id) for one in (access.object_id, *access.object_ids))
            and access.accessed_ms >= self.since_ms
        )


def read_accesses(reader: KafkaLog, codec: Codec, wanted: Wanted) -> list[Access]:
    """Newest first, each once. Records that break their contract are passed over: the audit log holds them too.

    Raises ConfigurationError without the topic, BrokerUnavailableError, DeliveryError, RegistryUnavailableError.
    """
    found: dict[str, Access] = {}
    for record in _records(reader):
        access = read_access(record, codec)
        if access is not None and wanted.fits(access):
            found.setdefault(access.record_id, access)
    return sorted(found.values(), key=lambda one: (one.accessed_ms, one.record_id), reverse=True)


def _records(reader: KafkaLog) -> Iterator[RawRecord]:
    partitions = reader.partitions(ACCESS.topic)
    if not partitions:
        raise ConfigurationError(f"topic {ACCESS.topic} does not exist; run `xiezhi contracts apply` first")
    for partition in range(partitions):
        start, _ = reader.range(ACCESS.topic, partition)
        for chunk in reader.read(ACCESS.topic, partition, start):
            yield from chunk


def read_access(record: RawRecord, codec: Codec) -> Access | None:
    """The access in a record of the topic, or None when it is none."""
    try:
        return Access.model_validate(codec.decode_as(record.topic, record.value or b""))
    except (BadRecordError, UnknownSchemaError, ValidationError):
        return None
