"""The local stack as people use it: real broker, real registry, real processes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from xiezhi.admin_client import Admin
from xiezhi.contracts.naming import ALERT
from xiezhi.errors import ConfigurationError
from xiezhi.local.settings import LOOPBACK, LocalSettings, Ports, StackSettings
from xiezhi.local.stack import LocalStack
from xiezhi.local.state import read_state

PROJECT = """
[project]
contracts = "town_schemas"
commands = ["town_commands"]
services = "services.toml"
"""
TOWN_COMMANDS = """
from pathlib import Path
from typing import Any
import click
from xiezhi.settings import Settings

@click.group()
def rules() -> None: ...

@rules.command()
@click.option("--pack")
def apply(pack: str) -> None:
    Path("activated").write_text(f"{pack} at {Settings().bootstrap_servers}", "utf-8")

COMMANDS = (rules,)
"""
TOWN_SERVICES = """
[[service]]
name = "town-crier"
command = ["-c", "import time; time.sleep(3600)"]
zone = "extranet"
"""
SCHEMA = Schema(
    '{"type": "record", "name": "Kept", "fields": [{"name": "record_id", "type": "string"}]}', "AVRO"
)


def eventually(condition: Callable[[], bool], timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.1)


def registry_answers(stack: LocalStack) -> bool:
    try:
        with urllib.request.urlopen(f"{stack.registry_url}/subjects", timeout=5) as response:  # noqa: S310
            return bool(response.status == 200)
    except urllib.error.URLError:
        return False


def broker_answers(stack: LocalStack) -> bool:
    admin = Admin({"bootstrap.servers": stack.bootstrap_servers, "log_level": 0})
    try:
        return len(admin.describe_cluster(request_timeout=2).result(3).nodes) == 1
    except KafkaException:
        return False


def test_broker_and_registry_answer(stack: LocalStack) -> None:
    assert broker_answers(stack)
    assert registry_answers(stack)


def test_everything_listens_on_loopback_only(stack: LocalStack) -> None:
    listening = {
        (connection.laddr.ip, connection.laddr.port)
        for member in stack.members
        for connection in psutil.Process(member.process.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN and connection.laddr
    }
    ports = int(stack.bootstrap_servers.rpartition(":")[2])
    assert (LOOPBACK, ports) in listening
    assert {ip for ip, _ in listening} == {LOOPBACK}
    assert len(listening) == 4, "broker, controller, registry, its management"


def test_the_broker_makes_no_topic_that_nobody_created(stack: LocalStack) -> None:
    producer = Producer({"bootstrap.servers": stack.bootstrap_servers, "message.timeout.ms": 3000})
    refused: list[object] = []
    producer.produce("local.nobody-made-this.v1", b"x", on_delivery=lambda error, _: refused.append(error))
    producer.flush(10)
    assert len(refused) == 1
    assert refused[0] is not None
    admin = Admin({"bootstrap.servers": stack.bootstrap_servers})
    assert "local.nobody-made-this.v1" not in admin.list_topics(timeout=10).topics


def test_broker_and_registry_can_be_broken_and_brought_back(stack: LocalStack) -> None:
    stack.kill_broker()
    assert not broker_answers(stack)
    stack.start_broker()
    assert broker_answers(stack)
    stack.stop_registry()
    assert not registry_answers(stack)
    stack.start_registry()
    assert registry_answers(stack)


def test_settings_of_the_stack_point_at_it(stack: LocalStack) -> None:
    settings = stack.settings(partitions=3)
    assert settings.bootstrap_servers == stack.bootstrap_servers
    assert settings.registry_url == stack.registry_url
    assert settings.partitions == 3
    assert StackSettings.of(stack.settings()).home == stack.home


def test_a_second_stack_on_the_same_data_is_refused(stack: LocalStack) -> None:
    before = read_state(stack.home)
    ports = Ports(1025, 1026, 1027, 1028)
    second = LocalStack(StackSettings(home=stack.home, ports=ports, local=LocalSettings()), print)
    with pytest.raises(ConfigurationError, match=rf"another stack \(process {os.getpid()}\) already runs"):
        second.start()
    assert read_state(stack.home) == before
    assert broker_answers(stack)


def test_a_stack_whose_port_is_taken_starts_nothing(tmp_path: Path, stack: LocalStack) -> None:
    taken = int(stack.bootstrap_servers.rpartition(":")[2])
    ports = Ports(taken, taken, taken, taken)
    second = LocalStack(StackSettings(home=tmp_path, ports=ports, local=LocalSettings()), print)
    with pytest.raises(ConfigurationError, match=rf"port {taken}, where Kafka should listen, .* \(java\)"):
        second.start()
    assert second.members == ()


class CommandLine:
    """`xiezhi` in a folder of its own, on ports of its own."""

    def __init__(self, folder: Path, ports: Ports) -> None:
        self._folder = folder
        self.bootstrap_servers = f"{LOOPBACK}:{ports.broker}"
        self.registry_url = f"http://{LOOPBACK}:{ports.registry}/apis/ccompat/v7"
        self._environment = {
            **os.environ,
            "XIEZHI_BOOTSTRAP_SERVERS": self.bootstrap_servers,
            "XIEZHI_REGISTRY_URL": self.registry_url,
            "XIEZHI_DATA_DIR": str(folder),
        }

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self._argv(*arguments),
            capture_output=True,
            text=True,
            env=self._environment,
            cwd=self._folder,
            check=False,
            timeout=90,
        )

    def up(self, *options: str) -> subprocess.Popen[str]:
        """Starts the stack and returns once it is ready."""
        argv = self._argv("up", *options)
        with (self._folder / "up.log").open("w") as output:
            process = subprocess.Popen(
                argv, stdout=output, stderr=output, text=True, env=self._environment, cwd=self._folder
            )
        eventually(lambda: "Ctrl-C here" in self.said() or process.poll() is not None, 120.0)
        assert process.poll() is None, self.said()
        return process

    def said(self) -> str:
        return (self._folder / "up.log").read_text("utf-8")

    def pids(self) -> list[int]:
        return [process["pid"] for process in json.loads(self("status", "--json").stdout)["processes"]]

    def _argv(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "xiezhi.cli.main", *arguments]


def test_up_keeps_its_data_is_stopped_by_down_and_leaves_nothing_behind(
    tmp_path: Path, new_ports: Ports
) -> None:
    xiezhi = CommandLine(tmp_path, new_ports)
    assert xiezhi("status").returncode == 1
    assert "no stack runs on" in xiezhi("down").stdout

    first = xiezhi.up("--bare")
    shown = xiezhi("status")
    assert shown.returncode == 0
    assert "kafka" in shown.stdout
    refused = xiezhi("up", "--bare")
    assert refused.returncode == ConfigurationError.exit_code
    assert f"another stack (process {first.pid}) already runs" in refused.stderr
    schema_id = write_something(xiezhi)
    pids = xiezhi.pids()
    assert "stopped" in xiezhi("down").stdout
    assert first.wait(30) == 0
    assert not any(psutil.pid_exists(pid) for pid in pids)

    make_project(tmp_path)
    second = xiezhi.up("--pack", "generic")
    assert read_back(xiezhi) == (b"kept", schema_id)
    assert ALERT in Admin({"bootstrap.servers": xiezhi.bootstrap_servers}).list_topics(timeout=10).topics
    assert (tmp_path / "activated").read_text("utf-8") == f"generic at {xiezhi.bootstrap_servers}"
    assert processes(xiezhi)["town-crier"]["zone"] == "extranet"
    restarted_by_the_supervisor(xiezhi, "town-crier")
    restarted_by_the_supervisor(xiezhi, "registry")
    pids = xiezhi.pids()
    second.send_signal(signal.SIGKILL)
    second.wait(30)
    eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids))
    assert "no stack runs on" in xiezhi("down").stdout
    with socket.socket() as probe:
        assert probe.connect_ex((LOOPBACK, new_ports.broker)) != 0


def make_project(folder: Path) -> None:
    """A project with no records of its own, a `rules apply` that leaves a note, and one service."""
    files = {
        "xiezhi.toml": PROJECT,
        "town_schemas.py": "CONTRACTS = ()\n",
        "town_commands.py": TOWN_COMMANDS,
        "services.toml": TOWN_SERVICES,
    }
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")


def write_something(xiezhi: CommandLine) -> int:
    admin = Admin({"bootstrap.servers": xiezhi.bootstrap_servers})
    admin.create_topics([NewTopic("local.kept.v1", 1)])["local.kept.v1"].result(10)
    producer = Producer({"bootstrap.servers": xiezhi.bootstrap_servers, "acks": "all"})
    producer.produce("local.kept.v1", b"kept")
    assert producer.flush(10) == 0
    with SchemaRegistryClient({"url": xiezhi.registry_url}) as registry:
        return int(registry.register_schema("local.kept.v1-value", SCHEMA))


def read_back(xiezhi: CommandLine) -> tuple[bytes | None, int | None]:
    consumer = Consumer({"bootstrap.servers": xiezhi.bootstrap_servers, "group.id": "test"})
    consumer.assign([TopicPartition("local.kept.v1", 0, 0)])
    message = consumer.poll(10)
    consumer.close()
    with SchemaRegistryClient({"url": xiezhi.registry_url}) as registry:
        schema_id = registry.get_latest_version("local.kept.v1-value").schema_id
    return (message.value() if message else None), schema_id


def restarted_by_the_supervisor(xiezhi: CommandLine, name: str) -> None:
    before = processes(xiezhi)[name]
    os.kill(before["pid"], signal.SIGKILL)
    eventually(lambda: processes(xiezhi)[name]["pid"] not in (None, before["pid"]))
    assert processes(xiezhi)[name]["restarts"] == 1
    assert f"{name} was killed by signal 9; restarting in 0.5 s" in xiezhi.said()


def processes(xiezhi: CommandLine) -> dict[str, dict[str, Any]]:
    return {each["name"]: each for each in json.loads(xiezhi("status", "--json").stdout)["processes"]}
