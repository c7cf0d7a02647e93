"""README and tutorial do what they say: their commands are run, in order, and print what stands there.

`README.zh-CN.md` has the same console blocks (a unit test), so running one of them is enough.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import free_ports
from tests.transcript import Command, Terminal, steps
from xiezhi.local.settings import LOOPBACK
from xiezhi.settings import Settings

ROOT = Path(__file__).parents[2]
PROJECT = ("xiezhi.toml", "schemas", "producers", "streams", "consumers", "deploy")
PAGES = ("README.md", "docs/tutorial.md")
#: As the pages show them.
READERS_FOLDER = "/home/you/xiezhi"


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """In a fresh folder with the project in it, on ports of its own; whatever it starts it ends."""
    for name in PROJECT:
        (tmp_path / name).symlink_to(ROOT / name)
    ports, defaults = free_ports(), Settings.model_fields
    here = {
        "XIEZHI_BOOTSTRAP_SERVERS": f"{LOOPBACK}:{ports.broker}",
        "XIEZHI_REGISTRY_URL": f"http://{LOOPBACK}:{ports.registry}/apis/ccompat/v7",
    }
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("XIEZHI_")}
    cache = {name: value for name, value in os.environ.items() if name in _WHERE_DOWNLOADS_ARE}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    shown_as = {
        here["XIEZHI_BOOTSTRAP_SERVERS"]: defaults["bootstrap_servers"].default,
        here["XIEZHI_REGISTRY_URL"]: defaults["registry_url"].default,
        str(tmp_path): READERS_FOLDER,
    }
    with Terminal(tmp_path, {**inherited, **cache, **here, "PATH": path}, shown_as) as opened:
        yield opened


_WHERE_DOWNLOADS_ARE = ("XIEZHI_CACHE_DIR", "XIEZHI_MAVEN_REPOSITORY", "XIEZHI_OFFLINE")


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_the_page_does_what_the_page_says(terminal: Terminal, page: str) -> None:
    found = steps(ROOT / page)
    assert sum(isinstance(step, Command) for step in found) >= 10
    for step in found:
        terminal.run(step)
    terminal.require_nothing_stays()
