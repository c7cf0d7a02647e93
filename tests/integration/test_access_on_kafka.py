"""The access trail on a real bus: every act leaves one record there, whatever is killed or away meanwhile."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from confluent_kafka import Producer

from consumers.alerts.database import url_of
from consumers.alerts.forwarding import Forwarder
from consumers.alerts.service import open_store
from consumers.alerts.store import AlertStore
from tests.alert_statements import statement
from tests.running_bus import wait_for
from xiezhi.access import Act, accesses, actor_of
from xiezhi.access_log import Wanted, read_accesses
from xiezhi.cli.main import cli
from xiezhi.codec import Codec
from xiezhi.contracts.access import Access
from xiezhi.contracts.bus import ACCESS
from xiezhi.dead_letters import DeadLetters
from xiezhi.envelope import Envelope
from xiezhi.errors import AccessRefusedError
from xiezhi.local.services import environment
from xiezhi.local.stack import LocalStack
from xiezhi.log import LogReader, RawRecord
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

ROOT = Path(__file__).parents[2]
ALERT_ID = "al_seen"


class Desk:
    """An actor of its own at a bus that others use, too, with an alert store of its own."""

    def __init__(self, stack: LocalStack, folder: Path) -> None:
        self.stack, self.log = stack, folder / "service.log"
        self.settings: Settings = stack.settings(data_dir=folder, actor=f"tester-{uuid.uuid4().hex[:8]}")
        self.codec = Codec(ConfluentRegistry(stack.registry_url))
        with closing(open_store(self.settings)) as store:
            store.apply([statement(ALERT_ID, 1)], {}, stored_ms=1)

    def run(self, *arguments: str) -> Result:
        return CliRunner(env=dict(environment(self.settings))).invoke(cli, arguments)

    def done(self, *arguments: str) -> str:
        result = self.run(*arguments)
        assert result.exit_code == 0, (result.output, result.exception)
        return result.stdout

    def trail(self) -> list[Access]:
        """What this actor did, oldest first, each once."""
        with LogReader(self.settings.bootstrap_servers) as reader:
            found = read_accesses(reader, self.codec, Wanted(actor=actor_of(self.settings)))
        return found[::-1]

    def records(self) -> list[RawRecord]:
        """This actor's records as they stand on the topic, repeats too."""
        with LogReader(self.settings.bootstrap_servers) as reader:
            everything = [
                record
                for partition in range(reader.partitions(ACCESS.topic))
                for chunk in reader.read(ACCESS.topic, partition, 0)
                for record in chunk
            ]
        ids = {one.record_id for one in self.trail()}
        return [record for record in everything if (record.key or b"").decode() in ids]

    def waiting(self) -> int:
        with closing(AlertStore.open(url_of(self.settings))) as store:
            return len(store.outbox.waiting(100))

    @contextmanager
    def service(self) -> Iterator[subprocess.Popen[bytes]]:
        """The alert-store service; ended with the block, if it has not ended by then."""
        with self.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "consumers.alerts.service"],
                env={**os.environ, **environment(self.settings)},
                cwd=ROOT,
                stdout=log,
                stderr=log,
            )
            try:
                yield process
            finally:
                process.terminate()
                process.wait(30)

    def forwarded(self, number: int) -> Callable[[], bool]:
        return lambda: self.waiting() == 0 and len(self.trail()) == number


@pytest.fixture
def desk(stack: LocalStack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    monkeypatch.chdir(ROOT)
    opened = Desk(stack, tmp_path)
    opened.done("contracts", "apply")
    return opened


def dead_letter(desk: Desk) -> str:
    """A record that some stage could not use; its id."""
    producer = Producer({"bootstrap.servers": desk.settings.bootstrap_servers})
    letters = DeadLetters(producer, desk.codec, stage="router", limit_per_minute=9, clock=now_ms)
    record = RawRecord(ACCESS.topic, 0, 10**9 + now_ms(), now_ms(), b"k", b"junk")
    letters.send(record, reason="wrong_magic", detail="junk", on_delivered=lambda *_: None)
    assert producer.flush(30) == 0
    return f"{record.topic}/{record.partition}/{record.offset}"


def test_every_act_on_the_bus_leaves_exactly_one_record(desk: Desk) -> None:
    before = [one.record_id for one in desk.trail()]  # of `contracts apply`, if this test was the first
    letter = dead_letter(desk)
    first = desk.done("rules", "apply", "--pack", "generic")
    second = desk.done("rules", "apply", "--pack", "cn", "--reason", "new law")
    desk.done("rules", "apply", "--pack", "cn")
    desk.done("dead-letters", "list")
    desk.done("dead-letters", "show", letter, "--purpose", "case-1")
    desk.done("dead-letters", "replay", letter, "--dry-run")
    desk.done("dead-letters", "replay", letter, "--yes", "--purpose", "mended")
    when = ("--version", "1", "--occurred-at", "2026-04-21T09:00:00+08:00", "--jurisdiction", "110000000000")
    desk.done("withdraw", "civil.death", "dea-000001", *when, "--purpose", "somebody else")
    listed = [
        json.loads(line) for line in desk.done("access", "list", "--json", "--object", letter).splitlines()
    ]

    changed = " 0 rules changed" not in f" {first}", " 0 rules changed" not in f" {second}"
    rules = [
        ("rules apply", "change", "rule", why)
        for why, did in zip(("unstated", "new law"), changed, strict=True)
        if did
    ]
    trail = [one for one in desk.trail() if one.record_id not in before]
    assert [(one.command, one.action, one.object_type, one.purpose) for one in trail] == [
        *rules,
        ("dead-letters show", "read", "dead-letter", "case-1"),
        ("dead-letters replay", "change", "dead-letter", "mended"),
        ("withdraw", "change", "civil.death.v1", "somebody else"),
        ("access list", "export", "access", "unstated"),
    ]
    assert changed[1], "the packs differ, so at least one of the two changed rules"
    assert [one["command"] for one in listed] == ["access list", "dead-letters replay", "dead-letters show"]
    assert "dea-000001" not in str(trail), "a department's own number is no opaque id"
    assert len(desk.records()) == len(desk.trail()), "no act was recorded twice"
    for record in desk.records():
        assert Envelope.from_headers(record.headers).subject == (record.key or b"").decode()


def test_removing_a_rule_is_an_act_and_an_activation_that_says_why(desk: Desk) -> None:
    desk.done("rules", "apply", "--pack", "generic")
    before = len(desk.trail())
    assert "switched off P01" in desk.done("rules", "remove", "P01", "--why", "repealed")
    assert "off already" in desk.done("rules", "remove", "P01", "--why", "again")
    (act,) = desk.trail()[before:]
    assert (act.command, act.object_type, act.object_id, act.purpose) == (
        *("rules remove", "rule"),
        *("P01", "repealed"),
    )
    listed = [json.loads(line) for line in desk.done("rules", "list", "--json").splitlines()]
    assert [(one["enabled"], one["reason"]) for one in listed if one["rule_id"] == "P01"] == [
        (False, "repealed")
    ]
    assert "activated P01" in desk.done("rules", "apply", "--pack", "generic"), (
        "rolling back is another activation"
    )


def test_applying_contracts_is_an_act_when_it_changes_something(desk: Desk) -> None:
    before = len(desk.trail())
    desk.settings = desk.settings.model_copy(update={"generation": now_ms() % 10**9})
    desk.done("contracts", "apply", "--purpose", "a new generation")
    desk.done("contracts", "apply")
    (act,) = desk.trail()[before:]
    assert (act.command, act.object_type, act.purpose) == ("contracts apply", "contracts", "a new generation")
    assert len(act.object_id) == 64


def test_a_look_at_an_alert_is_forwarded_by_the_service_exactly_once(desk: Desk) -> None:
    before = len(desk.trail())
    with desk.service():
        desk.done("alerts", "show", ALERT_ID, "--purpose", "case-2")
        wait_for(desk.forwarded(before + 1), 60, "the look is on the bus")
    with desk.service():
        desk.done("alerts", "list", "--json")
        wait_for(desk.forwarded(before + 2), 60, "the list is on the bus")
    show, listed = desk.trail()[before:]
    assert (show.command, show.action, show.object_id, show.purpose) == (
        "alerts show",
        "read",
        ALERT_ID,
        "case-2",
    )
    assert (listed.command, listed.action) == ("alerts list", "export")
    assert len(desk.records()) == before + 2


def test_killed_between_outbox_and_topic_there_is_still_one_effect(desk: Desk) -> None:
    """Twice: killed before anything was sent, and after the broker had it but before the outbox knew."""
    before = len(desk.trail())
    with desk.service() as process:
        process.kill()
        process.wait(30)
        desk.done("alerts", "show", ALERT_ID)
    assert desk.waiting() == 1
    with closing(AlertStore.open(url_of(desk.settings))) as store:
        producer = Producer({"bootstrap.servers": desk.settings.bootstrap_servers})
        forward = Forwarder(store.outbox, desk.codec, producer, clock=now_ms)
        forward()
        assert producer.flush(30) == 0  # delivered; and here the process dies
    assert desk.waiting() == 1
    with desk.service():
        wait_for(desk.forwarded(before + 1), 60, "the look is on the bus")
    events = Counter(Envelope.from_headers(record.headers).event_id for record in desk.records())
    assert sorted(events.values()) == [1] * before + [2], "the repeat is recognised by its event id"


def test_without_a_broker_alerts_are_shown_and_the_look_arrives_later(desk: Desk) -> None:
    before = len(desk.trail())
    with desk.service() as process:
        desk.done("alerts", "list")
        wait_for(desk.forwarded(before + 1), 60, "the service is at work")
        desk.stack.kill_broker()
        try:
            began = time.monotonic()
            assert ALERT_ID in desk.done("alerts", "show", ALERT_ID)
            assert time.monotonic() - began < 5, "waits for nobody"
            assert desk.waiting() == 1
            assert process.poll() is None
        finally:
            desk.stack.start_broker()
        wait_for(desk.forwarded(before + 2), 120, "the look is on the bus")


def test_acts_on_the_bus_are_refused_while_they_cannot_be_recorded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    letter = dead_letter(desk)
    demanding = {"XIEZHI_PURPOSE_REQUIRED": "1"}
    runner = CliRunner(env={**environment(desk.settings), **demanding})
    for arguments in (
        ("dead-letters", "show", letter),
        ("dead-letters", "replay", letter, "--yes"),
        ("access", "list"),
    ):
        result = runner.invoke(cli, arguments)
        assert isinstance(result.exception, AccessRefusedError), arguments
        assert "junk" not in result.stdout
    assert json.loads(desk.done("dead-letters", "list", "--json", "--topic", ACCESS.topic).splitlines()[0])[
        "waits"
    ]


def test_an_act_too_large_for_one_record_is_on_the_trail_as_a_whole(desk: Desk) -> None:
    before = len(desk.trail())
    act = Act("export", "alert", tuple(f"al_{number:064}" for number in range(2_500)), "alerts list")
    with closing(AlertStore.open(url_of(desk.settings))) as store:
        store.outbox.put(accesses(desk.settings, act, purpose="", now_ms=now_ms()))
    with desk.service():
        wait_for(desk.forwarded(before + 3), 60, "all three records are on the bus")
    named = [one for record in desk.trail()[before:] for one in record.object_ids]
    assert sorted(named) == sorted(act.object_ids)
