"""What the alert store measures, once per batch."""

from __future__ import annotations

from collections.abc import Sequence

from consumers.alerts.rejection import Rejected
from consumers.alerts.statement import Stored
from xiezhi.groups import ALERT_STORE
from xiezhi.log import RawRecord
from xiezhi.telemetry import catalogue
from xiezhi.telemetry.meters import Meters

STAGE = "alert-store"


class Measure:
    """The counters of the alert store's service."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters

    def batch(
        self, records: Sequence[RawRecord], stored: Sequence[Stored], rejected: Rejected, took_s: float
    ) -> None:
        """One batch is stored; `stored` is what took effect of it."""
        topic = records[0].topic
        self._meters.count(catalogue.CONSUMED, len(records), topic, ALERT_STORE)
        self._meters.count(catalogue.BATCHES, 1, STAGE, topic)
        self._meters.count(catalogue.BUSY, took_s, STAGE, topic)
        for record, error in rejected:
            self._meters.count(catalogue.DEAD_LETTERS, 1, STAGE, record.topic, error.reason)
        for one in stored:
            alert = one.alert
            self._meters.count(catalogue.STORED, 1, alert.severity, alert.state)
            took_ms = max(0, one.stored_ms - alert.times.judged_ms)
            self._meters.observe(catalogue.ALERT_LATENCY, took_ms / 1000, "said_stored")

    def waited(self, on: str, seconds: float) -> None:
        self._meters.count(catalogue.WAITED, seconds, STAGE, on)
