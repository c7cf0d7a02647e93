"""How every benchmark is entered: an error that has a name is one line on stderr."""

from __future__ import annotations

import sys

import click

from xiezhi.errors import XiezhiError


def enter(name: str, command: click.Command) -> None:
    """Run `command` with the arguments of this process; an XiezhiError becomes its exit code."""
    try:
        command()
    except XiezhiError as error:
        click.echo(f"{name}: {error}", err=True)
        sys.exit(error.exit_code)
