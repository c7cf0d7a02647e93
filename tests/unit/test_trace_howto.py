"""The page about tracing shows commands that are parsed, programs that compile, and every stage and note there is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

from consumers.alerts.cli import trace
from consumers.alerts.texts import text
from xiezhi.telemetry.span import STAGES
from xiezhi.telemetry.span_store import FOLDER_BYTES_MAX

PAGE = (Path(__file__).parents[2] / "docs/how-to/trace-an-alert.md").read_text("utf-8")


def test_its_commands_are_accepted() -> None:
    commands = re.findall(r"^xiezhi trace (.+?)(?: +#.*)?$", PAGE, re.M)
    assert len(commands) == 3
    for command in commands:
        trace.make_context("trace", command.split())


def test_its_program_compiles() -> None:
    [program] = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    ast.parse(program)


def test_it_names_every_stage_as_the_command_does() -> None:
    for stage in STAGES:
        assert f"{text('stage', stage, 'en')} {text('stage', stage, 'zh')}" in PAGE


def test_it_says_how_much_is_kept() -> None:
    assert f"at\nmost {FOLDER_BYTES_MAX >> 20} MiB" in PAGE
