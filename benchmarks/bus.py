"""One bus for one run: broker and registry of its own, contracts and rules applied, a backlog, nothing else at work.

Stages are started one at a time by whoever measures them. The clock is not running; what it would have said, the rules'
activations and ticks, is put into the log before and after the backlog.
"""

from __future__ import annotations

import json
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psutil
from confluent_kafka import Producer
from confluent_kafka.admin import NewTopic

from benchmarks.measuring import peak_rss_mb
from benchmarks.workload import Encoded, backlog, encode
from deploy.settled import groups
from schemas.catalogue import CONTRACTS
from streams.clock import Clock, LowWatermark, passed_by
from streams.facts import TICK_KEY
from xiezhi.admin_client import Admin
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ALERT, DEAD_LETTER, fact_topic
from xiezhi.errors import DeliveryError, StackError, XiezhiError
from xiezhi.lag import Lags
from xiezhi.local.process import Command, Process
from xiezhi.local.services import environment
from xiezhi.local.settings import LOOPBACK, LocalSettings, Ports, StackSettings
from xiezhi.local.stack import LocalStack
from xiezhi.log import LogReader
from xiezhi.project import load_project
from xiezhi.registry import ConfluentRegistry
from xiezhi.service import producer_options
from xiezhi.wall_clock import now_ms

PACK = "drill"
FLUSH_TIMEOUT_S = 120.0
#: The closing tick lies so far ahead that every settle time of PACK has run out, and no judge refuses it.
SETTLED_MS = 40_000


class Bus:
    """A started local stack with a folder of its own, on free loopback ports."""

    def __init__(self, stack: LocalStack, **overrides: Any) -> None:
        """A stack that is started and will be stopped by whoever gives it; `overrides` are settings of processes."""
        self._stack, self.settings = stack, stack.settings(**overrides)
        self._root = load_project().root
        self.facts = fact_topic(self.settings.generation)
        self._control_records = 0

    @classmethod
    def new(cls, folder: Path, opened: ExitStack, **overrides: Any) -> Bus:
        """Starts one, to be stopped with `opened`."""
        settings = StackSettings(folder / "stack", _free_ports(), LocalSettings())
        return cls(opened.enter_context(LocalStack(settings, lambda _: None)), **overrides)

    def prepare(self) -> None:
        """Contracts and rules applied, every rule active from the first offset of the fact topic on."""
        self.command("contracts", "apply")
        self.command("rules", "apply", "--pack", PACK)
        with LogReader(self.settings.bootstrap_servers) as log:
            watermark = LowWatermark(Lags(self.settings.bootstrap_servers, passed_by(self.settings)), now_ms)
            Clock(self.settings, log, watermark, self._producer(), now_ms).step()
        self.tick(now_ms())
        self._control_records = self.ends(self.facts)

    def command(self, *arguments: str) -> None:
        """Runs `xiezhi ARGUMENTS` to its end. Raises StackError when it fails."""
        name = "-".join(arguments[:2])
        self._stack.run(name, ("-m", "xiezhi.cli.main", *arguments), self.settings, self._root)

    def start_services(self) -> None:
        """Everything that `xiezhi up` runs, clock included, instead of `prepare`; returns when all of it is idle."""
        self.command("contracts", "apply")
        self.command("rules", "apply", "--pack", PACK)
        self.command("audit", "init")
        self._stack.start_services(load_project().services, self.settings, self._root)
        self.wait_until_quiet(FLUSH_TIMEOUT_S)

    def wait_until_quiet(self, timeout_s: float) -> None:
        """Until every group of the running services has read everything. Raises XiezhiError after `timeout_s`."""
        Lags(self.settings.bootstrap_servers, groups(self.settings)).wait_until_quiet(timeout_s)

    def publish(self, records: int) -> tuple[int, float]:
        """Publishes a backlog of about so many records; returns how many it were and in how many seconds."""
        codec = Codec(ConfluentRegistry(self.settings.registry_url))
        encoded = encode(backlog(records), codec)
        begun = time.monotonic()
        self.send(encoded)
        return len(encoded), time.monotonic() - begun

    def tick(self, at_ms: int) -> None:
        """One tick on every fact partition."""
        value = json.dumps({"now_ms": at_ms}).encode()
        self.send([Encoded(self.facts, TICK_KEY, value, [])], partitions=range(self.settings.partitions))

    def process(self, name: str, *arguments: str) -> Process:
        """A process of this Python with the bus's settings, not yet started."""
        log = self._stack.logs / f"{name}.log"
        argv = (sys.executable, "-m", *arguments)
        return Process(Command(name, argv, self._root, log, environment(self.settings)))

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds of broker, registry and services since each started. Raises StackError when one ended."""
        used = {name: psutil.Process(pid).cpu_times() for name, pid in self._pids()}
        return {name: one.user + one.system for name, one in used.items()}

    def peak_rss_mb(self) -> dict[str, float]:
        """The kernel's own high-water marks of the same."""
        return {name: peak_rss_mb(pid) for name, pid in self._pids()}

    def _pids(self) -> Iterator[tuple[str, int]]:
        for member in self._stack.members:
            process = member.process
            if process.pid is None or not process.is_running:
                raise StackError(f"{process.name} ended while it was measured:\n{process.log_tail(10)}")
            yield process.name, process.pid

    def lags(self, stage: str) -> Lags:
        """How far one stage is behind on what it reads."""
        return Lags(
            self.settings.bootstrap_servers, {f"xiezhi-{stage}": passed_by(self.settings)[f"xiezhi-{stage}"]}
        )

    def ends(self, *topics: str) -> int:
        """Records ever written to these topics."""
        with LogReader(self.settings.bootstrap_servers) as log:
            return sum(
                log.range(topic, number)[1] for topic in topics for number in range(log.partitions(topic))
            )

    def require_routed(self) -> None:
        """Every record of the backlog is filed under one key, so there are as many facts; then time may pass.

        A last tick lets all settle times run out. Raises XiezhiError when something is missing.
        """
        published = self.ends(*(contract.topic for contract in CONTRACTS))
        facts = self.ends(self.facts) - self._control_records
        if facts < published or self.ends(DEAD_LETTER):
            raise XiezhiError(
                f"{published} records gave {facts} facts, {self.ends(DEAD_LETTER)} dead letters"
            )
        self.tick(now_ms() + SETTLED_MS)

    def require_alerts(self, planted: int) -> None:
        """Exactly as many alerts as were planted were raised. Raises XiezhiError."""
        said, dead = self.alerts(), self.ends(DEAD_LETTER)
        if said != planted or dead:
            raise XiezhiError(f"{planted} alerts were planted, {said} said, {dead} dead letters")

    def alerts(self) -> int:
        """Alerts that were ever said."""
        with LogReader(self.settings.bootstrap_servers) as log:
            partitions = range(log.partitions(ALERT))
            return len(
                {raw.key for number in partitions for chunk in log.read(ALERT, number, 0) for raw in chunk}
            )

    def _producer(self) -> Any:
        return Producer(producer_options(self.settings, name="benchmark"))

    def create_topic(self, name: str) -> None:
        """A topic outside the plan: records keep the times they are given, and are kept whatever those are."""
        topic = NewTopic(name, self.settings.partitions, 1, config={"retention.ms": "-1"})
        admin = Admin({"bootstrap.servers": self.settings.bootstrap_servers})
        admin.create_topics([topic])[name].result(FLUSH_TIMEOUT_S)

    def send(self, records: Sequence[Encoded], partitions: Sequence[int] = ()) -> None:
        """Publish to the end, on each of `partitions` or on the one of the key. Raises DeliveryError."""
        producer, failed = self._producer(), []

        def delivered(error: Any, message: Any) -> None:
            if error is not None:
                failed.append(f"{message.topic()}: {error}")

        for one in records:
            for target in [{"partition": number} for number in partitions] or [{}]:
                while True:
                    try:
                        producer.produce(
                            one.topic,
                            one.value,
                            one.key,
                            headers=one.headers,
                            timestamp=one.at_ms,
                            on_delivery=delivered,
                            **target,
                        )
                        break
                    except BufferError:
                        producer.poll(0.1)
        if producer.flush(FLUSH_TIMEOUT_S) or failed:
            raise DeliveryError(f"the backlog could not be published: {failed[:1] or 'timeout'}")


@contextmanager
def bus_with_backlog(records: int, what: str, say: Callable[[str], None]) -> Iterator[tuple[Bus, Path]]:
    """A bus that nothing has read from yet, and a folder for whoever measures on it; both end with the block."""
    with ExitStack() as opened:
        folder = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="xiezhi-bench-")))
        say(f"{what}: starting a broker and a registry in {folder}")
        bus = Bus.new(folder, opened)
        bus.prepare()
        sent, seconds = bus.publish(records)
        say(f"{what}: {sent:,} records published in {seconds:.1f} s")
        yield bus, folder


def _free_ports() -> Ports:
    """Four loopback ports that nobody uses now; held together so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(4)]
        for one in sockets:
            one.bind((LOOPBACK, 0))
        return Ports(*(int(one.getsockname()[1]) for one in sockets))
