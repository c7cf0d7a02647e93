"""A plot: a story that a rule should see, told in records, and the one fact that would excuse it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from producers.province.scene import Scene


@dataclass(frozen=True)
class Plot:
    """`tell` writes the story into a scene; if the scene is innocent, with the decisive fact that excuses it.

    The decisive fact is told last where the dice allow it, so that case and decoy share every other record.
    """

    rule: str
    name: str
    span_days: int
    tell: Callable[[Scene], None]
    has_decoy: bool = True

    @property
    def key(self) -> str:
        """`<rule>/<name>`."""
        return f"{self.rule}/{self.name}"
