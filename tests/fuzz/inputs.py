"""Honest bytes mutilated in a few places, with what parsers are known to choke on. The same for the same chance."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from tests.fuzz.targets import HEADER, PART

#: Bytes with a history: Avro counts and lengths beyond reason (also negative, with block sizes), numbers and exponents
#: without end, deep nesting, broken text, the separators of our own inputs, YAML that multiplies.
HOSTILE = (
    *(
        b"\xff" * 9 + b"\x01",
        b"\xfe" * 9 + b"\x7f",
        b"\x80" * 12 + b"\x01",
        b"\xff\xff\xff\xff\x0f",
        b"\x01\x00",
    ),
    *(b"\x01\xff\xff\xff\xff\x0f", b"\xfe\xff\xff\xff\x0f", b"\x00" * 64, b"\xff" * 64, b"\x02" * 64),
    *(
        b"9" * 5_000,
        b"1e999999999",
        b"1E+99999999999999999999",
        b"-1e-99999999999999999999",
        b"NaN",
        b"-0",
        b"1e400",
    ),
    *(
        b"[" * 3_000,
        b'{"a":' * 3_000,
        b"]" * 50,
        b"- " * 500,
        b'"',
        b"'",
        b",",
        b"\r",
        b"\n",
        b"\r\n\r\n",
        b"\x00",
    ),
    *(
        b"\\ud800",
        b"\xed\xa0\x80",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\x81",
        b"\xc0\x80",
        "獬豸".encode("gb18030"),
    ),
    *(
        b";" * 9,
        b"|",
        b"=",
        HEADER,
        PART,
        b"0001-01-01T00:00:00+23:59",
        b"9999-12-31T23:59:59-23:59",
        b"24:00",
    ),
    *(
        b"0000-00-00",
        "２０２６".encode(),
        "٣".encode(),
        b"&a ",
        b"*a",
        b"<<: *a\n",
        b"!!python/object:os.system x",
    ),
    b"a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n",
)
_EDITS_MAX = 5
_LENGTHS = (0, 0, 1, 1, 2, 5, 8, 40, 10_000)
_TIMES = (1, 2, 2, 3, 3, 8, 50, 1_000)
_STRANGE_BYTES_MAX = 300
BYTES_MAX = 64 * 1024


def mutilated(chance: Random, seeds: Sequence[bytes]) -> bytes:
    """At most BYTES_MAX bytes; one in ten owes nothing to a seed."""
    if chance.randrange(10) == 9:
        return chance.randbytes(chance.randrange(_STRANGE_BYTES_MAX))
    data = chance.choice(seeds)
    for _ in range(chance.randint(0, _EDITS_MAX)):
        data = _edited(chance, data)
    return data[:BYTES_MAX]


def _edited(chance: Random, data: bytes) -> bytes:
    """A span replaced: by nothing, by other bytes, by something hostile, or by itself many times."""
    start = chance.randint(0, len(data))
    end = min(len(data), start + chance.choice(_LENGTHS))
    kind = chance.randrange(5)
    if kind == 0:
        middle = b""
    elif kind == 1:
        middle = chance.randbytes(chance.randint(1, 8))
    elif kind == 2:
        middle = data[start:end] * min(chance.choice(_TIMES), 1 + BYTES_MAX // max(1, end - start))
    else:
        middle = chance.choice(HOSTILE)
    return data[:start] + middle + data[end:]
