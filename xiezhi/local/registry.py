"""A real schema registry (Apicurio, Confluent dialect), its schemas in a file, listening on loopback only.

Not to be confused with `xiezhi/registry.py`, the client of any registry.
"""

from __future__ import annotations

import urllib.error
import urllib.request
from pathlib import Path

from xiezhi.errors import StackError
from xiezhi.local.java import java_argv
from xiezhi.local.process import Command, Process
from xiezhi.local.ready import Deadline, is_listening, wait_ready
from xiezhi.local.settings import LOOPBACK, Ports

HEAP_MB = 512

#: A proxy from the environment must not be asked for a server on this machine.
_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class LocalRegistry:
    """The registry of one stack. `program` is the unpacked Apicurio, `folder` holds its database."""

    def __init__(self, folder: Path, logs: Path, ports: Ports, program: Path) -> None:
        self._folder, self._ports = folder, ports
        # The second compiler would double the processor time of a start and find nothing worth compiling.
        options = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")
        argv = java_argv(heap_mb=HEAP_MB, options=options, run=("-jar", str(_jar(program))))
        log = logs / "registry.log"
        command = Command("registry", argv, cwd=folder, log=log, environment=self._environment())
        self.process = Process(command)

    @property
    def url(self) -> str:
        """Root of the Confluent dialect."""
        return f"http://{LOOPBACK}:{self._ports.registry}/apis/ccompat/v7"

    def start(self) -> None:
        """Starts it; does not wait."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self.process.start()

    def wait_ready(self, timeout_s: float) -> None:
        """Until it lists its subjects. Raises StackError when it ends or is too slow."""
        wait_ready(self.process, self._answers, Deadline.after(timeout_s), log=self.process.command.log)

    def stop(self) -> None:
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def _environment(self) -> dict[str, str]:
        return {
            "QUARKUS_HTTP_HOST": LOOPBACK,
            "QUARKUS_HTTP_PORT": str(self._ports.registry),
            "QUARKUS_MANAGEMENT_HOST": LOOPBACK,  # else it listens on every address
            "QUARKUS_MANAGEMENT_PORT": str(self._ports.management),
            "QUARKUS_OTEL_SDK_DISABLED": "true",
            "QUARKUS_LOG_LEVEL": "WARN",
            "QUARKUS_LOG_CONSOLE_COLOR": "false",
            "APICURIO_STORAGE_KIND": "sql",
            "APICURIO_STORAGE_SQL_KIND": "h2",
            "APICURIO_DATASOURCE_URL": f"jdbc:h2:file:{self._folder / 'registry'}",
            # Twenty connections by default, for a database that one process uses.
            "APICURIO_DATASOURCE_JDBC_INITIAL_SIZE": "2",
            "APICURIO_DATASOURCE_JDBC_MIN_SIZE": "2",
            "APICURIO_DATASOURCE_JDBC_MAX_SIZE": "10",
        }

    def _answers(self) -> bool:
        if not is_listening(LOOPBACK, self._ports.registry):
            return False
        try:
            with _opener.open(f"{self.url}/subjects", timeout=5.0) as response:
                return bool(response.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def _jar(program: Path) -> Path:
    """Older archives have a top folder, newer ones have none."""
    for candidate in (program / "quarkus-run.jar", program / "quarkus-app" / "quarkus-run.jar"):
        if candidate.is_file():
            return candidate
    raise StackError(f"{program} holds no quarkus-run.jar; remove that folder and start again")
