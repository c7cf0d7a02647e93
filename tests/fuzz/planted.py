"""Targets with one defect each, to see that the engine finds every kind and keeps the input."""

from __future__ import annotations

import os
from collections.abc import Mapping

from tests.fuzz.targets import Target

_SEEDS = [b"plain"]


def _raises(data: bytes) -> None:
    if b"\xff" in data:
        raise KeyError("not of the family")


def _hoards(data: bytes) -> None:
    if b"\xff" in data:
        bytearray(20_000_000)


def _dawdles(data: bytes) -> None:
    if b"\xff" in data:
        sum(range(12_000_000))


def _dies(data: bytes) -> None:
    if b"\xff" in data:
        os.abort()


def _keeps_its_word(data: bytes) -> None:
    if b"\xff" in data:
        raise ValueError("of the family")


PLANTED: Mapping[str, Target] = {
    "planted-raises": Target(_raises, (ValueError,), _SEEDS),
    "planted-hoards": Target(_hoards, (ValueError,), _SEEDS),
    "planted-dawdles": Target(_dawdles, (ValueError,), _SEEDS),
    "planted-dies": Target(_dies, (ValueError,), _SEEDS),
    "planted-sound": Target(_keeps_its_word, (ValueError,), _SEEDS),
}
