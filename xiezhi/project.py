"""The project around the wheel: its departments' contracts, its commands and its services.

`xiezhi.toml` at the project's root names them by dotted module names. The wheel alone has no project; what needs
one says so.
"""

from __future__ import annotations

import difflib
import importlib
import sys
import tomllib
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from xiezhi.errors import ConfigurationError

if TYPE_CHECKING:
    import click

    from xiezhi.contracts.base import Contract
    from xiezhi.doctor.finding import Check
    from xiezhi.local.services import Service

FILE = "xiezhi.toml"


class _Named(BaseModel):
    """The `[project]` table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    contracts: str
    commands: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()
    services: str = ""


class _ProjectFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    project: _Named


class Project:
    """One project. What it names is imported when asked for, not before."""

    def __init__(self, root: Path, named: _Named) -> None:
        self.root, self._named = root, named

    @cached_property
    def _contracts(self) -> tuple[Contract, ...]:
        from xiezhi.contracts.bus import BUS_CONTRACTS

        departments: tuple[Contract, ...] = _member(self._named.contracts, "CONTRACTS")
        return (*departments, *BUS_CONTRACTS)

    def contracts(self) -> tuple[Contract, ...]:
        """The departments' contracts, then the bus's own."""
        return self._contracts

    def contract(self, name: str) -> Contract:
        """The contract called `finance.payment`, or by its topic `finance.payment.v1`."""
        for contract in self._contracts:
            if name in (contract.name, contract.topic):
                return contract
        names = [contract.name for contract in self._contracts]
        close = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {close[0]}?" if close else "`xiezhi contracts list` shows all"
        raise ConfigurationError(f"there is no contract called {name!r}; {hint}")

    @property
    def command_modules(self) -> tuple[str, ...]:
        return self._named.commands

    def commands(self) -> tuple[click.Command, ...]:
        """The commands that the project adds to `xiezhi`. Raises ConfigurationError for a missing module."""
        return tuple(command for module in self.command_modules for command in self.commands_of(module))

    def commands_of(self, module: str) -> tuple[click.Command, ...]:
        """Those of one of its command modules."""
        return _member(module, "COMMANDS")

    def checks(self) -> tuple[Check, ...]:
        """What the project lets `xiezhi doctor` ask. Raises ConfigurationError for a missing module."""
        return tuple(check for module in self._named.checks for check in _member(module, "CHECKS"))

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """What runs, in the order in which it starts."""
        from xiezhi.local.services import load_services

        return load_services(self.root / self._named.services) if self._named.services else ()


def find_project(start: Path | None = None) -> Project | None:
    """The project whose root is `start` (default: the working directory) or above it; None without one.

    Puts the root on Python's path. Raises ConfigurationError when its file is wrong.
    """
    folder = (start or Path.cwd()).absolute()
    for root in (folder, *folder.parents):
        if (root / FILE).is_file():
            project = Project(root, _read(root / FILE))
            if str(root) not in sys.path:
                sys.path.insert(0, str(root))
            return project
    return None


def load_project(start: Path | None = None) -> Project:
    """As `find_project`; raises ConfigurationError when there is none."""
    project = find_project(start)
    if project is None:
        raise ConfigurationError(
            f"this command needs a project and there is no {FILE} in {(start or Path.cwd()).absolute()} or above; "
            "change to the project's folder"
        )
    return project


def _read(file: Path) -> _Named:
    try:
        return _ProjectFile.model_validate(tomllib.loads(file.read_text("utf-8"))).project
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(f"cannot read {file}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"{file}: {where}: {first['msg']}") from error


def _member(module_name: str, attribute: str) -> tuple[Any, ...]:
    """The tuple called `attribute` of a module that the project names."""
    found = getattr(_import(module_name), attribute, None)
    if not isinstance(found, tuple):
        raise ConfigurationError(
            f"{FILE} names {module_name}, which has no tuple {attribute}; correct the name"
        )
    return found


def _import(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or name
        if name == missing or name.startswith(f"{missing}."):
            raise ConfigurationError(f"{FILE} names {name}, and there is no module {missing}") from error
        raise ConfigurationError(
            f"{name} needs the package {missing}, which is not installed; install the project's extras: "
            "pip install 'xiezhi[streams,local]'"
        ) from error
