"""What the access outbox must hold: durable, in order, bounded, and nothing half."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.alerts.database import connect
from consumers.alerts.outbox import AccessOutbox, trail
from consumers.alerts.store import AlertStore
from xiezhi.access import Act, accesses
from xiezhi.contracts.access import Access
from xiezhi.errors import AccessRefusedError, StoreError
from xiezhi.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    AlertStore.open(f"sqlite:///{tmp_path / 'alerts.sqlite3'}").close()
    return Settings(data_dir=tmp_path)


@pytest.fixture
def outbox(settings: Settings) -> Iterator[AccessOutbox]:
    opened = AccessOutbox(connect(f"sqlite:///{settings.data_dir / 'alerts.sqlite3'}"), waiting_max=3)
    yield opened
    opened.close()


def looks(settings: Settings, number: int, *, now_ms: int = 7) -> tuple[Access, ...]:
    act = Act("read", "alert", (f"al_{number}",), "alerts show")
    return accesses(settings, act, purpose="", now_ms=now_ms)


def test_what_was_put_waits_oldest_first_until_it_is_forwarded(
    settings: Settings, outbox: AccessOutbox
) -> None:
    (late,), (early,) = looks(settings, 1, now_ms=9), looks(settings, 2, now_ms=8)
    outbox.put([late])
    outbox.put([early])
    assert outbox.waiting(10) == (early, late)
    assert outbox.waiting(1) == (early,)
    outbox.forwarded([early.record_id])
    assert outbox.waiting(10) == (late,)


def test_it_takes_no_more_than_may_wait_and_nothing_of_what_is_too_much(
    settings: Settings, outbox: AccessOutbox
) -> None:
    for number in range(3):
        outbox.put(looks(settings, number))
    with pytest.raises(StoreError, match="start the services"):
        outbox.put(looks(settings, 4))
    assert len(outbox.waiting(10)) == 3


def test_another_process_sees_it_as_soon_as_the_call_returned(
    settings: Settings, outbox: AccessOutbox
) -> None:
    outbox.put(looks(settings, 1))
    with sqlite3.connect(settings.data_dir / "alerts.sqlite3") as other:
        assert other.execute("SELECT count(*) FROM access_outbox").fetchone() == (1,)


def test_every_write_waits_for_the_disk(settings: Settings, outbox: AccessOutbox) -> None:
    with outbox._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2  # FULL


def test_a_look_that_cannot_be_written_is_refused_with_the_reason(settings: Settings) -> None:
    with sqlite3.connect(settings.data_dir / "alerts.sqlite3") as damaged:
        damaged.execute(
            "CREATE TRIGGER full BEFORE INSERT ON access_outbox "
            "BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END"
        )
    with (
        trail(settings, "alerts show", purpose="") as note,
        pytest.raises(AccessRefusedError, match=r"`alerts show` is refused.*disk is full; free some space"),
    ):
        note("read", ["al_1"])


def test_a_due_purpose_is_asked_for_before_anything_is_opened(tmp_path: Path) -> None:
    demanding = Settings(data_dir=tmp_path / "missing", purpose_required=True)
    with (
        pytest.raises(AccessRefusedError, match="needs a purpose"),
        trail(demanding, "alerts follow", purpose=""),
    ):
        pass
