"""A generation is filled beside the live one, killed on the way, compared, and takes over while records keep coming.

What stands then is the oracle's with the new code; each alert has one history; what did not change is not said again.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from deploy.settled import wait_until_settled
from streams.checks import examine_rejudging
from tests.answers import Standing, oracle, said, stored
from tests.conftest import stack_settings
from tests.load import Published, load
from tests.running_bus import ROOT, wait_for
from xiezhi.cli.stack import _of_live_generation
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ALERT, DEAD_LETTER, fact_topic
from xiezhi.doctor.finding import Patient, Severity
from xiezhi.ingestion import Ingestion
from xiezhi.local.services import environment
from xiezhi.local.stack import LocalStack
from xiezhi.log import LogReader
from xiezhi.project import Project, load_project
from xiezhi.publish import Publisher
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings, live_generation
from xiezhi.wall_clock import now_ms

PACK = "drill"
SEED, MATTERS = 20261124, 240
#: Of the records, so many come while the next generation is filled and takes over.
MEANWHILE_PER_S = 15
TIMEOUT_S = 240.0
SECOND = 2 << 44  # where the positions of the second generation begin

LATER_SERVICES = """
[[service]]
name = "router"
command = ["-m", "tests.refiled", "service", "router"]
zone = "extranet"
[[service]]
name = "clock"
command = ["-m", "tests.refiled", "service", "clock"]
zone = "extranet"
[[service]]
name = "judge"
command = ["-m", "tests.refiled", "service", "judge"]
zone = "extranet"
[[service]]
name = "alert-store"
command = ["-m", "consumers.alerts.service"]
zone = "extranet"
[[service]]
name = "audit"
command = ["-m", "consumers.audit.service"]
zone = "extranet"
"""


class Site:
    """A bus whose services a thread watches over as `xiezhi up` does, and the project that it runs."""

    def __init__(self, stack: LocalStack, settings: Settings, project: Project) -> None:
        self.stack, self.settings, self.project = stack, settings, project
        self._stopping = threading.Event()
        self.hands = threading.RLock()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def _watch(self) -> None:
        while not self._stopping.wait(0.2):
            with self.hands:
                self.stack.watch()
                self.settings = _of_live_generation(self.stack, self.project, self.settings)

    def stop(self) -> None:
        self._stopping.set()
        self._watcher.join()

    def install(self, project: Project) -> None:
        """The code of another version is on the machine; what runs goes on with the code that it has."""
        with self.hands:
            self.project = project

    def refile(self, *arguments: str) -> subprocess.Popen[str]:
        """`xiezhi refile` in another terminal, with the code that is installed."""
        later = self.project.root != ROOT
        program = ("tests.refiled", "xiezhi") if later else ("xiezhi.cli.main",)
        own = self.settings.model_copy(update={"metrics_port": 0})
        return subprocess.Popen(
            [sys.executable, "-m", *program, "refile", *arguments],
            cwd=self.project.root,
            env={**os.environ, **_without_generation(environment(own))},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def cli(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        """A command with the code that is installed, when that is the project's own."""
        environ = {**os.environ, **_without_generation(environment(self.settings)), **variables}
        command = [sys.executable, "-m", "xiezhi.cli.main", *arguments]
        return subprocess.run(
            command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )

    def settle(self) -> None:
        wait_until_settled(self.settings, pack=PACK, timeout_s=TIMEOUT_S)

    def dead_letters(self) -> int:
        with LogReader(self.settings.bootstrap_servers) as log:
            return sum(log.range(DEAD_LETTER, one)[1] for one in range(log.partitions(DEAD_LETTER)))


def _without_generation(variables: object) -> dict[str, str]:
    """A terminal in which nobody set it: the data folder says which is live."""
    assert isinstance(variables, dict)
    return {name: value for name, value in variables.items() if name != "XIEZHI_GENERATION"}


def done(process: subprocess.Popen[str]) -> str:
    """What a command printed that ended well."""
    output, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The project in a later version: one selector has changed."""
    root = tmp_path_factory.mktemp("later")
    named = (ROOT / "xiezhi.toml").read_text("utf-8").replace("deploy/services.toml", "services.toml")
    (root / "xiezhi.toml").write_text(named, "utf-8")
    (root / "services.toml").write_text(LATER_SERVICES, "utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(ROOT))
        patch.delenv("XIEZHI_GENERATION", raising=False)
        yield load_project(root)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, later: Project) -> Iterator[Site]:
    home = tmp_path_factory.mktemp("refile") / "stack"
    with LocalStack(stack_settings(home), say=print) as stack:
        settings = stack.settings(tick_interval_s=2.0, session_timeout_s=6.0)
        for arguments in (("contracts", "apply"), ("rules", "apply", "--pack", PACK), ("audit", "init")):
            stack.run("-".join(arguments[:2]), ("-m", "xiezhi.cli.main", *arguments), settings, ROOT)
        project = load_project(ROOT)
        stack.start_services(project.services, settings, ROOT)
        running = Site(stack, settings, project)
        yield running
        running.stop()


@contextmanager
def publishing(settings: Settings, records: Sequence[Published]) -> Iterator[threading.Event]:
    """Records coming in at a steady rate; the event is set once all are published."""
    finished, failed = threading.Event(), list[Exception]()

    def work() -> None:
        try:
            with Publisher(settings, source="urn:xiezhi:synthetic:load") as publisher:
                for record in records:
                    record.send(publisher)
                    time.sleep(1 / MEANWHILE_PER_S)
        except Exception as error:  # noqa: BLE001 -- raised again below
            failed.append(error)
        finished.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    yield finished
    thread.join(TIMEOUT_S)
    assert failed == []


def publish(settings: Settings, records: Sequence[Published]) -> None:
    with Publisher(settings, source="urn:xiezhi:synthetic:load") as publisher:
        for record in records:
            record.send(publisher)


def publish_nonsense(settings: Settings) -> None:
    from confluent_kafka import Producer

    from schemas import catalogue

    producer = Producer({"bootstrap.servers": settings.bootstrap_servers})
    for number in range(3):
        producer.produce(catalogue.PAYMENT.topic, key=b"nonsense", value=b"%d" % number)
    assert producer.flush(30) == 0


def oracle_of_the_later_version(site: Site) -> Standing:
    command = [sys.executable, "-m", "tests.refiled", "oracle"]
    environ = {**os.environ, **environment(site.settings)}
    asked = subprocess.run(
        command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True, timeout=120
    )
    found: Standing = json.loads(asked.stdout)
    return found


def statements(settings: Settings) -> list[tuple[str, int, str, str, str, str]]:
    """(alert id, position, state, digest, rule, reason) of every statement, in the order of each partition."""
    codec, found = Codec(ConfluentRegistry(settings.registry_url)), []
    with LogReader(settings.bootstrap_servers) as log:
        for partition in range(log.partitions(ALERT)):
            for chunk in log.read(ALERT, partition, 0):
                for raw in chunk:
                    one = codec.decode_as(ALERT, raw.value or b"")
                    found.append(
                        (
                            one["record_id"],
                            one["position"],
                            one["state"],
                            one["content_digest"],
                            one["rule_id"],
                            one["reason"],
                        )
                    )
    return found


def test_changed_selectors_take_over_without_a_gap_though_the_first_refile_was_killed(
    site: Site, later: Project
) -> None:
    records = load(SEED, MATTERS, int(time.time() * 1000) - 60_000)
    first, meanwhile = records[: 2 * len(records) // 3], records[2 * len(records) // 3 :]
    publish(site.settings, first)
    publish_nonsense(site.settings)
    site.settle()
    before, dead = said(site.settings).standing, site.dead_letters()
    assert before == oracle(site.settings)
    assert dead == 3

    site.install(later)
    ingestion, topic = Ingestion(site.settings.bootstrap_servers), fact_topic(2)
    killed = site.refile()
    wait_for(lambda: any(ingestion.ends([topic]).values()), 120.0, "the second generation is being filled")
    killed.kill()
    killed.communicate(timeout=30)
    assert live_generation(site.settings.data_dir) == 1

    tried = done(site.refile("--dry-run", "--json"))
    changes = [json.loads(line) for line in tried.splitlines() if line.startswith("{")]
    assert {one["rule_id"] for one in changes} == {"S01"}
    assert {one["becomes"] for one in changes} >= {"changed", "withdrawn"}
    assert topic not in ingestion.topics(), "a dry run leaves nothing behind"
    assert said(site.settings).standing == before

    with publishing(site.settings, meanwhile):
        print(done(site.refile("--why", "pensions apart")))  # noqa: T201 -- the report of this run
    assert live_generation(site.settings.data_dir) == site.settings.generation == 2
    site.settle()

    expected, topic_says = oracle_of_the_later_version(site), said(site.settings)
    standing, repeated = stored(site.settings)
    assert topic_says.standing == standing == expected
    assert topic_says.conflicts == []
    assert repeated == [], "what did not change was not said again"
    pensions = {one["alert_id"] for one in changes if one["becomes"] == "withdrawn"}
    assert pensions
    assert not pensions & expected.keys(), "the two versions differ"
    history = statements(site.settings)
    of_second = [one for one in history if one[1] >= SECOND]
    kept = {one[0] for one in history} - {one[0] for one in of_second}
    assert len(kept & before.keys()) > 20, "most alerts go on under what the first generation said"
    assert {one[4] for one in of_second if one[0] in before and before[one[0]] == one[3]} <= {"S01"}
    assert site.dead_letters() == dead, "dead letters are not written a second time"


def test_lost_stores_and_code_that_changed_back_are_filed_anew_with_everything_down(site: Site) -> None:
    project = load_project(ROOT)
    with site.hands:
        site.stack.start_services((), site.settings, ROOT)  # nobody runs
        for name in ("router.g2", "judge.g2"):
            shutil.rmtree(site.settings.data_dir / name)
        site.project = project
        impatient = site.refile("--timeout-s", "2")
        report, _ = impatient.communicate(timeout=TIMEOUT_S)
        assert impatient.returncode != 0
        assert "generation 3 has not finished taking over" in report
        assert "S01" in report
        assert live_generation(site.settings.data_dir) == 3, "whoever is killed from here on has switched"
        again = site.refile()
        assert again.stdout is not None
        waits = again.stdout.readline()
    assert "generation 3 has not finished taking over; waiting for it" in waits
    done(again)
    assert site.settings.generation == 3
    site.settle()
    standing, repeated = stored(site.settings)
    assert said(site.settings).standing == standing == oracle(site.settings)
    assert repeated == []
    assert site.dead_letters() == 3


def test_a_generation_that_has_spoken_is_never_thrown_away(site: Site) -> None:
    """As by a terminal that was told another generation than the live one."""
    refused = site.cli("refile", XIEZHI_GENERATION="2")
    assert refused.returncode != 0
    assert "somebody works for generation 3 already" in refused.stderr
    refused = site.cli("refile", XIEZHI_GENERATION="1")
    assert refused.returncode != 0
    assert "generation 2 has taken over before" in refused.stderr
    assert {fact_topic(2), fact_topic(3)} <= set(Ingestion(site.settings.bootstrap_servers).topics())


def test_a_removed_rule_takes_its_alerts_back_and_says_why(site: Site) -> None:
    before = said(site.settings)
    of_s01 = {one for one in before.standing if before.subjects[one][0] == "S01"}
    assert len(of_s01) > 20
    removed = site.cli("rules", "remove", "S01", "--why", "repealed")
    assert removed.returncode == 0, removed.stderr
    site.settle()
    standing, repeated = stored(site.settings)
    assert said(site.settings).standing == standing == oracle(site.settings)
    assert before.standing.keys() - standing.keys() == of_s01
    assert repeated == []
    last = {one[0]: one for one in statements(site.settings)}
    assert {(last[one][2], last[one][5]) for one in of_s01} == {("withdrawn", "rule_off: repealed")}
    applied = site.cli("rules", "apply", "--pack", PACK, "--reason", "rolled back")
    assert applied.returncode == 0, applied.stderr
    site.settle()
    assert said(site.settings).standing == oracle(site.settings) == before.standing


def test_a_refile_killed_between_activation_and_switch_is_found_by_the_doctor_and_run_again(
    site: Site, later: Project
) -> None:
    """Another generation than the first is live, of which nobody is left to show that it has taken over."""
    ingestion = Ingestion(site.settings.bootstrap_servers)
    site.install(later)
    killed = site.refile()
    wait_for(lambda: any(ingestion.ends([fact_topic(4)]).values()), 120.0, "generation 4 is being filled")
    killed.kill()
    killed.communicate(timeout=30)
    assert interrupted(site) == set(), "the live generation still speaks"
    activated = subprocess.run(
        [sys.executable, "-m", "tests.refiled", "xiezhi", "rules", "apply", "--pack", PACK],
        cwd=later.root,
        env={**os.environ, **_without_generation(environment(site.settings))},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert "activated S01" in activated.stdout
    wait_for(lambda: interrupted(site) == {"refile_interrupted"}, 60.0, "the doctor says that nobody speaks")

    report = done(site.refile())
    assert "has not finished taking over" not in report
    assert live_generation(site.settings.data_dir) == site.settings.generation == 4
    site.settle()
    assert said(site.settings).standing == oracle_of_the_later_version(site)
    assert interrupted(site) == set()


def interrupted(site: Site) -> set[str]:
    """Critical findings about who speaks."""
    patient = Patient(site.settings, (), (), now_ms())
    return {one.text for one in examine_rejudging(patient).findings if one.severity is Severity.CRITICAL}
