"""`--purpose`, for every command that leaves a record on the access trail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])


def purpose_option(command: _Command) -> _Command:
    """Adds `purpose: str`; "" leaves it to XIEZHI_PURPOSE."""
    return click.option(
        "--purpose",
        default="",
        metavar="TEXT",
        help="Why, for the access trail: a case number, a mandate. 用途",
    )(command)
