"""The audit service on a real broker: killed under load, restarted, on a full disk, with a log that was put back."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from confluent_kafka import Producer

from consumers.audit.checking import Findings, check, ends_of
from consumers.audit.folder import AuditFolder
from consumers.audit.index import LeafIndex
from consumers.audit.service import GROUP
from consumers.audit.topics import TOPICS
from schemas.catalogue import CONTRACTS
from tests.running_bus import wait_for
from xiezhi.admin_client import Admin
from xiezhi.audit.leaf import GapLeaf, RecordLeaf, parse
from xiezhi.contracts.bus import BUS_CONTRACTS, CHECKPOINT
from xiezhi.contracts.rollout import Rollout
from xiezhi.lag import Lags
from xiezhi.local.services import environment
from xiezhi.local.stack import LocalStack
from xiezhi.log import LogReader
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.topics import Topics, topic_plan

ROOT = Path(__file__).parents[2]
PAYMENTS, NOTICES = "finance.payment.v1", "tender.notice.v1"


class Site:
    """A data folder with an audit log of its own, on the bus that all these tests share."""

    def __init__(self, stack: LocalStack, path: Path) -> None:
        self.stack, self.path = stack, path
        self.settings: Settings = stack.settings(data_dir=path)
        self.folder = AuditFolder.of(self.settings)

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "xiezhi.cli.main", *arguments],
            cwd=ROOT,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        return {**os.environ, **environment(self.settings)}

    @property
    def log(self) -> str:
        path = self.path / "service.log"
        return path.read_text() if path.exists() else ""

    @contextmanager
    def service(self) -> Iterator[subprocess.Popen[bytes]]:
        """The service, ended with the block if it has not ended by then."""
        with (self.path / "service.log").open("ab") as log:
            command = [sys.executable, "-m", "consumers.audit.service"]
            process = subprocess.Popen(command, cwd=ROOT, env=self.environment(), stdout=log, stderr=log)
            try:
                yield process
            finally:
                process.terminate()
                process.wait(30)

    def lag(self) -> int:
        lags = Lags(self.settings.bootstrap_servers, {GROUP: list(TOPICS)})
        return sum(one.records for one in lags.read())

    def behind(self) -> int:
        """Records on the bus that are not under a checkpoint of this site."""
        index = LeafIndex.open(self.folder.index)
        try:
            index.follow(self.folder.readers())
            reached = index.next_offsets()
        finally:
            index.close()
        with LogReader(self.settings.bootstrap_servers) as log:
            return sum(max(0, end - reached.get(place, 0)) for place, end in ends_of(log, TOPICS).items())

    def check(self) -> Findings:
        index = LeafIndex.open(self.folder.index)
        try:
            with LogReader(self.settings.bootstrap_servers) as log:
                return check(
                    self.folder.readers(),
                    log,
                    index=index.content(),
                    seen={},
                    ends=ends_of(log, TOPICS),
                    erased=tuple,
                    progress=lambda *_: None,
                )
        finally:
            index.close()

    def records(self) -> list[tuple[str, int, int]]:
        reader = self.folder.reader(1)
        leaves = [parse(entry) for entry in reader.entries(0, reader.latest().size)]
        assert not any(isinstance(leaf, GapLeaf) for leaf in leaves)
        return [(leaf.topic, leaf.partition, leaf.offset) for leaf in leaves if isinstance(leaf, RecordLeaf)]


@pytest.fixture
def site(stack: LocalStack, tmp_path: Path) -> Site:
    contracts = (*CONTRACTS, *BUS_CONTRACTS)
    settings = stack.settings()
    registry = ConfluentRegistry(settings.registry_url)
    Rollout(contracts, topic_plan(contracts, settings), registry, Topics(settings.bootstrap_servers)).apply(
        lambda line: None
    )
    site = Site(stack, tmp_path)
    # Other tests on this bus have audit logs of their own, so this one begins beside them.
    begun = site.cli("audit", "init", "--start-over", "--origin", f"xiezhi-{uuid.uuid4().hex[:8]}")
    assert begun.returncode == 0, begun.stderr
    return site


def publish(site: Site, count: int, topic: str = PAYMENTS) -> None:
    """Any bytes: what a record says does not matter to the log."""
    producer = Producer({"bootstrap.servers": site.settings.bootstrap_servers, "enable.idempotence": True})
    for number in range(count):
        headers = [("ce_type", topic.encode()), ("twice", b"1"), ("twice", None)]
        producer.produce(
            topic, key=b"k%d" % number, value=None if number % 10 == 0 else os.urandom(100), headers=headers
        )
        producer.poll(0)
    assert producer.flush(60) == 0


def test_every_record_is_a_leaf_once_and_the_lag_goes_to_zero(site: Site) -> None:
    publish(site, 500)
    publish(site, 500, NOTICES)
    with site.service() as service:
        wait_for(lambda: not site.behind(), 60, "everything is audited")
        wait_for(lambda: not site.lag(), 60, "the group is told")
        checked = site.cli("audit", "check")
        assert checked.returncode == 0, checked.stdout + checked.stderr + site.log
        assert "complete and consistent 审计日志完整且一致" in checked.stdout
        status = site.cli("audit", "status")
        assert status.returncode == 0, status.stdout
        assert "behind     0 records" in status.stdout
        service.send_signal(signal.SIGTERM)
        assert service.wait(30) == 0
    assert site.cli("audit", "status").returncode == 1, "the service does not run"
    publish(site, 3)
    short = site.cli("audit", "check", "--timeout", "1")
    assert short.returncode == 1
    assert "have no leaf" in short.stdout


def test_kills_under_load_leave_no_gap_and_no_leaf_twice(site: Site) -> None:
    kills, unaudited = 6, 0
    stopping = threading.Event()

    def load() -> None:
        while not stopping.is_set():
            publish(site, 200)
            publish(site, 200, NOTICES)
            stopping.wait(0.02)

    loader = threading.Thread(target=load)
    loader.start()
    try:
        while unaudited < kills:  # a kill counts when it hits input that was not audited
            before = site.folder.reader(1).latest().size
            with site.service() as service:
                wait_for(lambda before=before: site.folder.reader(1).latest().size > before, 60, "it audits")  # type: ignore[misc]
                service.kill()
                service.wait(10)
                unaudited += site.behind() > 0
    finally:
        stopping.set()
        loader.join()
    with site.service():
        wait_for(lambda: not site.behind(), 120, "everything is audited")
    found = site.records()
    assert len(found) == len(set(found))
    assert site.check().problems == []


def test_a_second_service_and_a_log_that_was_put_back_are_refused(site: Site, tmp_path: Path) -> None:
    publish(site, 50)
    with site.service():
        wait_for(lambda: not site.behind(), 60, "everything is audited")
        second = subprocess.run(
            [sys.executable, "-m", "consumers.audit.service"],
            cwd=ROOT,
            env=site.environment(),
            capture_output=True,
            timeout=60,
            check=False,
        )
        assert second.returncode == 78
        assert b"a log has one appender" in second.stderr
        shutil.copytree(site.folder.log(1), tmp_path / "backup")
        publish(site, 50)
        wait_for(lambda: not site.behind(), 60, "the rest is audited")
    shutil.rmtree(site.folder.log(1))
    shutil.copytree(tmp_path / "backup", site.folder.log(1))
    with site.service() as service:
        assert service.wait(60) == 78
    assert "signed and seen elsewhere" in site.log
    found = site.cli("audit", "check", "--timeout", "1")
    assert found.returncode == 1
    assert "seen elsewhere was signed" in found.stdout
    rekeyed = site.cli("audit", "rekey", "--lost-key")
    assert rekeyed.returncode == 0, rekeyed.stderr
    with site.service():
        wait_for(lambda: not site.behind(), 60, "what was lost is audited again, in a new log")


def test_a_key_is_changed_and_the_log_goes_on(site: Site) -> None:
    publish(site, 20)
    with site.service():
        wait_for(lambda: not site.behind(), 60, "everything is audited")
        assert site.cli("audit", "rekey").returncode == 78, "the service runs"
    old = site.folder.verifier(1)
    rekeyed = site.cli("audit", "rekey")
    assert rekeyed.returncode == 0, rekeyed.stderr
    assert str(site.folder.verifier(2)) in rekeyed.stdout
    assert site.folder.verifier(2) != old
    publish(site, 20)
    with site.service():
        wait_for(lambda: not site.behind(), 60, "the new log goes on")
    findings = site.check()
    assert findings.problems == []
    assert findings.logs == 2


def test_a_disk_without_room_is_waited_for(site: Site) -> None:
    """As on a full disk: files may not grow past a few kilobytes, until the limit is taken away."""

    def allow(bytes_max: str) -> None:
        command = ("/usr/bin/env", "prlimit", f"--pid={service.pid}", f"--fsize={bytes_max}:unlimited")
        subprocess.run(command, check=True, timeout=10)

    with site.service() as service:
        wait_for(lambda: not site.behind(), 60, "it follows")
        allow("40000")
        publish(site, 2_000)
        wait_for(lambda: "the audit log stands still" in site.log, 60, "it says that the disk refuses")
        assert site.behind()
        assert service.poll() is None
        allow("unlimited")
        wait_for(lambda: not site.behind(), 60, "it goes on by itself")
        wait_for(lambda: "the disk takes writes again" in site.log, 10, "it says so")
        assert service.poll() is None
    assert site.check().problems == []


def test_another_cluster_is_refused(site: Site) -> None:
    with site.service():
        wait_for(lambda: site.folder.reader(1).latest().size > 0, 60, "topics are taken up")
    found = Admin({"bootstrap.servers": site.settings.bootstrap_servers}).list_topics(timeout=30)
    text = next(site.folder.reader(1).entries(0, 1)).decode()
    assert f"cluster {found.cluster_id}\n" in text
    # What the log says of its cluster stands in the index, which is quicker to change than a cluster.
    index = LeafIndex.open(site.folder.index)
    with index._writing():
        index._connection.execute("UPDATE topics SET cluster = 'another'")
    index.close()
    with site.service() as service:
        assert service.wait(60) == 78
    assert "this audit log follows Kafka cluster another" in site.log


def test_checkpoints_are_said_on_the_bus_and_a_second_log_is_not_begun_by_mistake(
    site: Site, tmp_path: Path
) -> None:
    publish(site, 10)
    with site.service():
        wait_for(lambda: not site.behind(), 60, "everything is audited")
    with LogReader(site.settings.bootstrap_servers) as log:
        low, high = log.range(CHECKPOINT.topic, 0)
        notes = [r.value or b"" for chunk in log.read(CHECKPOINT.topic, 0, low, high) for r in chunk]
    assert any(site.folder.reader(1).latest().note in note for note in notes)
    elsewhere = Site(site.stack, tmp_path / "elsewhere")
    elsewhere.path.mkdir()
    refused = elsewhere.cli("audit", "init")
    assert refused.returncode == 78
    assert "this bus has checkpoints of the audit log" in refused.stderr
    again = site.cli("audit", "init")
    assert again.returncode == 0
    assert str(site.folder.verifier(1)) in again.stdout
