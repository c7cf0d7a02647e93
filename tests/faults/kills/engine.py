"""Real `kill -9` of every service and of the broker, one about every three seconds, under paced load.

Recovery overlaps: nobody waits until what was killed works again. A service that is still down when its turn comes
changes places with the next one that is up. Where each kill landed is read before anything is started again, since
this thread is also the one that restarts what has ended.
"""

from __future__ import annotations

import random
import shutil
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from consumers.audit.folder import AuditFolder
from consumers.audit.index import LeafIndex
from deploy.settled import groups, wait_until_settled
from tests.answers import oracle, published_ids, said, stored
from tests.conftest import stack_settings
from tests.faults.kills.points import WITH_INPUT, Landing, Point, landing
from tests.faults.kills.recovery import BROKER, Recoveries
from tests.faults.kills.report import Report, Verdict
from tests.faults.kills.traffic import PacedTraffic
from tests.running_bus import PACK
from xiezhi.errors import BrokerUnavailableError, StackError, XiezhiError
from xiezhi.groups import group_of
from xiezhi.lag import Lags, PartitionLag
from xiezhi.local.stack import LocalStack
from xiezhi.local.supervisor import RestartPolicy, Supervised
from xiezhi.project import load_project
from xiezhi.settings import Settings

ROOT = Path(__file__).parents[3]
SERVICES = (*WITH_INPUT, "clock", "monitor")
#: Many kills are no defect of the services, so nobody waits longer and longer for them.
SOON = RestartPolicy(max_s=1.0)
WARM_UP_S = 6.0
UP_TIMEOUT_S = 180.0  # a broker reads the end of every partition after a kill, on a machine that is busy
LOOK_TIMEOUT_S = 5.0  # a broker that was just killed must not keep this thread from restarting services
LOOK_EVERY_S = 0.25
#: Kills while the broker is away; more of them would meet services that wait for nothing but the broker.
KILLS_WITHOUT_BROKER = 4


@dataclass(frozen=True)
class Plan:
    """How many kills, how close together, how much load; the same seed chooses the same victims."""

    kills: int
    seed: int
    between_s: float = 3.0
    records_per_s: float = 100.0
    broker_every: int = 30  # every so many kills it is the broker
    delete_every: int = 25  # … the store folder of judge and router, in turn, is deleted as well
    settle_timeout_s: float = 240.0

    def victims(self) -> list[str]:
        """Every service about equally often, in any order, the broker in between but never last."""
        chance = random.Random(self.seed)
        services = [SERVICES[number % len(SERVICES)] for number in range(self.kills)]
        chance.shuffle(services)
        for number in range(self.broker_every // 2, self.kills - 1, self.broker_every):
            services[number] = BROKER
        return services


@dataclass
class Count:
    """What happened so far."""

    kills: Counter[str] = field(default_factory=Counter)
    points: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    deleted: Counter[str] = field(default_factory=Counter)
    uncommitted: int = 0
    overlapping: int = 0


@contextmanager
def bus(home: Path) -> Iterator[tuple[LocalStack, Settings]]:
    """A stack of its own below `home` with every service running; what its supervisor says stands in a log there."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "supervisor.log").open("a", buffering=1) as log:

        def say(text: str) -> None:
            log.write(f"{datetime.now(UTC):%H:%M:%S} {text}\n")

        with LocalStack(stack_settings(home / "stack"), say=say, restarts=SOON) as stack:
            settings = stack.settings(tick_interval_s=2.0, session_timeout_s=6.0)
            stack.start_project(load_project(ROOT), settings, pack=PACK)
            yield stack, settings


class KillRun:
    """One run of a plan on a running bus. `say` is told how it goes, a line for each kill."""

    def __init__(self, stack: LocalStack, settings: Settings, plan: Plan, say: Callable[[str], None]) -> None:
        self._stack, self._settings, self._plan, self._say = stack, settings, plan, say
        self._lags = self._new_lags()
        self._count, self._recoveries = Count(), Recoveries()
        self._seen: Sequence[PartitionLag] = ()
        self._without_broker = 0  # kills since it was killed
        self._started_at: dict[str, int] = {}  # service → what its group had acknowledged at its last start
        self._seconds: dict[str, float] = {}
        self._traffic = PacedTraffic(settings, plan.seed, plan.records_per_s)
        self._begun = datetime.now(UTC).isoformat(timespec="seconds")

    def run(self) -> Report:
        """Kill, let everything settle, compare with the oracle. There is a report whatever ends it, Ctrl-C too."""
        try:
            with self._phase("kills"):
                self._kill_all()
            with self._phase("settling"):
                self._settle()
            with self._phase("comparing"):
                verdict = self._judge()
            return self._report(verdict)
        except KeyboardInterrupt:
            return self._report(None, "interrupted")
        except (AssertionError, XiezhiError) as error:
            return self._report(None, f"FAILED: {error}")

    @contextmanager
    def _phase(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        finally:
            self._seconds[name] = round(time.monotonic() - begun, 1)

    def _new_lags(self) -> Lags:
        return Lags(self._settings.bootstrap_servers, groups(self._settings), timeout_s=LOOK_TIMEOUT_S)

    # Kills

    def _kill_all(self) -> None:
        self._traffic.start()
        self._watch_until(time.monotonic() + WARM_UP_S)
        victims = self._plan.victims()
        for number in range(len(victims)):
            due = time.monotonic() + self._plan.between_s
            self._bring_forward(victims, number)
            while not self._has_input(victims[number]):  # it ended by itself meanwhile
                self._bring_forward(victims, number)
            landed = self._kill(victims[number])
            self._say(
                f"{number + 1:5}/{len(victims)}  {victims[number]:<12} {landed.unacknowledged:6} records not "
                f"acknowledged  {landed.point.value}"
            )
            if number % self._plan.delete_every == self._plan.delete_every // 2:
                self._delete_store(("judge", "router")[number // self._plan.delete_every % 2])
            self._watch_until(due)
            self._await_broker()
            if self._traffic.error is not None:
                raise self._traffic.error

    def _await_broker(self) -> None:
        """Some kills may meet a bus without broker, then it must come back."""
        if BROKER not in self._recoveries.names:
            self._without_broker = 0
            return
        self._without_broker += 1
        if self._without_broker > KILLS_WITHOUT_BROKER:
            self._wait_for_broker()

    def _wait_for_broker(self) -> None:
        deadline = time.monotonic() + UP_TIMEOUT_S
        while BROKER in self._recoveries.names:
            assert time.monotonic() < deadline, f"the broker did not answer within {UP_TIMEOUT_S:.0f} s"
            self._watch_until(time.monotonic() + LOOK_EVERY_S)

    def _bring_forward(self, victims: list[str], number: int) -> None:
        """Let the next victim that is up take its turn now. A service that stays down is an error, not an excuse."""
        deadline = time.monotonic() + UP_TIMEOUT_S
        while time.monotonic() < deadline:
            for other in range(number, len(victims)):
                if self._is_up(victims[other]):
                    victims[number], victims[other] = victims[other], victims[number]
                    return
            self._watch_until(time.monotonic() + LOOK_EVERY_S)
        raise AssertionError(f"none of {sorted(set(victims[number:]))} was up within {UP_TIMEOUT_S:.0f} s")

    def _kill(self, name: str) -> Landing:
        self._count.overlapping += bool(self._recoveries.names - {name})
        self._member(name).process.kill()
        group = self._group(name)
        acknowledged = sum(one.committed for one in group)
        self._recoveries.killed(name, self._seen)
        if name == BROKER:
            self._lags = self._new_lags()  # a client that outlives its broker waits for lost answers first
            landed = Landing(Point.NO_INPUT)
        elif name in WITH_INPUT and not group:
            landed = Landing(Point.UNSEEN)
        else:
            has = acknowledged > self._started_at.get(name, 0)
            landed = landing(name, self._settings, group, acknowledged=has)
        self._started_at[name] = acknowledged
        self._count.kills[name] += 1
        self._count.points[name][landed.point.value] += 1
        self._count.uncommitted += landed.unacknowledged > 0
        return landed

    def _has_input(self, name: str) -> bool:
        """Wait for input that was not acknowledged while the next kill is not due. False: it is not up any more."""
        deadline = time.monotonic() + self._plan.between_s
        while name in WITH_INPUT and time.monotonic() < deadline and self._is_up(name):
            if any(one.records for one in self._group(name)):
                break
            self._stack.watch()
            time.sleep(0.02)
        return self._is_up(name)

    def _delete_store(self, name: str) -> None:
        """As a lost disk: killed, and everything local of it gone."""
        if self._has_input(name):
            self._kill(name)
        shutil.rmtree(self._settings.data_dir / name, ignore_errors=True)
        self._count.deleted[name] += 1
        self._say(f"             {name:<12} killed, its store deleted")

    def _group(self, name: str) -> list[PartitionLag]:
        """How far the group of a service is; nothing when the broker does not answer."""
        if not self._look():
            return []
        return [one for one in self._seen if one.group == group_of(name)]

    def _look(self) -> bool:
        """Read all lags; False when the broker does not answer. One that does not listen is not waited for."""
        host, _, port = self._settings.bootstrap_servers.rpartition(":")
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))):
                return False
        try:
            self._seen = self._lags.read()
        except BrokerUnavailableError:
            return False
        return True

    def _member(self, name: str) -> Supervised:
        name = self._stack.broker.process.name if name == BROKER else name
        return next(one for one in self._stack.members if one.process.name == name)

    def _is_up(self, name: str) -> bool:
        return self._member(name).process.is_running

    def _watch_until(self, until: float) -> None:
        """Restart what has ended, and see who works again."""
        while True:
            self._stack.watch()
            gave_up = [one.given_up for one in self._stack.members if one.given_up]
            assert not gave_up, gave_up
            if self._look():
                self._recoveries.look(self._stack, self._seen)
            left = until - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(LOOK_EVERY_S, left))

    # The answer

    def _settle(self) -> None:
        self._say("no more kills; everything settles …")
        self._wait_for_broker()
        self._traffic.stop(150.0)
        wait_until_settled(
            self._settings, pack=PACK, timeout_s=self._plan.settle_timeout_s, look=self._look_on
        )

    def _look_on(self, lags: Sequence[PartitionLag]) -> None:
        self._stack.watch()
        gave_up = [one.given_up for one in self._stack.members if one.given_up]
        assert not gave_up, gave_up
        self._recoveries.look(self._stack, lags)

    def _judge(self) -> Verdict:
        clean = True
        try:
            self._stack.run(
                "audit-check",
                ("-m", "xiezhi.cli.main", "audit", "check"),
                self._settings,
                ROOT,
                timeout_s=self._plan.settle_timeout_s,
            )
        except StackError as error:
            clean = False
            self._say(str(error))
        expected, topic = oracle(self._settings), said(self._settings)
        standing, repeated = stored(self._settings)
        leaves, gaps = audited(self._settings)
        return Verdict(
            alerts_standing=len(expected),
            alerts_withdrawn=len(topic.withdrawn),
            statements=topic.statements,
            physical_repeats=topic.repeats,
            leaves=leaves,
            records_lost=len(self._traffic.statements) - len(published_ids(self._settings)),
            duplicated_effects=len(repeated) + len(topic.conflicts),
            audit_gaps=len(gaps),
            wrong_answers=len(expected.items() ^ topic.standing.items())
            + len(expected.items() ^ standing.items()),
            audit_check_is_clean=clean,
        )

    def _report(self, verdict: Verdict | None, ended_by: str = "") -> Report:
        count = self._count
        return Report(
            seed=self._plan.seed,
            begun=self._begun,
            seconds=dict(self._seconds),
            kills=dict(count.kills),
            points={name: dict(landed) for name, landed in count.points.items()},
            with_uncommitted_input=count.uncommitted,
            during_recovery_of_another=count.overlapping,
            broker_restarts=count.kills[BROKER],
            stores_deleted=dict(count.deleted),
            records_sent=self._traffic.sent,
            restart_s=dict(self._recoveries.seconds),
            killed_again_before=self._recoveries.killed_again,
            verdict=verdict,
            ended_by=ended_by,
        )


def audited(settings: Settings) -> tuple[int, list[tuple[str, int, int, int, str]]]:
    """Leaves under the newest checkpoint, and the gaps between them."""
    folder = AuditFolder.of(settings)
    with closing(LeafIndex.open(folder.index)) as index:
        return folder.reader(folder.newest()).latest().size, index.gaps()
