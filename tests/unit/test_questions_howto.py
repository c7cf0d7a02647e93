"""The pages on working days and on what was said and known: their commands are taken, their file is one."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from streams.calendars import CN, content, read_site_days
from streams.rules.working_days import WorkingDays
from tests.builders import day
from xiezhi.cli.main import cli

HOW_TO = Path(__file__).parents[2] / "docs/how-to"
WORKING_DAYS = HOW_TO / "working-days.md"
QUESTIONS = HOW_TO / "what-was-said-what-was-known.md"
LINES = [
    line
    for page in (WORKING_DAYS, QUESTIONS)
    for line in re.findall(r"^\$ xiezhi ([^|\n]*)", page.read_text("utf-8"), re.M)
]


@pytest.mark.parametrize("line", LINES)
def test_a_command_of_the_page_is_one_that_is_taken(line: str) -> None:
    name, *arguments = shlex.split(line)
    command = cli.get_command(click.Context(cli), name)
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(click.Context(command), name)
    assert command is not None
    command.make_context(name, arguments)


def test_the_file_of_the_page_adds_a_year_and_a_place(tmp_path: Path) -> None:
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", WORKING_DAYS.read_text("utf-8"), re.S | re.M)
    (tmp_path / "days.yaml").write_text(text, "utf-8")
    calendars = content(CN, read_site_days(tmp_path / "days.yaml"))
    everywhere, place = (WorkingDays.from_value(calendars[prefix]) for prefix in ("", "45"))
    assert everywhere.is_working_day(day("2027-02-14"))
    assert (everywhere.is_working_day(day("2027-04-09")), place.is_working_day(day("2027-04-09"))) == (
        True,
        False,
    )
