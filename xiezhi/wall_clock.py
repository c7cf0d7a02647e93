"""The wall clock: for stage timestamps, rate limits and records of who did what when; never for an answer of a rule."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000
