"""Inputs as Hypothesis strategies: honest bytes mutilated in a few places, with what parsers are known to choke on."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

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
_TIMES = (1, 2, 3, 50, 1_000)
BYTES_MAX = 64 * 1024


@st.composite
def inputs(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """At most BYTES_MAX bytes; one in ten owes nothing to a seed."""
    if draw(st.integers(0, 9)) == 9:
        return draw(st.binary(max_size=300))
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, _EDITS_MAX))):
        data = _edited(draw, data)
    return data[:BYTES_MAX]


def _edited(draw: st.DrawFn, data: bytes) -> bytes:
    """A span replaced: by nothing, by other bytes, by something hostile, or by itself many times."""
    start = draw(st.integers(0, len(data)))
    end = min(len(data), start + draw(st.sampled_from((0, 0, 1, 1, 2, 5, 8, 40, 10_000))))
    kind = draw(st.integers(0, 4))
    if kind == 0:
        middle = b""
    elif kind == 1:
        middle = draw(st.binary(min_size=1, max_size=8))
    elif kind == 2:
        middle = data[start:end] * min(draw(st.sampled_from(_TIMES)), 1 + BYTES_MAX // max(1, end - start))
    else:
        middle = draw(st.sampled_from(HOSTILE))
    return data[:start] + middle + data[end:]
