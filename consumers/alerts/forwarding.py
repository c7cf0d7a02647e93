"""Forwards the access outbox to the bus: at least once, each record with the event id that it will always have.

Never blocks: a lot is handed to the producer, and leaves the outbox when the broker has reported on it. Whatever
keeps it from being delivered (broker or registry away, contract not applied) is logged and tried again, for as long as
it takes: alerts go on being stored meanwhile, and nothing is lost from the outbox. A row that can never be sent (edited
by hand, too large for the broker) is set aside for a while: it stays in the outbox, and the others go on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from consumers.alerts.outbox import AccessOutbox
from xiezhi.access import JURISDICTION, SOURCE
from xiezhi.codec import Codec
from xiezhi.contracts.access import Access
from xiezhi.contracts.bus import ACCESS
from xiezhi.envelope import Envelope
from xiezhi.errors import RecordRefusedError, XiezhiError

logger = logging.getLogger(__name__)

#: Records under way at once: a fraction of the producer's queue.
LOT_MAX = 500
#: How long a failure is left alone, so that a contract that was never applied does not fill the log.
RETRY_MS = 10_000
_LAST_FLUSH_S = 1.0
#: How long a row that was refused is passed over; then it is tried, and complained about, again.
SET_ASIDE_MS = 600_000
#: Rows set aside; each costs memory and a parameter of every query, and so many have another cause than themselves.
SET_ASIDE_MAX = 100
_NEVER_ACCEPTED = (KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_MSG, KafkaError.INVALID_RECORD)


class Forwarder:
    """Called by the service between batches, from one thread."""

    def __init__(
        self, outbox: AccessOutbox, codec: Codec, producer: Any, *, clock: Callable[[], int]
    ) -> None:
        """`producer` is idempotent; `clock` gives milliseconds since 1970."""
        self._outbox, self._codec, self._producer, self._clock = outbox, codec, producer, clock
        self._under_way: set[str] = set()
        self._delivered: list[str] = []
        self._set_aside: set[str] = set()
        self._try_again_ms = 0  # when those are tried again
        self._not_before_ms = 0

    def __call__(self) -> None:
        """Take in reports; hand over the next lot once all of the last were reported on. Raises StoreError."""
        self._producer.poll(0)
        if self._delivered:
            self._outbox.forwarded(self._delivered)
            self._delivered.clear()
        if self._set_aside and self._clock() >= self._try_again_ms:
            self._set_aside.clear()
        if not self._under_way and self._clock() >= self._not_before_ms:
            for record_id, content in self._outbox.rows(LOT_MAX, without=self._set_aside).items():
                if not self._forward(record_id, content):
                    break

    def close(self) -> None:
        """A last chance for what is under way; what stays is forwarded by the next process."""
        if self._under_way:
            self._producer.flush(_LAST_FLUSH_S)
        if self._delivered:
            self._outbox.forwarded(self._delivered)

    def _forward(self, record_id: str, content: str) -> bool:
        """Hand one row over; False when the next ones would fail as well."""
        try:
            record = Access.model_validate_json(content)
            if record.record_id != record_id:
                raise ValueError("its content is of another record")
            return self._send(record)
        except (ValueError, RecordRefusedError) as error:  # pydantic's errors are ValueErrors
            return self._put_aside(record_id, f"{type(error).__name__} in its content")

    def _put_aside(self, record_id: str, why: object) -> bool:
        """Go on without it. False when there are too many: then something else than the rows must be wrong."""
        if len(self._set_aside) >= SET_ASIDE_MAX:
            self._failed(why)
            return False
        self._set_aside.add(record_id)
        self._try_again_ms = self._clock() + SET_ASIDE_MS
        logger.error(
            "access %s cannot be forwarded (%s) and is set aside; it stays in the table access_outbox of the alert "
            "store: look who changed it, then correct or delete the row",
            record_id,
            why,
        )
        return True

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
        except RecordRefusedError:
            raise
        except (XiezhiError, KafkaException, BufferError) as error:
            if _is_of_the_record(error.args[0] if error.args else None):
                return self._put_aside(record.record_id, error)
            self._failed(error)
            return False
        self._under_way.add(record.record_id)
        return True

    def _reporter(self, record_id: str) -> Callable[[Any, Any], None]:
        def report(error: Any, _message: Any) -> None:
            self._under_way.discard(record_id)
            if error is None:
                self._delivered.append(record_id)
            elif _is_of_the_record(error):
                self._put_aside(record_id, error)
            else:
                self._failed(error)

        return report

    def _failed(self, error: object) -> None:
        self._not_before_ms = self._clock() + RETRY_MS
        logger.warning("accesses wait to be forwarded: %s", error)


def _is_of_the_record(error: object) -> bool:
    """Whether the broker or the client refuses this record, rather than being away."""
    return isinstance(error, KafkaError) and error.code() in _NEVER_ACCEPTED
