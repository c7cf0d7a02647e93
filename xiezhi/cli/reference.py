"""Every command of this project as one page of Markdown: `python -m xiezhi.cli.reference > docs/reference/cli.md`.

The text is what `--help` says, at one width, so that the page and the command cannot differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from xiezhi.cli.main import cli

WIDTH = 100
_PREFACE = """\
# Commands · 命令

Written by `python -m xiezhi.cli.reference` from the commands themselves; do not edit.

Exit codes, unless a command says otherwise: 0 done; 1 it failed, one line on standard error says why; 2 wrong usage;
78 a setting, file or port is wrong, starting again will not help; 130 interrupted. Settings come from the environment
([settings](settings.md)). `-v` before a command shows what its parts log.
"""


def render() -> str:
    """The root first, then every command below it, depth first."""
    root = click.Context(
        cli,
        info_name="xiezhi",
        terminal_width=WIDTH,
        max_content_width=WIDTH,
        help_option_names=cli.context_settings["help_option_names"],
    )
    sections = (f"## {each.command_path}\n\n```text\n{_help(each)}\n```\n" for each in _walk(root))
    return "\n".join([_PREFACE, *sections])


def _walk(context: click.Context) -> Iterator[click.Context]:
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None and not below.hidden:
                yield from _walk(click.Context(below, context, name))


def _help(context: click.Context) -> str:
    return "\n".join(line.rstrip() for line in context.get_help().splitlines())


if __name__ == "__main__":
    sys.stdout.write(render())
