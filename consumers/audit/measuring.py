"""What the audit service measures: batches as they are taken, the log as it is signed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from xiezhi.groups import AUDIT
from xiezhi.log import RawRecord
from xiezhi.telemetry import catalogue
from xiezhi.telemetry.meters import Meters

STAGE = "audit"


class Measure:
    """The instruments of the audit service. The gauges are read by the endpoint's thread, so they are plain numbers."""

    def __init__(self, meters: Meters) -> None:
        self._meters = meters
        self._leaves = self._unsigned = 0
        self._signed_s = 0.0
        meters.read(catalogue.AUDIT_LEAVES, lambda: [(self._leaves, ())])
        meters.read(catalogue.AUDIT_UNSIGNED, lambda: [(self._unsigned, ())])
        meters.read(catalogue.AUDIT_CHECKPOINT, lambda: [(self._signed_s, ())])

    def batch(self, records: Sequence[RawRecord], unsigned: int, took_s: float) -> None:
        """Records were taken in, of one or more topics; `unsigned` leaves now wait for a checkpoint."""
        self._unsigned = unsigned
        for topic, count in Counter(record.topic for record in records).items():
            self._meters.count(catalogue.CONSUMED, count, topic, AUDIT)
            self._meters.count(catalogue.BATCHES, 1, STAGE, topic)
            self._meters.count(catalogue.BUSY, took_s * count / len(records), STAGE, topic)

    def signed(self, leaves: int, at_s: float) -> None:
        """A checkpoint over `leaves` was signed, or is the newest one at the start; `at_s` is Unix time."""
        self._leaves, self._unsigned, self._signed_s = leaves, 0, at_s

    def gap(self, topic: str, offsets: int) -> None:
        """So many offsets of `topic` have no record to make a leaf of."""
        self._meters.count(catalogue.AUDIT_GAPS, offsets, topic)

    def waited(self, on: str, seconds: float) -> None:
        self._meters.count(catalogue.WAITED, seconds, STAGE, on)
