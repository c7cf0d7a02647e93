"""What can be tampered with: something signed, seeded random changes, and an offline check that must find each."""

from __future__ import annotations

from random import Random
from typing import Protocol


class Target(Protocol):
    """One kind of evidence. To add one, write a class like `LogTarget` and name it in `__main__.TARGETS`."""

    @property
    def name(self) -> str: ...

    def check_unchanged(self) -> None:
        """The offline check of what was never changed. Raises when it finds anything: it must not cry wolf."""
        ...

    def tamper(self, random: Random) -> tuple[str, bool]:
        """Make one change to a copy of the evidence and check it; (what was changed, whether the check found it)."""
        ...
