"""Ports for metrics: the wanted one if it is free, else any below the range of outgoing connections."""

from __future__ import annotations

import random
from collections.abc import Collection

from xiezhi.errors import StackError
from xiezhi.local.preflight import is_free

#: Linux gives outgoing connections ports from 32,768 on: one of those could be taken before it is used.
_RANGE = range(20_000, 32_000)
#: So many in a row are taken only where something is badly wrong.
_TRIES = 200


def free_port(wanted: int = 0, taken: Collection[int] = ()) -> int:
    """`wanted` unless it is 0, in use or in `taken`; then a free one. Raises StackError when none is found."""
    if wanted and wanted not in taken and is_free(wanted):
        return wanted
    for port in random.SystemRandom().sample(_RANGE, _TRIES):
        if port not in taken and is_free(port):
            return port
    raise StackError(f"no free port between {_RANGE.start} and {_RANGE.stop} on this machine")
