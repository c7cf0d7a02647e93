"""Which services a project consists of and where each runs: the content of its `services.toml`.

    [[service]]
    name = "router"
    command = ["-m", "streams.app", "router"]    # arguments of this Python
    zone = "extranet"
    stop_grace_s = 20.0                          # optional: seconds between TERM and KILL
    metrics_port = 19101                         # optional: where it serves its metrics under `xiezhi up`
    before = ["audit", "init"]                   # optional: the `xiezhi` command that runs before it starts

Pure reading; `xiezhi/local/supervisor.py` runs them.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from xiezhi.errors import ConfigurationError
from xiezhi.settings import Settings


class Zone(StrEnum):
    """The network zone of a site in which a service runs."""

    INTAKE = "intake"  # faces the internet: departments without the extranet hand in here
    EXTRANET = "extranet"  # government extranet, where the bus is
    SEALED = "sealed"  # intranet without a way out, where clues are kept


class Service(BaseModel):
    """One long-running program of the project."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]*$")]
    command: tuple[str, ...] = Field(min_length=1)
    zone: Zone
    stop_grace_s: float = Field(default=20.0, gt=0)
    metrics_port: int = Field(default=0, ge=0, le=65535)
    before: tuple[str, ...] = ()


class _ServicesFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    service: tuple[Service, ...] = ()


def load_services(file: Path) -> tuple[Service, ...]:
    """The services of a project in the order in which they start. Raises ConfigurationError."""
    try:
        services = _ServicesFile.model_validate(tomllib.loads(file.read_text("utf-8"))).service
    except OSError as error:
        raise ConfigurationError(f"cannot read the services file {file}: {error.strerror}") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{file} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{file}: {where}: {first['msg']}") from error
    names = [service.name for service in services]
    if twice := {name for name in names if names.count(name) > 1}:
        raise ConfigurationError(
            f"{file}: two services are called {sorted(twice)[0]!r}; give each its own name"
        )
    ports = [service.metrics_port for service in services if service.metrics_port]
    if shared := {port for port in ports if ports.count(port) > 1}:
        raise ConfigurationError(f"{file}: two services have metrics_port {min(shared)}; give each its own")
    return services


def environment(settings: Settings) -> Mapping[str, str]:
    """`settings` as the variables that give another process the same settings."""
    optional = ("working_days", "audit_key_dir")
    folders = {
        name: folder and folder.absolute() for name in optional for folder in (getattr(settings, name),)
    }
    absolute = {"data_dir": settings.data_dir.absolute(), **folders}
    values = settings.model_copy(update=absolute).model_dump(mode="json", exclude_none=True)
    return {f"XIEZHI_{name.upper()}": str(value) for name, value in values.items()}
