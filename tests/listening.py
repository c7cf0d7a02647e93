"""Which sockets of a process and its children wait for whoever comes. Not a port scan: it asks the kernel."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address

import psutil


@dataclass(frozen=True, slots=True)
class Listening:
    """A socket that waits for whoever comes: TCP that listens, UDP without a peer."""

    process: str
    pid: int
    protocol: str
    address: str
    port: int

    @property
    def is_on_loopback(self) -> bool:
        address = ip_address(self.address.partition("%")[0])
        mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        return (mapped or address).is_loopback


def listening_sockets(pids: Iterable[int]) -> list[Listening]:
    """Those of these processes and all their descendants."""
    return [found for pid in pids for process in _family(pid) for found in _of(process)]


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _of(process: psutil.Process) -> Iterator[Listening]:
    for connection in process.net_connections(kind="inet"):
        is_udp = connection.type == socket.SOCK_DGRAM
        if connection.status == psutil.CONN_LISTEN or (is_udp and not connection.raddr):
            protocol = "udp" if is_udp else "tcp"
            yield Listening(process.name(), process.pid, protocol, *connection.laddr[:2])
