"""A monitor asks every few seconds; its clients do not tell of each time that nobody answers."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from consumers.monitor.service import serve
from xiezhi.service import TALKATIVE, set_up_logging
from xiezhi.settings import Settings
from xiezhi.telemetry.meters import Meters

CLIENTS = ("httpx", "httpx2", "httpcore2", "librdkafka")


@pytest.fixture(autouse=True)
def _levels() -> Iterator[None]:
    names = {*TALKATIVE, *CLIENTS}
    before = {name: logging.getLogger(name).level for name in names}
    yield
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)


def test_clients_of_the_monitor_tell_of_errors_only_once_logging_is_set_up() -> None:
    set_up_logging()
    stopped = threading.Event()
    stopped.set()
    serve(Settings(bootstrap_servers="127.0.0.1:9"), stopped, Meters())
    assert {name: logging.getLogger(name).level for name in CLIENTS} == dict.fromkeys(CLIENTS, logging.ERROR)
