"""Which salts were erased on purpose, as the access trail says: a salt that is gone without a word hides something."""

from __future__ import annotations

from typing import Final

from xiezhi.access import Act
from xiezhi.access_log import Wanted, read_accesses
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ACCESS
from xiezhi.log import KafkaLog

COMMAND: Final = "audit erase-salts"


def erasure(addresses: tuple[str, ...]) -> Act:
    """What goes on the access trail before the salts of these records (`topic/partition/offset`) are erased."""
    return Act("change", "record", addresses, COMMAND)


def stated(log: KafkaLog, codec: Codec) -> frozenset[str]:
    """Addresses of all records whose salts were ever to be erased, as `xiezhi access list` shows them to people.

    Raises BrokerUnavailableError, DeliveryError, RegistryUnavailableError.
    """
    if not log.partitions(ACCESS):
        return frozenset()
    return frozenset(
        address
        for access in read_accesses(log, codec, Wanted())
        if (access.action, access.object_type, access.command) == ("change", "record", COMMAND)
        for address in (access.object_id, *access.object_ids)
    )
