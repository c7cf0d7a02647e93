"""The local stack as one object: a real broker, a real registry and, on top, the services of a project.

It owns a folder (`home`) for as long as it runs. What it starts it stops, services first, also after a failed
start; what a killed predecessor left running it ends first. Used by `xiezhi up`, the demonstration and the tests.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from xiezhi.errors import StackError
from xiezhi.local import preflight
from xiezhi.local.artefacts import broker_jars, registry_folder
from xiezhi.local.kafka import Broker
from xiezhi.local.ports import free_port
from xiezhi.local.process import Command, Process, signal_group
from xiezhi.local.registry import LocalRegistry
from xiezhi.local.services import Service, environment
from xiezhi.local.settings import StackSettings
from xiezhi.local.state import ProcessRecord, StackLock, StackState, read_state, write_state
from xiezhi.local.supervisor import DEFAULT, RestartPolicy, Supervised, Supervisor, how_it_ended
from xiezhi.settings import Settings

if TYPE_CHECKING:
    from xiezhi.project import Project

#: How long a command of `run` may take; without a bound a hanging one would hang `xiezhi up`.
COMMAND_TIMEOUT_S = 180.0


class LocalStack:
    """Broker, registry and services on this machine. Not thread-safe: one owner starts, watches and stops it."""

    def __init__(
        self, settings: StackSettings, say: Callable[[str], None], restarts: RestartPolicy = DEFAULT
    ) -> None:
        """`restarts` is how long what ended stays down."""
        self._settings, self._say, self._restarts = settings, say, restarts
        self._lock = StackLock(settings.home)
        self._broker: Broker | None = None
        self._registry: LocalRegistry | None = None
        self._parts = Supervisor((), say)
        self._services = Supervisor((), say)
        self._zones: dict[str, str] = {}
        self._metrics_ports: dict[str, int] = {}

    # What others need to know.

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
        """Settings of a process that uses this stack and keeps its own files beside it."""
        where = {"bootstrap_servers": self.bootstrap_servers, "registry_url": self.registry_url}
        return Settings(**{"data_dir": self.home.parent, **where, **overrides})

    @property
    def members(self) -> tuple[Supervised, ...]:
        """Every process of the stack and what happened to it."""
        return (*self._parts.members, *self._services.members)

    # Life.

    def start(self) -> None:
        """Blocks until broker and registry answer.

        Raises ConfigurationError or StackError, and then leaves nothing running.
        """
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
        self._broker = Broker(self.home / "kafka", self.logs, self._settings.ports, jars)
        self._registry = LocalRegistry(self.home / "registry", self.logs, self._settings.ports, program)
        parts = (self._broker.process, self._registry.process)
        self._parts = Supervisor(parts, self._say, policy=self._restarts)
        self._registry.start()  # first: it takes longer, and formatting the broker's folder can use the time
        self._broker.start()
        self._write_state()
        self._broker.wait_ready(self._settings.local.start_timeout_s)
        self._registry.wait_ready(self._settings.local.start_timeout_s)

    def run(
        self,
        name: str,
        arguments: Sequence[str],
        settings: Settings,
        cwd: Path,
        *,
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> None:
        """Runs one command of this Python to its end. Raises StackError with the last lines it logged."""
        process = Process(self._command(name, arguments, settings, cwd))
        process.start()
        try:
            ended = process.wait(timeout_s)
        finally:
            code = process.kill()
        if not ended or code != 0:
            how = how_it_ended(code) if ended else f"did not end within {timeout_s:g} s"
            raise StackError(f"{name} {how}; the end of {process.command.log}:\n{process.log_tail()}")

    def start_project(self, project: Project, settings: Settings, *, pack: str, purpose: str = "") -> None:
        """Apply contracts and rules, run what services name to be run before them, then start all of them.

        `purpose` is for the access trail, where the settings have none. Raises StackError.
        """
        applying = settings.model_copy(update={"purpose": settings.purpose or purpose})
        before = (service.before for service in project.services if service.before)
        for arguments in (("contracts", "apply"), ("rules", "apply", "--pack", pack), *before):
            self._say(f"xiezhi {' '.join(arguments)} …")
            self.run("-".join(arguments[:2]), ("-m", "xiezhi.cli.main", *arguments), applying, project.root)
        self.start_services(project.services, settings, project.root)

    def start_services(self, services: Sequence[Service], settings: Settings, cwd: Path) -> None:
        """Starts services of a project in place of those that run; `watch` keeps them running."""
        self._services.stop()
        self._metrics_ports = self._choose_ports(services)
        commands = [self._command_of(service, settings, cwd) for service in services]
        self._zones = {service.name: service.zone.value for service in services}
        processes = [Process(command) for command in commands]
        self._services = Supervisor(processes, self._say, policy=self._restarts)
        self._services.start()
        self._write_state()

    def _choose_ports(self, services: Sequence[Service]) -> dict[str, int]:
        """Where each service that has metrics serves them: a taken port must not keep it from running."""
        chosen: dict[str, int] = {}
        for service in services:
            if service.metrics_port:
                wanted = service.metrics_port if self._settings.fixed_metrics_ports else 0
                port = free_port(wanted, set(chosen.values()))
                chosen[service.name] = port
                if wanted and port != wanted:
                    self._say(f"port {wanted} is taken; {service.name} serves its metrics on {port}")
        return chosen

    def _command_of(self, service: Service, settings: Settings, cwd: Path) -> Command:
        own = settings.model_copy(update={"metrics_port": self._metrics_ports.get(service.name, 0)})
        return self._command(service.name, service.command, own, cwd, service.stop_grace_s)

    def _command(
        self, name: str, arguments: Sequence[str], settings: Settings, cwd: Path, stop_grace_s: float = 20.0
    ) -> Command:
        argv = (sys.executable, *arguments)
        return Command(name, argv, cwd, self.logs / f"{name}.log", environment(settings), stop_grace_s)

    def watch(self) -> None:
        """Restarts what has ended. Never blocks; the owner calls it a few times a second."""
        happened = [self._parts.step(), self._services.step()]
        if any(happened):
            self._write_state()

    def stop(self) -> None:
        """Stops what runs, services first, and releases the folder. Safe to call twice."""
        self._services.stop()
        for part in (self._registry, self._broker):
            if part is not None:
                part.stop()
        self._write_state()
        self._lock.release()

    def kill(self) -> None:
        """Ends everything at once without asking, and releases the folder."""
        self._services.kill()
        self._parts.kill()
        self._write_state()
        self._lock.release()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: object, at: TracebackType | None) -> None:
        self.stop()

    # Faults, for tests and drills.

    def restart_broker(self) -> None:
        """Stops the broker in order, starts it again, blocks until it answers."""
        self.broker.stop()
        self.start_broker()

    def kill_broker(self) -> None:
        """Ends the broker without warning; it stays away until `start_broker`."""
        self.broker.kill()

    def start_broker(self) -> None:
        self.broker.start()
        self._write_state()
        self.broker.wait_ready(self._settings.local.start_timeout_s)

    def stop_registry(self) -> None:
        self.registry.stop()

    def start_registry(self) -> None:
        self.registry.start()
        self._write_state()
        self.registry.wait_ready(self._settings.local.start_timeout_s)

    def _write_state(self) -> None:
        """Writes down what runs, for `xiezhi down` and `xiezhi status` in other terminals."""
        if self._broker is None or self._registry is None:
            return
        supervisor = ProcessRecord.of("supervisor", os.getpid(), self.logs)
        records = tuple(self._record(member) for member in self.members)
        write_state(self.home, StackState(supervisor, self.bootstrap_servers, self.registry_url, records))

    def _record(self, member: Supervised) -> ProcessRecord:
        process = member.process
        pid = process.pid if process.is_running else None
        zone = self._zones.get(process.name, "")
        return ProcessRecord.of(
            process.name,
            pid,
            process.command.log,
            restarts=member.restarts,
            zone=zone,
            note=member.given_up,
            metrics_port=self._metrics_ports.get(process.name, 0),
        )


def end_leftovers(home: Path, grace_s: float = 20.0) -> None:
    """Ends processes of a stack whose supervisor is gone. To be called with the folder's lock held."""
    state = read_state(home)
    alive = [process for process in state.processes if process.is_alive] if state else []
    _signal_all(alive, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while any(process.is_alive for process in alive) and time.monotonic() < deadline:
        time.sleep(0.1)
    _signal_all(alive, signal.SIGKILL)


def _signal_all(processes: Sequence[ProcessRecord], number: signal.Signals) -> None:
    for process in processes:
        if process.is_alive and process.pid is not None:
            signal_group(process.pid, number)
