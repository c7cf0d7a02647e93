"""docs/how-to/publish.md is executed: its files are written, its dry runs compared, its Python run."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from xiezhi.cli.main import cli
from xiezhi.publish import Publisher

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"^```(\S+) ?(\S*)\n(.*?)^```$", (ROOT / "docs/how-to/publish.md").read_text("utf-8"), re.S | re.M
)


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
    result = CliRunner().invoke(cli, shlex.split(line.removeprefix("$ xiezhi ")))
    return result.output


@pytest.mark.parametrize("block", blocks("console"))
def test_a_command_prints_what_the_page_says(folder: Path, block: str) -> None:
    command, expected = block.split("\n", 1)
    assert "--dry-run" in command
    assert run(command) == expected


def test_the_refused_row_is_the_one_of_the_page(folder: Path) -> None:
    run(blocks("console")[1].split("\n", 1)[0])
    assert (folder / "payments.csv.refused.jsonl").read_text("utf-8") == blocks("json")[0]


def test_the_withdrawal_of_the_page_is_one_that_the_command_takes() -> None:
    line = blocks("sh")[0].strip().removeprefix("xiezhi ")
    name, *arguments = shlex.split(line)
    command = cli.get_command(cli.make_context("xiezhi", ["--help"], resilient_parsing=True), name)
    assert command is not None
    assert command.make_context(name, arguments).params["version"] == 1


def test_the_python_of_the_page_makes_a_record_and_calls_the_publisher_as_it_is() -> None:
    source = blocks("python")[0]
    record, _, sending = source.partition("with Publisher")
    names: dict[str, object] = {}
    exec(record, names)  # noqa: S102 - the page's own text
    call = ast.parse(f"with Publisher{sending}").body[0].body[0].value  # type: ignore[attr-defined]
    assert hasattr(Publisher, call.func.attr)
    assert {keyword.arg for keyword in call.keywords} <= set(Publisher.publish.__annotations__)
    assert names["record"].paid_at == 1_776_664_991_000  # type: ignore[attr-defined]
