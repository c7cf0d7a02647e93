"""One fact as the judge keeps it: who says what about which record, of two the one that stands, and its row."""

from __future__ import annotations

from typing import NamedTuple

from streams.facts import Filing, Presence
from xiezhi.envelope import Envelope

Rank = tuple[int, int, str, str]

_SEPARATOR = "\x1f"


class Fact(NamedTuple):
    """A fact, decoded but for its value; `header` is the filing as it came."""

    header: bytes
    filing: Filing
    envelope: Envelope
    value: bytes

    @property
    def slot(self) -> tuple[str, str]:
        """Which record it is about: (record type, record id)."""
        return (self.filing.source.topic, self.envelope.subject)

    @property
    def rank(self) -> Rank:
        """Of two facts about one record the one with the greater rank stands."""
        return (
            self.envelope.version,
            self.envelope.occurred_ms,
            self.envelope.event_id,
            self.filing.digest,
        )

    @property
    def is_present(self) -> bool:
        return self.filing.presence is Presence.PRESENT

    def replaces(self, rank: Rank, offset: int) -> bool:
        """Whether it stands instead of a fact of that rank and source offset; of two copies the first one stands."""
        own = self.rank
        return own > rank or (own == rank and self.filing.source.offset < offset)

    def to_bytes(self) -> bytes:
        """Envelope, filing and value; of these only the filing may hold a separator, so it comes last in the head."""
        e = self.envelope
        said = (e.event_id, e.source, e.type, e.subject, str(e.occurred_ms), str(e.version), e.jurisdiction)
        head = _SEPARATOR.join((*said, e.traceparent, e.tracestate, self.header.decode())).encode()
        return len(head).to_bytes(4, "big") + head + self.value

    @classmethod
    def from_bytes(cls, row: bytes) -> Fact:
        end = 4 + int.from_bytes(row[:4], "big")
        event_id, source, kind, subject, occurred_ms, version, jurisdiction, *trace, filing = (
            row[4:end].decode().split(_SEPARATOR, 9)
        )
        envelope = Envelope(
            event_id, source, kind, subject, int(occurred_ms), int(version), jurisdiction, *trace
        )
        header = filing.encode()
        return cls(header, Filing.from_bytes(header), envelope, row[end:])


def row_of(prefix: bytes, slot: tuple[str, str]) -> bytes:
    """Name of the row of one record under a key."""
    return prefix + _SEPARATOR.join(slot).encode()
