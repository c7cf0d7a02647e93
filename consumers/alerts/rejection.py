"""Dead letters of the alert store: sent for a whole batch, and awaited before the batch is acknowledged."""

from __future__ import annotations

import logging
from typing import Any

from xiezhi.dead_letters import DeadLetters
from xiezhi.errors import BadRecordError, DeadLetterLimitError, DeliveryError
from xiezhi.log import RawRecord

logger = logging.getLogger(__name__)

Rejected = list[tuple[RawRecord, BadRecordError]]

_ANSWER_S = 30.0


class DeadLetterDesk:
    """Sends dead letters and waits until the broker has them."""

    def __init__(self, producer: Any, letters: DeadLetters) -> None:
        self._producer, self._letters = producer, letters

    def __call__(self, rejected: Rejected) -> None:
        """Raises DeliveryError, DeadLetterLimitError, RegistryUnavailableError."""
        failures: list[str] = []

        def delivered(error: Any, _message: Any) -> None:
            if error is not None:
                failures.append(str(error))

        for record, error in rejected:
            logger.warning("%s/%s/%s is no alert: %s", record.topic, record.partition, record.offset, error)
            try:
                self._letters.send(record, reason=error.reason, detail=error.detail, on_delivered=delivered)
            except DeadLetterLimitError:
                self._producer.flush(_ANSWER_S)  # whoever is called to look finds those up to the limit
                raise
        if rejected and (self._producer.flush(_ANSWER_S) > 0 or failures):
            cause = failures[0] if failures else f"no report within {_ANSWER_S:.0f} s"
            raise DeliveryError(
                f"dead letters were not accepted: {cause}; the batch is read again after a restart"
            )
