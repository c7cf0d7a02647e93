"""Forwards the access outbox to the bus: at least once, each record with the event id that it will always have.

Never blocks: a lot is handed to the producer, and leaves the outbox when the broker has reported on it. Whatever
keeps it from being delivered (broker or registry away, contract not applied) is logged and tried again, for as long as
it takes: alerts go on being stored meanwhile, and nothing is lost from the outbox.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaException

from consumers.alerts.outbox import AccessOutbox
from xiezhi.access import JURISDICTION, SOURCE
from xiezhi.codec import Codec
from xiezhi.contracts.access import Access
from xiezhi.contracts.bus import ACCESS
from xiezhi.envelope import Envelope
from xiezhi.errors import XiezhiError

logger = logging.getLogger(__name__)

#: Records under way at once: a fraction of the producer's queue.
LOT_MAX = 500
#: How long a failure is left alone, so that a contract that was never applied does not fill the log.
RETRY_MS = 10_000
_LAST_FLUSH_S = 1.0


class Forwarder:
    """Called by the service between batches, from one thread."""

    def __init__(
        self, outbox: AccessOutbox, codec: Codec, producer: Any, *, clock: Callable[[], int]
    ) -> None:
        """`producer` is idempotent; `clock` gives milliseconds since 1970."""
        self._outbox, self._codec, self._producer, self._clock = outbox, codec, producer, clock
        self._under_way: set[str] = set()
        self._delivered: list[str] = []
        self._not_before_ms = 0

    def __call__(self) -> None:
        """Take in reports; hand over the next lot once all of the last were reported on. Raises StoreError."""
        self._producer.poll(0)
        if self._delivered:
            self._outbox.forwarded(self._delivered)
            self._delivered.clear()
        if not self._under_way and self._clock() >= self._not_before_ms:
            for record in self._outbox.waiting(LOT_MAX):
                if not self._send(record):
                    break

    def close(self) -> None:
        """A last chance for what is under way; what stays is forwarded by the next process."""
        if self._under_way:
            self._producer.flush(_LAST_FLUSH_S)
        if self._delivered:
            self._outbox.forwarded(self._delivered)

    def _send(self, record: Access) -> bool:
        envelope = Envelope.create(
            source=SOURCE,
            type=ACCESS.topic,
            subject=record.record_id,
            occurred_ms=record.accessed_ms,
            version=0,
            jurisdiction=JURISDICTION,
        )
        try:
            self._producer.produce(
                ACCESS.topic,
                key=record.record_id.encode(),
                value=self._codec.encode(ACCESS.subject, record.model_dump()),
                headers=envelope.to_headers(),
                on_delivery=self._reporter(record.record_id),
            )
        except (XiezhiError, KafkaException, BufferError) as error:
            self._failed(error)
            return False
        self._under_way.add(record.record_id)
        return True

    def _reporter(self, record_id: str) -> Callable[[Any, Any], None]:
        def report(error: Any, _message: Any) -> None:
            self._under_way.discard(record_id)
            if error is None:
                self._delivered.append(record_id)
            else:
                self._failed(error)

        return report

    def _failed(self, error: object) -> None:
        self._not_before_ms = self._clock() + RETRY_MS
        logger.warning("accesses wait to be forwarded: %s", error)
