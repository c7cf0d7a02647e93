"""What the bus knows of the log: the largest checkpoint that was said, whatever was said again since."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from consumers.audit import anchor
from consumers.audit.anchor import Announcer, latest_said, signed_after_ms
from tests.audited import PAYMENTS, START_MS, AuditedBus
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.codec import Codec
from xiezhi.contracts.bus import CHECKPOINT


class Producer:
    """Puts what it is given into the bus's Kafka at once."""

    def __init__(self, bus: AuditedBus) -> None:
        self._bus = bus

    def produce(
        self, topic: str, *, partition: int, on_delivery: Callable[[Any, Any], None], **record: Any
    ) -> None:
        self._bus.kafka.put(topic, record["value"], partition=partition, key=record["key"])
        on_delivery(None, None)


class Site:
    """A bus whose log grows by a record at a time, each checkpoint said on the bus."""

    def __init__(self, path: Path) -> None:
        self.bus = AuditedBus(path)
        self.codec = Codec(self.bus.registry)
        self._announcer = Announcer(Producer(self.bus), self.codec)

    def grow(self, records: int) -> SignedCheckpoint:
        for _ in range(records):
            self.bus.kafka.put(PAYMENTS, b"a payment")
            self.bus.audit([one for one in self.bus.kafka.everything() if one.topic == PAYMENTS])
            self._announcer.say(self.latest(), START_MS)
        return self.latest()

    def latest(self) -> SignedCheckpoint:
        return self.bus.folder.reader(1).latest()

    def seen(self) -> SignedCheckpoint | None:
        """As the service asks when it starts, on the log as it is here."""
        reader = self.bus.folder.reader(1)
        return latest_said(self.bus.kafka, self.codec, reader.verifier, since_ms=signed_after_ms(reader))

    def say_again(self, times: int) -> None:
        """Old checkpoints, oldest first, as somebody with access to the topic could."""
        said = list(self.bus.kafka.places[CHECKPOINT.topic, 0])
        for number in range(times):
            again = said[number % (len(said) - 1)]
            self.bus.kafka.put(CHECKPOINT.topic, again.value, key=again.key)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    monkeypatch.setattr(anchor, "CLOCKS_DIFFER_MS", 1)
    return Site(tmp_path)


def test_old_checkpoints_that_were_said_again_hide_nothing(site: Site, tmp_path: Path) -> None:
    site.grow(5)
    shutil.copytree(site.bus.folder.log(1), tmp_path / "backup")
    newest = site.grow(5)
    site.say_again(2_000)
    assert site.seen() == newest
    shutil.rmtree(site.bus.folder.log(1))
    shutil.copytree(tmp_path / "backup", site.bus.folder.log(1))
    assert site.latest().size < newest.size
    assert site.seen() == newest


def test_what_was_said_before_the_log_here_was_signed_is_not_read(site: Site) -> None:
    site.grow(3)
    verifier = site.bus.folder.verifier(1)
    last_ms = max(record.ingested_ms for record in site.bus.kafka.everything())
    assert latest_said(site.bus.kafka, site.codec, verifier, since_ms=last_ms) == site.latest()
    assert latest_said(site.bus.kafka, site.codec, verifier, since_ms=last_ms + 2) is None


def test_a_log_without_records_asks_for_everything(site: Site) -> None:
    assert signed_after_ms(site.bus.folder.reader(1)) == 0
    assert site.seen() is None
