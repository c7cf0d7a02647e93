"""The local stack as one object: a real broker, a real registry and, on top of them, the services of a project.

It owns a folder (`home`) for as long as it runs. What it starts it stops, in reverse order, also after a failed start;
what a killed predecessor left running it ends first. Used by `xiezhi up`, the demonstration and the tests.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from xiezhi.local import preflight
from xiezhi.local.artefacts import broker_jars, registry_folder
from xiezhi.local.kafka import Broker
from xiezhi.local.process import signal_group
from xiezhi.local.registry import LocalRegistry
from xiezhi.local.settings import StackSettings
from xiezhi.local.state import ProcessRecord, StackLock, StackState, read_state, write_state
from xiezhi.settings import Settings


class LocalStack:
    """One broker and one registry on this machine. Not thread-safe: one owner starts and stops things."""

    def __init__(self, settings: StackSettings, say: Callable[[str], None]) -> None:
        self._settings, self._say = settings, say
        self._lock = StackLock(settings.home)
        self._broker: Broker | None = None
        self._registry: LocalRegistry | None = None

    # -- what others need to know

    @property
    def home(self) -> Path:
        return self._settings.home

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def broker(self) -> Broker:
        assert self._broker is not None, "the stack is not started"
        return self._broker

    @property
    def registry(self) -> LocalRegistry:
        assert self._registry is not None, "the stack is not started"
        return self._registry

    @property
    def bootstrap_servers(self) -> str:
        return self.broker.bootstrap_servers

    @property
    def registry_url(self) -> str:
        return self.registry.url

    def settings(self, **overrides: Any) -> Settings:
        """Settings of a process that uses this stack."""
        where = {
            "bootstrap_servers": self.bootstrap_servers,
            "registry_url": self.registry_url,
            "data_dir": self.home.parent,
        }
        return Settings(**{**where, **overrides})

    # -- life

    def start(self) -> None:
        """Blocks until broker and registry answer. Raises ConfigurationError or StackError, leaving nothing behind."""
        preflight.require_platform()
        preflight.require_packages()
        preflight.require_writable(self.home, "XIEZHI_DATA_DIR")
        preflight.require_writable(self._settings.local.cache, "XIEZHI_CACHE_DIR")
        self._lock.acquire()
        try:
            end_leftovers(self.home)
            preflight.require_free_ports(self._settings.ports)
            self._start_parts()
        except BaseException:
            self.stop()
            raise

    def _start_parts(self) -> None:
        jars = broker_jars(self._settings.local, self._say)
        program = registry_folder(self._settings.local, self._say)
        ports = self._settings.ports
        self._broker = Broker(self.home / "kafka", self.logs, ports, jars)
        self._registry = LocalRegistry(self.home / "registry", self.logs, ports, program)
        self._registry.start()  # first: it takes longer, and formatting the broker's folder can use the time
        self._broker.start()
        self.write_state()
        self._broker.wait_ready(self._settings.local.start_timeout_s)
        self._registry.wait_ready(self._settings.local.start_timeout_s)

    def stop(self) -> None:
        """Stops what runs and releases the folder. Safe to call twice."""
        for part in (self._registry, self._broker):
            if part is not None:
                part.stop()
        if self._broker is not None:
            self.write_state()
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    # -- faults, for tests and drills

    def restart_broker(self) -> None:
        """Stops the broker in order, starts it again, blocks until it answers."""
        self.broker.stop()
        self.start_broker()

    def kill_broker(self) -> None:
        """Ends the broker without warning; it stays away until `start_broker`."""
        self.broker.kill()

    def start_broker(self) -> None:
        self.broker.start()
        self.write_state()
        self.broker.wait_ready(self._settings.local.start_timeout_s)

    def stop_registry(self) -> None:
        self.registry.stop()

    def start_registry(self) -> None:
        self.registry.start()
        self.write_state()
        self.registry.wait_ready(self._settings.local.start_timeout_s)

    def write_state(self) -> None:
        """Writes down what runs, for `xiezhi down` and `status` in another terminal."""
        parts = (self.broker.process, self.registry.process)
        records = tuple(ProcessRecord.of(p.name, p.pid, p.command.log) for p in parts)
        supervisor = ProcessRecord.of("supervisor", os.getpid(), self.logs / "supervisor.log")
        write_state(self.home, StackState(supervisor, self.bootstrap_servers, self.registry_url, records))


def end_leftovers(home: Path, grace_s: float = 20.0) -> None:
    """Ends processes of a stack whose supervisor is gone. To be called with the folder's lock held."""
    state = read_state(home)
    alive = [process for process in state.processes if process.is_alive] if state else []
    for process in alive:
        assert process.pid is not None
        signal_group(process.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while any(process.is_alive for process in alive) and time.monotonic() < deadline:
        time.sleep(0.1)
    for process in alive:
        if process.is_alive and process.pid is not None:
            signal_group(process.pid, signal.SIGKILL)
