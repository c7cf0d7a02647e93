"""Seeded random edits of a file's bytes, as a forger, a bad disk or a careless editor makes them."""

from __future__ import annotations

import random


def edited(data: bytes, seed: int) -> bytes:
    """`data` after one random edit; never equal to it."""
    chance = random.Random(seed)
    while True:
        changed = _edit(data, chance)
        if changed != data:
            return changed


def _edit(data: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(data))
    length = chance.choice((1, 1, 2, 8, 32, 200))
    kind = chance.randrange(7)
    if kind == 0:  # one bit
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if kind == 1:  # one byte
        return data[:at] + chance.randbytes(1) + data[at + 1 :]
    if kind == 2:  # something more
        return data[:at] + chance.randbytes(length) + data[at:]
    if kind == 3:  # something less
        return data[:at] + data[at + length :]
    if kind == 4:  # cut off
        return data[:at]
    other = chance.randrange(len(data))
    if kind == 5:  # a piece of it elsewhere
        return data[:at] + data[other : other + length] + data[at + length :]
    first, second = sorted((at, other))  # two pieces exchanged
    length = min(length, second - first)
    one, two = data[first : first + length], data[second : second + length]
    return data[:first] + two + data[first + length : second] + one + data[second + length :]
