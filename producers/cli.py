"""The commands that producers add to `xiezhi`."""

from __future__ import annotations

import click

from producers import importers_cli
from producers.province.cli import province

COMMANDS: tuple[click.Command, ...] = (province, *importers_cli.COMMANDS)
