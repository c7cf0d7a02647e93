"""Publishing a province as its departments would: each with a publisher of its own, at a steady rate."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack

from producers.province.publication import Publication, source_of
from schemas.catalogue import CONTRACTS
from xiezhi.codec import Codec
from xiezhi.publish import Publisher
from xiezhi.settings import Settings


def publish_all(publications: Iterable[Publication], settings: Settings, codec: Codec) -> int:
    """Publish in the given order and wait until the broker has everything; returns how many were delivered.

    Raises DeliveryError, RegistryUnavailableError, ConfigurationError. The same publications may be published
    again: they are recognised.
    """
    owners = sorted({contract.owner for contract in CONTRACTS})
    with ExitStack() as opened:
        departments = {
            owner: opened.enter_context(Publisher(settings, source=source_of(owner), codec=codec))
            for owner in owners
        }
        for publication in publications:
            _send(departments[publication.contract.owner], publication)
    return sum(department.delivered for department in departments.values())


def paced(
    publications: Iterable[Publication],
    records_per_s: float,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[Publication]:
    """The same publications, none before its time. A sender that falls behind catches up."""
    start = clock()
    for number, publication in enumerate(publications):
        ahead_s = start + number / records_per_s - clock()
        if ahead_s > 0:
            sleep(ahead_s)
        yield publication


def _send(department: Publisher, publication: Publication) -> None:
    if publication.record is None:
        department.withdraw(
            publication.contract,
            publication.record_id,
            occurred_ms=publication.occurred_ms,
            jurisdiction=publication.jurisdiction,
            version=publication.version,
        )
    else:
        department.publish(
            publication.contract,
            publication.record,
            occurred_ms=publication.occurred_ms,
            jurisdiction=publication.jurisdiction,
            version=publication.version,
        )
