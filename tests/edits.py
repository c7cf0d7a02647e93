"""Seeded random edits of a file's bytes, as a forger, a bad disk or a careless editor makes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import TypeAlias

Edit: TypeAlias = Callable[[bytes, Random], bytes]


def flip_bit(data: bytes, random: Random) -> bytes:
    at, changed = random.randrange(len(data)), bytearray(data)
    changed[at] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    put = random.randbytes(random.randint(1, 40))
    return data[:at] + put[: len(data) - at] + data[at + len(put) :]


def insert(data: bytes, random: Random) -> bytes:
    at = random.randint(0, len(data))
    return data[:at] + random.randbytes(random.randint(1, 40)) + data[at:]


def delete(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + data[at + random.randint(1, 40) :]


def truncate(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def repeat(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    end = at + random.randint(1, 200)
    return data[:end] + data[at:]


def swap_parts(data: bytes, random: Random) -> bytes:
    """Two parts of the same length change places."""
    length = random.choice([1, 2, 32, 34])
    first, second = sorted(random.randrange(len(data)) for _ in range(2))
    first_part, second_part = data[first : first + length], data[second : second + length]
    if first + length > second or second + length > len(data):
        return data
    return data[:first] + second_part + data[first + length : second] + first_part + data[second + length :]


EDITS: Sequence[Edit] = (flip_bit, overwrite, insert, delete, truncate, repeat, swap_parts)


def edited(data: bytes, seed: int) -> bytes:
    """`data` after one random edit; never equal to it."""
    random = Random(seed)
    while True:
        changed = random.choice(EDITS)(data, random)
        if changed != data:
            return changed


def other_spelling(data: bytes, random: Random) -> bytes:
    """The same meaning to a lenient reader of text: line ends, spaces, digits, or spare bits of base64."""
    spellings = [
        data.replace(b"\n", b"\r\n"),
        data.replace(b"=\n", b"\n"),
        data.replace(b"\n", b" \n", random.randint(1, 3)),
        _spare_bits(data),
        _leading_zero(data),
        data + b"\n",
        b"\xef\xbb\xbf" + data,
    ]
    return random.choice(spellings)


def _spare_bits(data: bytes) -> bytes:
    at = data.find(b"=\n") - 1
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    other = alphabet[alphabet.index(data[at]) ^ 1] if at >= 0 else data[at]
    return data[:at] + bytes([other]) + data[at + 1 :]


def _leading_zero(data: bytes) -> bytes:
    origin, newline, rest = data.partition(b"\n")
    return origin + newline + b"0" + rest
