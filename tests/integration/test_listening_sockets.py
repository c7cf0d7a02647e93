"""Everything that runs listens on loopback only: nobody on the network can reach a bus on this machine."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.listening import Listening, listening_sockets
from tests.running_bus import RunningBus, wait_for

#: A parent whose child holds the socket, as a service behind a launcher would.
CHILD = "import socket, time; one = socket.socket({family}, {kind}); one.bind(({address!r}, 0)); {then}; time.sleep(60)"
PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"


def test_every_listening_socket_of_the_whole_bus_is_on_loopback(bus: RunningBus) -> None:
    wait_for(lambda: all(bus.pids().values()), 30.0, "every process is up")
    names = {pid: name for name, pid in bus.pids().items()}
    everyone = {"kafka", "registry", "router", "clock", "judge", "alert-store", "audit", "monitor"}
    assert set(names.values()) == everyone
    servers = {"kafka", "registry"}
    services = sorted(set(names.values()) - servers)
    wait_for(lambda: all("metrics at http" in bus.log_of(name) for name in services), 60.0, "all serve")
    bus.quiet()  # so that every service has opened whatever it opens
    found = listening_sockets(names)
    assert [one for one in found if not one.is_on_loopback] == []
    by_process = sorted(names[one.pid] for one in found)
    expected = sorted([*services, "kafka", "kafka", "registry", "registry"])
    assert by_process == expected, "a service serves its metrics and listens for nothing else"


@pytest.mark.parametrize(
    ("family", "kind", "address", "then", "protocol"),
    [
        ("socket.AF_INET", "socket.SOCK_STREAM", "0.0.0.0", "one.listen()", "tcp"),  # noqa: S104 -- to be found
        ("socket.AF_INET6", "socket.SOCK_STREAM", "::", "one.listen()", "tcp"),
        ("socket.AF_INET", "socket.SOCK_DGRAM", "0.0.0.0", "pass", "udp"),  # noqa: S104 -- likewise
    ],
)
def test_a_socket_that_a_child_opens_to_the_network_is_noticed(
    family: str, kind: str, address: str, then: str, protocol: str
) -> None:
    child = CHILD.format(family=family, kind=kind, address=address, then=then)
    with subprocess.Popen(
        [sys.executable, "-c", PARENT.format(child=child)], start_new_session=True
    ) as parent:
        try:
            wait_for(lambda: listening_sockets([parent.pid]), 20.0, "the child listens")
            (found,) = listening_sockets([parent.pid])
            assert (found.protocol, found.address, found.is_on_loopback) == (protocol, address, False)
            assert found.pid != parent.pid
        finally:
            _end(parent)


def test_an_address_of_the_loopback_network_is_told_from_others() -> None:
    def on_loopback(address: str) -> bool:
        return Listening("java", 1, "tcp", address, 80).is_on_loopback

    assert all(map(on_loopback, ("127.0.0.1", "127.0.0.2", "::1", "::ffff:127.0.0.1")))
    assert not any(map(on_loopback, ("0.0.0.0", "::", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0")))  # noqa: S104


def _end(parent: subprocess.Popen[bytes]) -> None:
    os.killpg(parent.pid, signal.SIGKILL)
    parent.wait()
