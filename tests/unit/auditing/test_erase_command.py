"""`xiezhi audit erase-salts`: what goes on the access trail excuses a missing salt for ever."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from consumers.audit import cli
from tests.audited import AuditedBus
from xiezhi.access import Act
from xiezhi.contracts.naming import ACCESS

TOPIC = "finance.payment.v1"


class Desk:
    """A bus with three payments, and the acts that were recorded."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bus, self.acts = AuditedBus(folder), list[Act]()
        for number in range(3):
            self.bus.kafka.put(TOPIC, b"payment %d" % number)
        self.bus.audit()
        monkeypatch.setattr(cli, "_reading", self._reading)
        monkeypatch.setattr(cli, "record_access", lambda settings, act, **_: self.acts.append(act))

    @contextmanager
    def _reading(self, _: Any) -> Iterator[Any]:
        index = self.bus.index()
        try:
            yield self.bus.folder, index, self.bus.kafka
        finally:
            index.close()

    def erase(self, *addresses: str) -> Result:
        return CliRunner().invoke(cli.audit, ["erase-salts", "--yes", *addresses])


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    return Desk(tmp_path, monkeypatch)


def test_what_is_erased_was_recorded(desk: Desk) -> None:
    done = desk.erase(f"{TOPIC}/0/1", f"{TOPIC}/0/2")
    assert done.exit_code == 0, done.output
    assert [act.object_ids for act in desk.acts] == [(f"{TOPIC}/0/1", f"{TOPIC}/0/2")]
    assert done.output.count("erased the salt of") == 2


def test_what_cannot_be_erased_is_not_recorded(desk: Desk) -> None:
    assert desk.erase(f"{TOPIC}/0/1", f"{TOPIC}/0/99").exit_code != 0, "no such leaf"
    with desk.bus.folder.open(1):
        assert desk.erase(f"{TOPIC}/0/1").exit_code != 0, "the service appends"
    assert desk.acts == []


def test_the_trail_itself_is_not_erased(desk: Desk) -> None:
    refused = desk.erase(f"{ACCESS}/0/0")
    assert refused.exit_code == 2
    assert "cannot be erased" in refused.output
    assert desk.acts == []
