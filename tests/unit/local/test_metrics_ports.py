"""Metrics ports: the wanted one where it is free, another where it is not, and none that two services share."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from xiezhi.errors import ConfigurationError
from xiezhi.local.ports import free_port
from xiezhi.local.services import Service, Zone, load_services
from xiezhi.local.settings import LOOPBACK, LocalSettings, Ports, StackSettings
from xiezhi.local.stack import LocalStack
from xiezhi.settings import Settings


def service(name: str, port: int) -> Service:
    return Service(name=name, command=("-c", ""), zone=Zone.EXTRANET, metrics_port=port)


def stack(home: Path, said: list[str], *, fixed: bool) -> LocalStack:
    return LocalStack(StackSettings(home, Ports(1, 2, 3, 4), LocalSettings(), fixed), said.append)


def test_the_wanted_port_is_taken_when_it_is_free() -> None:
    port = free_port()
    assert free_port(port) == port
    assert free_port(port, taken={port}) != port


def test_a_taken_port_is_replaced_and_that_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        taken.listen()
        port = taken.getsockname()[1]
        chosen = stack(tmp_path, said, fixed=True)._choose_ports([service("judge", port), service("town", 0)])
    assert chosen.keys() == {"judge"}, "a service without metrics gets no port"
    assert chosen["judge"] not in (0, port)
    assert said == [f"port {port} is taken; judge serves its metrics on {chosen['judge']}"]


def test_a_stack_with_ports_of_its_own_takes_any(tmp_path: Path) -> None:
    said: list[str] = []
    wanted = free_port()
    chosen = stack(tmp_path, said, fixed=False)._choose_ports([service("a", wanted), service("b", wanted)])
    assert len(set(chosen.values())) == 2
    assert said == []


def test_the_stack_of_xiezhi_up_serves_where_the_services_file_says() -> None:
    assert StackSettings.of(Settings()).fixed_metrics_ports


def test_two_services_on_one_port_are_refused(tmp_path: Path) -> None:
    one = '[[service]]\nname = "{}"\ncommand = ["x"]\nzone = "sealed"\nmetrics_port = 19101\n'
    file = tmp_path / "services.toml"
    file.write_text(one.format("a") + one.format("b"), "utf-8")
    with pytest.raises(ConfigurationError, match="two services have metrics_port 19101"):
        load_services(file)
