"""docs/how-to/import.md is executed: its files are written, its dry runs and its refusal compared."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from producers.importers_cli import COMMANDS
from xiezhi.cli.main import cli

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/how-to/import.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\S+) ?(\S*)\n(.*?)^```$", PAGE, re.S | re.M)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The page's files, in a project."""
    shutil.copy(ROOT / "xiezhi.toml", tmp_path)
    for _, name, text in BLOCKS:
        if name:
            (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blocks(language: str) -> list[str]:
    found = [text for kind, _, text in BLOCKS if kind == language]
    assert found
    return found


def run(line: str) -> str:
    return CliRunner().invoke(cli, shlex.split(line.removeprefix("$ xiezhi "))).output


@pytest.mark.parametrize("block", blocks("console"))
def test_a_command_prints_what_the_page_says(folder: Path, block: str) -> None:
    command, expected = block.split("\n", 1)
    assert "--dry-run" in command
    assert run(command) == expected


def test_the_refusal_is_the_one_of_the_page(folder: Path) -> None:
    run(blocks("console")[0].split("\n", 1)[0])
    assert (folder / "ocds.refused.jsonl").read_text("utf-8") == blocks("json")[0]


def test_every_option_of_the_commands_is_on_the_page() -> None:
    (group,) = COMMANDS
    options = {
        name
        for command in group.commands.values()  # type: ignore[attr-defined]
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("--")
    }
    assert {name for name in options if f"`{name}" not in PAGE} == set()
