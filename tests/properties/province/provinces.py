"""Provinces that several tests look at, made once."""

from __future__ import annotations

from functools import cache

from producers.province import Province, generate

UNTIL_MS = 1_790_000_000_000
SEEDS = (1, 2, 3)


@cache
def province(seed: int = 1, size: int = 2_500) -> Province:
    return generate(seed, size, until_ms=UNTIL_MS)


@cache
def background() -> Province:
    """Ordinary life alone."""
    return generate(5, 4_000, until_ms=UNTIL_MS, plots=())
