"""An instant on the command line: ISO 8601 with a time zone, and for questions about the past not ahead of now."""

from __future__ import annotations

from typing import Any

import click

from xiezhi.contracts.types import to_instant_ms
from xiezhi.wall_clock import now_ms

#: As the help of an option shows it.
METAVAR = "INSTANT"


class PastInstant(click.ParamType):
    """Text like 2026-03-01T09:00:00+08:00, as milliseconds since 1970 UTC.

    An instant ahead is refused: the answer to what was known or said by then is not complete yet.
    """

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        try:
            instant_ms = int(to_instant_ms(value))
        except (ValueError, OverflowError):
            self.fail(
                f"{value!r} is no instant; write ISO 8601 with a time zone, e.g. 2026-03-01T09:00:00+08:00",
                param,
                ctx,
            )
        if instant_ms > now_ms():
            self.fail(f"{value} lies ahead; nobody knows yet what will have arrived by then", param, ctx)
        return instant_ms
