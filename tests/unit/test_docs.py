"""What the pages say about the tree is so: links, settings, commands, languages, decisions."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic_settings import BaseSettings

from tests.simulation.protections import ALL_WEAKENED
from tests.transcript import steps
from xiezhi.cli.main import cli
from xiezhi.local.settings import LocalSettings
from xiezhi.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SETTINGS = (ROOT / "docs/reference/settings.md").read_text("utf-8")
DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
CODE = ("xiezhi", "schemas", "producers", "streams", "consumers", "deploy")
#: Code that is shown, as opposed to prose.
_FENCED = re.compile(r"^```.*?^```$", re.S | re.M)


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    return _FENCED.sub("", page.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_of_a_page_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", prose(page))
    local = [link.split("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    named_paths = re.findall(rf"`((?:{'|'.join(CODE)}|docs|tests)/[\w./-]*)`", prose(page))
    assert [path for path in named_paths if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M))
    asked = re.findall(r"^make ((?:[a-z-]+ ?)+)|`make ([a-z-]+)`", page.read_text("utf-8"), re.M)
    assert {target for many, one in asked for target in (many or one).split()} <= targets


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_that_a_page_names_exists_with_its_options(page: Path) -> None:
    for line in re.findall(r"`(xiezhi [a-z][^`|…\n]*)`", prose(page)):
        words = re.sub(r"\bID\b|\bFILE\b|\bNAME\b", "", line).split()[1:]
        options = {name for each in _along(words) for each_param in each.params for name in each_param.opts}
        given = {word.split("=")[0] for word in words if word.startswith("--")}
        assert given <= options | {"--help", "--version"}, line


def _along(words: list[str]) -> Iterator[click.Command]:
    """The commands that the words name, from the root on; fails on a word that names none."""
    command: click.Command = cli
    for word in words:
        yield command
        if word.startswith("-"):
            continue
        if not isinstance(command, click.Group):
            return
        below = command.get_command(click.Context(command), word)
        assert below is not None, f"there is no command {word!r} in {' '.join(words)!r}"
        command = below
    yield command


def test_the_argument_for_the_answer_names_every_protection_and_no_other() -> None:
    page = (ROOT / "docs/correctness.md").read_text("utf-8")
    told = {" ".join(name.split()) for name in re.findall(r"\*(without\s[^*]+)\*", page)}
    assert told == set(ALL_WEAKENED)


def test_both_languages_of_the_readme_show_the_same_commands_files_and_output() -> None:
    english, chinese = ROOT / "README.md", ROOT / "README.zh-CN.md"
    blocks = re.compile(r"^```(?:console|python).*?^```$", re.S | re.M)
    assert blocks.findall(english.read_text("utf-8")) == blocks.findall(chinese.read_text("utf-8"))
    assert len(steps(english)) == len(steps(chinese)) > 20


@pytest.mark.parametrize("readme", ["README.md", "README.zh-CN.md"])
def test_the_readme_leads_with_the_two_commands(readme: str) -> None:
    first = _FENCED.search((ROOT / readme).read_text("utf-8"))
    assert first is not None
    assert [line.split("#")[0].strip() for line in first[0].splitlines()[1:-1]] == ["make demo", "make test"]


def _fields() -> Iterator[tuple[str, object]]:
    every: tuple[type[BaseSettings], ...] = (Settings, LocalSettings)
    for settings in every:
        for name, field in settings.model_fields.items():
            yield f"XIEZHI_{name.upper()}", field.default if field.default_factory is None else None


@pytest.mark.parametrize(("variable", "default"), list(_fields()), ids=lambda value: str(value))
def test_every_setting_is_documented_with_its_default(variable: str, default: object) -> None:
    rows = [line.split(" | ") for line in SETTINGS.splitlines() if line.startswith(f"| `{variable}`")]
    assert len(rows) == 1
    said = rows[0][1]
    if default not in (None, ""):
        expected = str(default).lower() if isinstance(default, bool) else str(default)
        assert said == f"`{expected}`"


def test_every_variable_that_the_code_names_is_documented_and_no_other_is() -> None:
    code = [path for name in CODE for path in (ROOT / name).rglob("*.py")]
    inside = {name for path in code for name in re.findall(r"XIEZHI_[A-Z_]*[A-Z]", path.read_text("utf-8"))}
    known = inside | {variable for variable, _ in _fields()}
    documented = set(re.findall(r"^\| `(XIEZHI_[A-Z_]+)`", SETTINGS, re.M))
    assert documented == known
    everywhere = {name for page in PAGES for name in re.findall(r"XIEZHI_[A-Z_]+", page.read_text("utf-8"))}
    assert everywhere <= known


def test_the_reference_page_of_the_commands_is_current() -> None:
    page = ROOT / "docs/reference/cli.md"
    # In a process of its own: commands remember the first help that was asked of them, in whatever way.
    command = [sys.executable, "-m", "xiezhi.cli.reference"]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout
    assert page.read_text("utf-8") == told, "run: python -m xiezhi.cli.reference > docs/reference/cli.md"


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_a_decision_has_a_number_a_place_in_the_list_and_its_three_parts(page: Path) -> None:
    text = page.read_text("utf-8")
    assert text.startswith(f"# {page.stem[:4]} ")
    assert re.findall(r"^## (.*)$", text, re.M) == ["Context", "Decision", "Consequences"]
    assert f"]({page.name})" in (page.parent / "README.md").read_text("utf-8")


def test_decisions_are_numbered_without_gap() -> None:
    assert [int(page.stem[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    defined = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text())
    }
    files = {path.stem for path in (ROOT / "tests").rglob("*.py")}
    asked = re.findall(r"`(test_\w+)(?:\.py)?`", prose(page))
    assert [name for name in asked if name not in defined | files] == []
