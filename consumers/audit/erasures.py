"""Which salts were erased on purpose, as the access trail says: a salt that is gone without a word hides something."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from consumers.audit.checking import KafkaLog
from xiezhi.access import Act
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ACCESS
from xiezhi.errors import BadRecordError, UnknownSchemaError

COMMAND: Final = "audit erase-salts"


def erasure(addresses: tuple[str, ...]) -> Act:
    """What goes on the access trail before the salts of these records (`topic/partition/offset`) are erased."""
    return Act("change", "record", addresses, COMMAND)


def stated(log: KafkaLog, codec: Codec) -> frozenset[str]:
    """Addresses of all records whose salts were ever to be erased.

    An access that cannot be read says nothing. Raises BrokerUnavailableError, DeliveryError, RegistryUnavailableError.
    """
    found: set[str] = set()
    for partition in range(log.partitions(ACCESS)):
        for chunk in log.read(ACCESS, partition, 0):
            for raw in chunk:
                with suppress(BadRecordError, UnknownSchemaError):
                    access = codec.decode_as(ACCESS, raw.value or b"")
                    if access.get("command") == COMMAND:
                        found |= {access["object_id"], *access["object_ids"]}
    return frozenset(found)
