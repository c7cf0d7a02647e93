"""The fact topic's records: what the router files under a join key, and what the clock broadcasts.

A fact keeps the original bytes and envelope headers of the record; one more header, `xz_fact`, says how it is filed
and where the original is. Control records (ticks, activations) travel in the same partitions, so that everything
that can change an answer has an offset in one log. Nothing on this topic is ever null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

from streams.kernel import Source
from xiezhi.envelope import INSTANT_MS_MAX
from xiezhi.errors import BadRecordError
from xiezhi.log import RawRecord

Headers = Sequence[tuple[str, bytes | None]]

FACT_HEADER = "xz_fact"
TICK_KEY = b"#tick"
ACTIVATION_KEY = b"#activation"
#: From here on the judge of this generation speaks.
TAKE_OVER_KEY = b"#take-over"
#: How far a tick may be ahead of its own append time. Machines that keep time differ by far less; one with a wrong year
#: would let every settle time and deadline run out for good, since no later tick takes back what a larger one said.
TICK_AHEAD_MAX_MS = 60_000
#: Offset of an activation on its own topic; of two about one rule the later one is in force.
SEQUENCE_HEADER = "xz_sequence"
#: Digits of the largest offset. Python refuses to read thousands of them, with an error that would stop the judge.
_SEQUENCE_DIGITS_MAX = 19
#: Neither offsets nor instants reach it.
_BEYOND = 2**63
#: Longest key of a fact: more than a join's name and a join key take, less than the store can hold (65,534 bytes).
FACT_KEY_CHARACTERS_MAX = 8_000


class Presence(StrEnum):
    """Whether a record is filed under a key, as of one version of it."""

    PRESENT = "present"  # this version belongs under the key; the value is the record
    LEFT = "left"  # this version does not (it moved away or was withdrawn); the value is empty


_PRESENCES = {presence.value: presence for presence in Presence}


class Filing(NamedTuple):
    """The content of `xz_fact`: presence, the record's address and digest, and when the router sent it."""

    presence: Presence
    source: Source
    digest: str  # SHA-256 of the record's value bytes, hex
    routed_ms: int

    def to_bytes(self) -> bytes:
        s = self.source
        where = f"{s.topic};{s.partition};{s.offset};{s.ingested_ms}"
        return f"{self.presence};{where};{self.digest};{self.routed_ms}".encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Filing:
        try:
            presence, topic, partition, offset, ingested_ms, digest, routed_ms = raw.decode().split(";")
            source = Source(topic, int(partition), int(offset), int(ingested_ms))
            routed_at_ms = int(routed_ms)
            if not (
                0 <= source.partition < 2**31
                and -_BEYOND < source.offset < _BEYOND
                and -_BEYOND < source.ingested_ms < _BEYOND
            ):
                raise ValueError("numbers that no log has")
            if not 0 <= routed_at_ms <= INSTANT_MS_MAX:
                raise ValueError("an instant that alerts could not repeat")
            return cls(_PRESENCES.get(presence) or Presence(presence), source, digest, routed_at_ms)
        except ValueError as error:
            raise BadRecordError("malformed_fact", f"the header {FACT_HEADER} is not one: {error}") from error


def fact_key(join: str, key: str) -> str:
    """`join|key`: the Kafka key of a fact, which decides its partition, and the name of the view."""
    return f"{join}|{key}"


def view_name(key: str) -> str:
    """`key` if it can be the key of a fact; raises ValueError for what could not be stored as a view."""
    if "|" not in key or len(key) > FACT_KEY_CHARACTERS_MAX:
        raise ValueError(f"expected <join>|<key> of at most {FACT_KEY_CHARACTERS_MAX} characters")
    return key


def tick_ms(value: bytes | None) -> int:
    """The instant in a tick. Raises BadRecordError."""
    try:
        now_ms = json.loads(value or b"")["now_ms"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadRecordError("malformed_tick", f"not what a clock sends: {type(error).__name__}") from error
    if type(now_ms) is not int or not 0 <= now_ms < 2**63:
        raise BadRecordError("malformed_tick", "now_ms is no instant")
    return now_ms


def tick_of(raw: RawRecord) -> int:
    """The instant that a tick on the log puts into force. Raises BadRecordError, also for one ahead of its append."""
    now_ms = tick_ms(raw.value)
    ahead_ms = now_ms - raw.ingested_ms
    if ahead_ms > TICK_AHEAD_MAX_MS:
        raise BadRecordError(
            "tick_ahead",
            f"{ahead_ms // 1000} s ahead of the broker; set the time of the clock service's machine",
        )
    return now_ms


def sequence_of(headers: Headers) -> int:
    """The activation's place among all activations."""
    found = next((value for name, value in headers if name == SEQUENCE_HEADER), None)
    if found is None or not found.isdigit() or len(found) > _SEQUENCE_DIGITS_MAX:
        raise BadRecordError("missing_header", f"an activation on the fact topic needs {SEQUENCE_HEADER}")
    return int(found)


def split_filing(headers: Headers) -> tuple[bytes | None, Headers]:
    """(raw `xz_fact`, the headers that the record came with). The router's own is the last one, others do not count."""
    if not headers or headers[-1][0] != FACT_HEADER:
        return None, headers
    return headers[-1][1], headers[:-1]
