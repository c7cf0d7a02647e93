"""The pages on receiving alerts and on dead letters name commands, arguments and reasons that exist."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
from pathlib import Path

import click
import pytest

from consumers.alerts.cli import COMMANDS as ALERTS
from xiezhi.cli.dead_letters import COMMANDS as DEAD_LETTERS
from xiezhi.subscribe import Subscriber

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "docs/how-to" / name for name in ("subscribe.md", "dead-letters.md")]
GROUPS = {command.name: command for command in (*ALERTS, *DEAD_LETTERS)}
LINES = [line for page in PAGES for line in re.findall(r"^\$ xiezhi (.*)$", page.read_text("utf-8"), re.M)]


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_page_is_one_that_is_taken(line: str) -> None:
    group, name, *arguments = shlex.split(line)
    commands = GROUPS[group]
    assert isinstance(commands, click.Group)
    commands.commands[name].make_context(name, arguments)


def test_the_python_of_the_page_fits_the_subscriber() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGES[0].read_text("utf-8"), re.S | re.M)
    (call,) = [
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Subscriber"
    ]
    inspect.signature(Subscriber).bind(*call.args, **{str(k.arg): k.value for k in call.keywords})


def test_every_reason_of_the_page_is_one_that_is_given() -> None:
    named = set(
        re.findall(r"`([a-z_]+)`", "".join(re.findall(r"^\| (`[^|]*)\|", PAGES[1].read_text("utf-8"), re.M)))
    )
    sources = [
        path.read_text("utf-8") for folder in ("xiezhi", "streams") for path in (ROOT / folder).rglob("*.py")
    ]
    assert len(named) > 10
    assert {reason for reason in named if not any(f'"{reason}"' in source for source in sources)} == set()
