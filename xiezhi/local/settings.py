"""Settings of the local stack: where downloads come from and go to, where it keeps its data, which ports.

The ports of broker and registry follow from the addresses that every other process uses, so that one setting
cannot contradict the other.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from pydantic_settings import BaseSettings, SettingsConfigDict

from xiezhi.errors import ConfigurationError
from xiezhi.settings import Settings

LOOPBACK = "127.0.0.1"


class LocalSettings(BaseSettings):
    """What only the local stack reads from the environment (`XIEZHI_CACHE_DIR`, …)."""

    model_config = SettingsConfigDict(env_prefix="XIEZHI_", frozen=True, extra="ignore")

    #: Folder shared by all stacks of a user; default `$XDG_CACHE_HOME/xiezhi`, else `~/.cache/xiezhi`.
    cache_dir: Path | None = None
    #: A mirror of Maven Central: an http(s) URL, or a folder laid out like a Maven repository.
    maven_repository: str = ""
    #: Never download; everything must be in the cache or in a mirror folder.
    offline: bool = False
    #: How long broker and registry may each take until they answer.
    start_timeout_s: float = 120.0

    @property
    def cache(self) -> Path:
        if self.cache_dir is not None:
            return self.cache_dir.expanduser().absolute()
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        return Path(base) / "xiezhi"


@dataclass(frozen=True)
class Ports:
    """The four sockets of the stack, all on loopback."""

    broker: int
    controller: int
    registry: int
    management: int  # health and metrics of the registry

    def items(self) -> tuple[tuple[str, int], ...]:
        """(what listens there, port), for checks and for people."""
        return (
            ("Kafka", self.broker),
            ("the Kafka controller", self.controller),
            ("the schema registry", self.registry),
            ("the registry's management", self.management),
        )


@dataclass(frozen=True)
class StackSettings:
    """One local stack. `home` holds all its data, logs and its lock."""

    home: Path
    ports: Ports
    local: LocalSettings
    #: Serve metrics where the services file says, or anywhere: then many stacks fit on one machine.
    fixed_metrics_ports: bool = False

    @classmethod
    def of(cls, settings: Settings) -> StackSettings:
        """The stack that `settings` point at, below their `data_dir`.

        The controller's port is the one above the broker's, the management port the one above the registry's.
        """
        broker = loopback_port("XIEZHI_BOOTSTRAP_SERVERS", settings.bootstrap_servers)
        registry = loopback_port("XIEZHI_REGISTRY_URL", settings.registry_url)
        ports = Ports(broker, broker + 1, registry, registry + 1)
        home = settings.data_dir.absolute() / "stack"
        return cls(home=home, ports=ports, local=LocalSettings(), fixed_metrics_ports=True)


def loopback_port(variable: str, address: str) -> int:
    """The port of an address on this machine's loopback; raises ConfigurationError for any other address."""
    parts = urlsplit(address if "://" in address else f"kafka://{address}")
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if host not in (LOOPBACK, "localhost") or not port or port > 65534:
        raise ConfigurationError(
            f"{variable}={address} does not name one port on {LOOPBACK}, so no local stack can be started "
            "there; unset it to use the local stack, or use the servers it names without `xiezhi up`"
        )
    return port
