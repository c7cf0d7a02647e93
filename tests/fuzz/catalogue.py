"""Targets by name, the planted ones among them."""

from __future__ import annotations

from tests.fuzz.planted import PLANTED
from tests.fuzz.targets import TARGETS, Target


def target_of(name: str) -> Target:
    """Raises KeyError for an unknown one."""
    return {**TARGETS, **PLANTED}[name]
