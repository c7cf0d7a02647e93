"""An endless paced load of records, published by a thread of its own while services are killed."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator

from tests.load import Published, load
from xiezhi.publish import Publisher
from xiezhi.settings import Settings

#: Matters made at a time, of about seven records each: few enough to be ready at once, many enough to be shuffled.
MATTERS = 300
Statement = tuple[str, str, int]  # topic, record id, version


def endless(seed: int) -> Iterator[Published]:
    """The same records for the same seed and start, but for when they occurred."""
    for number in itertools.count(seed * 1_000_000):
        yield from load(number, MATTERS, int(time.time() * 1000))


class PacedTraffic(threading.Thread):
    """Publishes at a steady rate until told to stop; says what it sent."""

    def __init__(self, settings: Settings, seed: int, records_per_s: float) -> None:
        super().__init__(daemon=True)
        self._settings, self._records, self._rate = settings, endless(seed), records_per_s
        self._stopping = threading.Event()
        self.error: Exception | None = None
        self.sent = 0
        self.statements: set[Statement] = set()  # the distinct ones among those sent

    def stop(self, timeout_s: float) -> None:
        """Until everything sent has arrived. Raises what ended the thread, if something did."""
        self._stopping.set()
        self.join(timeout_s)
        if self.error is not None:
            raise self.error
        assert not self.is_alive(), f"the publisher did not end within {timeout_s:.0f} s"

    def run(self) -> None:
        try:
            with Publisher(self._settings, source="urn:xiezhi:synthetic:load") as publisher:
                begun = time.monotonic()
                for record in self._records:
                    if self._stopping.wait(max(0.0, begun + self.sent / self._rate - time.monotonic())):
                        return
                    record.send(publisher)
                    self.sent += 1
                    self.statements.add((record.contract.topic, record.record_id, record.version))
        except Exception as error:  # noqa: BLE001 -- raised again by `stop`
            self.error = error
