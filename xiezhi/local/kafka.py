"""A real single-node Kafka (broker and controller in one process), listening on loopback only.

It is a broker for development, demonstration and tests: one node, no replicas, no access control. Data
survive restarts; where a cluster exists, this module is not used.
"""

from __future__ import annotations

import logging
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Sequence
from pathlib import Path

from xiezhi.errors import StackError
from xiezhi.local.java import class_path, java_argv
from xiezhi.local.process import Command, Process
from xiezhi.local.ready import Deadline, wait_ready
from xiezhi.local.settings import LOOPBACK, Ports

HEAP_MB = 768

SERVER_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller}
listeners=BROKER://{host}:{broker},CONTROLLER://{host}:{controller}
advertised.listeners=BROKER://{host}:{broker}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={data}
# Topics are created by `xiezhi contracts apply`, with their settings, or not at all.
auto.create.topics.enable=false
# One node: internal topics have one replica, and few partitions, so that a start creates few folders.
offsets.topic.replication.factor=1
offsets.topic.num.partitions=10
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=4
# Groups start at once instead of waiting three seconds for members that will not come.
group.initial.rebalance.delay.ms=0
log.cleaner.dedupe.buffer.size=16777216
num.network.threads=2
num.io.threads=4
"""

LOG4J = """\
name = kafka
status = error
appender.file.type = RollingFile
appender.file.name = file
appender.file.fileName = {log}
appender.file.filePattern = {log}.%i
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{ISO8601}} %p %m (%c{{1}})%n
appender.file.policies.type = Policies
appender.file.policies.size.type = SizeBasedTriggeringPolicy
appender.file.policies.size.size = 10MB
appender.file.strategy.type = DefaultRolloverStrategy
appender.file.strategy.max = 3
rootLogger.level = info
rootLogger.appenderRef.file.ref = file
"""


class Broker:
    """The broker of one stack: its files below `folder`, its logs in `logs`."""

    def __init__(self, folder: Path, logs: Path, ports: Ports, jars: Sequence[Path]) -> None:
        self._folder, self._ports, self._class_path = folder, ports, class_path(jars)
        self._data = folder / "data"
        self._properties, self._log4j = folder / "server.properties", folder / "log4j2.properties"
        self.log = logs / "kafka.log"
        options = ("-XX:+UseG1GC", f"-Dlog4j2.configurationFile={self._log4j}")
        run = ("-cp", self._class_path, "kafka.Kafka", str(self._properties))
        argv = java_argv(heap_mb=HEAP_MB, options=options, run=run)
        self.process = Process(Command("kafka", argv, cwd=folder, log=logs / "kafka.out"))

    @property
    def bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self._ports.broker}"

    def start(self) -> None:
        """Writes the settings, formats the data folder if it is new, starts; does not wait."""
        self._folder.mkdir(parents=True, exist_ok=True)
        properties = SERVER_PROPERTIES.format(
            host=LOOPBACK, broker=self._ports.broker, controller=self._ports.controller, data=self._data
        )
        self._properties.write_text(properties, "utf-8")
        self._log4j.write_text(LOG4J.format(log=self.log), "utf-8")
        if not (self._data / "meta.properties").exists():
            self._format()
        self.process.start()

    def wait_ready(self, timeout_s: float) -> None:
        """Until it describes its cluster to a client. Raises StackError when it ends or is too slow."""
        wait_ready(self.process, self._answers, Deadline.after(timeout_s), log=self.log)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def _format(self) -> None:
        cluster = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        run = ("-cp", self._class_path, "kafka.tools.StorageTool")
        # As one word: an id that starts with "-" would be taken for an option.
        arguments = ("format", f"--cluster-id={cluster}", "--config", str(self._properties))
        quick = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", f"-Dlog4j2.configurationFile={self._log4j}")
        argv = java_argv(heap_mb=256, options=quick, run=(*run, *arguments))
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=self._folder)
        if done.returncode != 0:
            raise StackError(
                f"Kafka could not format {self._data}: {(done.stderr or done.stdout).strip()[-500:]}; "
                f"remove {self._folder} (its records are lost) and start again"
            )

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException

        from xiezhi.admin_client import Admin

        admin = Admin({"bootstrap.servers": self.bootstrap_servers}, logger=_silent)
        try:
            return len(admin.describe_cluster(request_timeout=2.0).result(3.0).nodes) > 0
        except (KafkaException, TimeoutError):
            return False


#: librdkafka complains about every refused connection while the broker starts; that is what we wait for.
_silent = logging.getLogger("xiezhi.local.kafka.waiting")
_silent.addHandler(logging.NullHandler())
_silent.propagate = False
