"""Real `kill -9` of every service under paced load: then the answer is the oracle's, and nothing is lost or repeated.

The audit log, whose service is killed as well, must hold every record exactly once, without a gap.
"""

from __future__ import annotations

import random
import shutil
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from consumers.audit.folder import AuditFolder
from consumers.audit.index import LeafIndex
from deploy.settled import groups, wait_until_settled
from tests.answers import oracle, published_ids, said, stored
from tests.conftest import stack_settings
from tests.load import Published, load
from xiezhi.errors import BrokerUnavailableError
from xiezhi.groups import group_of
from xiezhi.lag import Lags
from xiezhi.local.stack import LocalStack
from xiezhi.local.supervisor import RestartPolicy
from xiezhi.project import load_project
from xiezhi.publish import Publisher
from xiezhi.settings import Settings

ROOT = Path(__file__).parents[2]
SEED = 20261122
KILLS = 60
MATTERS = 12_000  # of about seven records each: more than are published before the last kill
RECORDS_PER_S = 120
VICTIMS = ("router", "judge", "alert-store", "clock", "audit", "monitor")
WITHOUT_INPUT = ("clock", "monitor")
#: Sixty kills are no defect of the services, so nobody waits longer and longer for them.
SOON = RestartPolicy(max_s=1.0)
#: A kill about so often; recovery of the one before may still be under way.
BETWEEN_KILLS_S = 3.0


class PacedLoad(threading.Thread):
    """Publishes at a steady rate until told to stop or out of records; says what it sent."""

    def __init__(self, settings: Settings, records: list[Published], rate: float) -> None:
        super().__init__(daemon=True)
        self._settings, self._records, self._rate = settings, records, rate
        self.sent = 0
        self.stop = threading.Event()
        self.error: Exception | None = None

    def statements(self) -> set[tuple[str, str, int]]:
        """The distinct statements among those sent: topic, record id, version."""
        return {(one.contract.topic, one.record_id, one.version) for one in self._records[: self.sent]}

    def run(self) -> None:
        try:
            with Publisher(self._settings, source="urn:xiezhi:synthetic:load") as publisher:
                begun = time.monotonic()
                for record in self._records:
                    if self.stop.wait(max(0.0, begun + self.sent / self._rate - time.monotonic())):
                        return
                    record.send(publisher)
                    self.sent += 1
        except Exception as error:  # noqa: BLE001 -- handed to the test, which raises it
            self.error = error


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LocalStack, Settings]]:
    """A stack of its own with every service running."""
    home = tmp_path_factory.mktemp("kills") / "stack"
    with LocalStack(stack_settings(home), say=print, restarts=SOON) as stack:
        settings = stack.settings(tick_interval_s=2.0, session_timeout_s=6.0)
        for arguments in (("contracts", "apply"), ("rules", "apply", "--pack", "drill"), ("audit", "init")):
            stack.run("-".join(arguments[:2]), ("-m", "xiezhi.cli.main", *arguments), settings, ROOT)
        stack.start_services(load_project(ROOT).services, settings, ROOT)
        yield stack, settings


def _kill(stack: LocalStack, name: str) -> bool:
    """End one service without warning; False when it is not up at the moment."""
    member = next(one for one in stack.members if one.process.name == name)
    if not member.process.is_running:
        return False
    member.process.kill()
    return True


def _behind(lags: Lags, name: str) -> bool:
    """Whether the victim has input that it has not committed."""
    return name in WITHOUT_INPUT or any(one.records for one in lags.read() if one.group == group_of(name))


def _watch_for(stack: LocalStack, seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        stack.watch()
        time.sleep(0.1)


def _kill_with_uncommitted_input(stack: LocalStack, lags: Lags, name: str, timeout_s: float) -> None:
    deadline, why = time.monotonic() + timeout_s, ""
    while time.monotonic() < deadline:
        try:
            if _behind(lags, name) and _kill(stack, name):
                return
        except BrokerUnavailableError as error:
            why = f"; {error}"  # while the broker restarts
        _watch_for(stack, 0.1)
    raise AssertionError(f"{name} was never up with uncommitted input within {timeout_s} s{why}")


def test_kills_under_load_change_nothing(bus: tuple[LocalStack, Settings]) -> None:
    stack, settings = bus
    chance = random.Random(SEED)
    lags = Lags(settings.bootstrap_servers, groups(settings))
    traffic = PacedLoad(settings, load(SEED, MATTERS, int(time.time() * 1000)), RECORDS_PER_S)
    traffic.start()
    _watch_for(stack, 8.0)
    victims = [VICTIMS[index % len(VICTIMS)] for index in range(KILLS)]
    chance.shuffle(victims)
    for number, victim in enumerate(victims):
        assert traffic.error is None
        _kill_with_uncommitted_input(stack, lags, victim, timeout_s=60.0)
        if number == KILLS // 3:
            stack.restart_broker()
        if number == KILLS // 2:
            _kill_with_uncommitted_input(stack, lags, "judge", timeout_s=60.0)
            shutil.rmtree(Path(settings.data_dir) / "judge")
        if number == 2 * KILLS // 3:
            _kill_with_uncommitted_input(stack, lags, "router", timeout_s=60.0)
            shutil.rmtree(Path(settings.data_dir) / "router")
        _watch_for(stack, BETWEEN_KILLS_S)
    traffic.stop.set()
    traffic.join(150.0)
    assert traffic.error is None
    assert not traffic.is_alive()
    watching = threading.Event()
    keeper = threading.Thread(target=_keep, args=(stack, watching), daemon=True)
    keeper.start()
    try:
        wait_until_settled(settings, pack="drill", timeout_s=240.0)
    finally:
        watching.set()
        keeper.join()
    stack.run("audit-check", ("-m", "xiezhi.cli.main", "audit", "check"), settings, ROOT)
    leaves, gaps = audited(settings)
    expected, topic = oracle(settings), said(settings)
    standing, repeated = stored(settings)
    on_the_log, sent = published_ids(settings), traffic.statements()
    print(  # noqa: T201 -- the report of this run
        f"{KILLS + 2} kills, seed {SEED} ({points(victims)}), 1 restart of the broker, 2 store folders deleted: "
        f"{traffic.sent} records sent, {len(sent) - len(on_the_log)} lost, {topic.statements} statements "
        f"({topic.repeats} physical repeats, {len(repeated)} repeated effects), {len(expected)} alerts stand, "
        f"{len(topic.withdrawn)} withdrawn, {leaves} leaves, {len(gaps)} audit gaps"
    )
    assert gaps == []
    assert len(on_the_log) == len(sent)
    assert len(expected) > 100
    assert topic.conflicts == []
    assert topic.standing == expected
    assert standing == expected
    assert repeated == []


def points(victims: Sequence[str]) -> str:
    """How often each service was killed with input that it had not committed; `clock` and `monitor` have none."""
    return ", ".join(f"{name} {count}" for name, count in sorted(Counter(victims).items()))


def audited(settings: Settings) -> tuple[int, list[tuple[str, int, int, int, str]]]:
    """Leaves under the newest checkpoint, and the gaps between them."""
    folder = AuditFolder.of(settings)
    with closing(LeafIndex.open(folder.index)) as index:
        return folder.reader(folder.newest()).latest().size, index.gaps()


def _keep(stack: LocalStack, stop: threading.Event) -> None:
    while not stop.wait(0.2):
        stack.watch()
