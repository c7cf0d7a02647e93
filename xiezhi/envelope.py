"""The envelope of a record: CloudEvents 1.0, binary content mode, as Kafka headers.

Publishers create it, every stage reads it, nobody changes it. Reading is strict, since headers are untrusted
bytes, with one exception: trace context that is missing or malformed is dropped and never costs a record its
delivery (W3C Trace Context says to restart the trace). It is also the first thing done to every record, so
what repeats from record to record is looked up, not parsed again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple

from xiezhi.errors import BadRecordError, RecordRefusedError

Headers = Iterable[tuple[str, bytes | None]]

CONTENT_TYPE = b"application/avro"
#: More headers than this are an attack or a mistake; a hop adds a handful.
HEADERS_MAX = 64
#: Longest text in bytes: 200 characters of at most 4 bytes. Unbounded keys would bloat every fact.
TEXT_BYTES_MAX = 800
#: W3C Trace Context: at least this much must be propagated.
TRACESTATE_BYTES_MAX = 512
#: A version fits a signed 64-bit integer of any language and a JSON number.
VERSION_MAX = 2**53 - 1

_REQUIRED = (
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
    "ce_recordversion",
    "ce_jurisdiction",
)
_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001 - subtracted from naive UTC only
#: Years 1 to 9999.
INSTANT_MS_MIN, INSTANT_MS_MAX = -62_135_596_800_000, 253_402_300_799_999
_HEX = b"0123456789abcdef"
_SEQUENCES = (list, tuple)  # a union would be made anew for every record
_TRACEPARENT = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_CONTROL_OR_BAR = bytes(range(32)) + b"|"  # what contracts.types.Identifier forbids
# The tails of a ce_time: 1440 minutes, 60 seconds and 1000 fractions. Looking them up also checks them.
_MINUTE_MS = {b"T%02d:%02d" % divmod(minute, 60): minute * 60_000 for minute in range(1440)}
_SECOND_MS = {b":%02d" % second: second * 1000 for second in range(60)}
_FRACTION_MS = {b".%03dZ" % ms: ms for ms in range(1000)}


class Envelope(NamedTuple):
    """Who says what about which record, when."""

    event_id: str  # UUID of version 7, the same whenever the same statement is published again
    source: str  # URN of the publishing system
    type: str  # topic of the contract, e.g. finance.payment.v1
    subject: str  # record id
    occurred_ms: int  # ce_time, milliseconds since 1970 UTC
    version: int
    jurisdiction: str  # 12-digit division code
    traceparent: str = ""  # "" when the publisher sent none
    tracestate: str = ""

    @classmethod
    def create(
        cls,
        *,
        source: str,
        type: str,
        subject: str,
        occurred_ms: int,
        version: int,
        jurisdiction: str,
        traceparent: str = "",
        tracestate: str = "",
    ) -> Envelope:
        """An envelope whose event id follows from the content. Raises RecordRefusedError naming the field."""
        for holds, field, expected in (
            (_is_text(source), "source", "a URN without control characters"),
            (_is_text(subject), "record_id", "1 to 200 characters without control characters and |"),
            (
                INSTANT_MS_MIN <= occurred_ms <= INSTANT_MS_MAX,
                "occurred_at",
                "an instant in the years 1 to 9999",
            ),
            (0 <= version <= VERSION_MAX, "version", f"an integer from 0 to {VERSION_MAX}"),
            (_is_division(jurisdiction.encode(errors="replace")), "jurisdiction", "a 12-digit division code"),
        ):
            if not holds:
                raise RecordRefusedError(f"expected {expected}", field=field, record_id=subject)
        event_id = event_id_of(source, type, subject, version, occurred_ms)
        return cls(
            event_id, source, type, subject, occurred_ms, version, jurisdiction, traceparent, tracestate
        )

    def to_headers(self) -> list[tuple[str, bytes]]:
        """Kafka headers in a fixed order; trace context only when there is one."""
        headers = [
            ("ce_specversion", b"1.0"),
            ("ce_id", self.event_id.encode()),
            ("ce_source", self.source.encode()),
            ("ce_type", self.type.encode()),
            ("ce_time", format_instant(self.occurred_ms).encode()),
            ("ce_subject", self.subject.encode()),
            ("ce_recordversion", b"%d" % self.version),
            ("ce_jurisdiction", self.jurisdiction.encode()),
            ("content-type", CONTENT_TYPE),
        ]
        if self.traceparent:
            headers.append(("traceparent", self.traceparent.encode()))
            if self.tracestate:
                headers.append(("tracestate", self.tracestate.encode()))
        return headers

    @classmethod
    def from_headers(cls, headers: Headers | None) -> Envelope:
        """Read untrusted headers.

        Raises BadRecordError with reason missing_header, malformed_header or duplicate_header. No value of a
        header is repeated in the message: messages reach logs, and a header may hold anything.
        """
        pairs = headers if isinstance(headers, _SEQUENCES) else list(headers or ())
        found: dict[str, bytes | None] = dict(pairs)
        if len(found) != len(pairs) or len(found) > HEADERS_MAX:
            _check_names(pairs)
        try:
            if found["ce_specversion"] != b"1.0":
                raise ValueError("ce_specversion: expected 1.0")
            if found.get("content-type", CONTENT_TYPE) != CONTENT_TYPE:
                raise ValueError("content-type: expected application/avro")
            traceparent = _traceparent(found.get("traceparent") or b"")
            has_state = traceparent and "tracestate" in found
            return cls(
                _event_id(found["ce_id"] or b""),
                _source(found["ce_source"] or b""),
                _type(found["ce_type"] or b""),
                _text(found["ce_subject"] or b"", "ce_subject"),
                _instant(found["ce_time"] or b""),
                _version(found["ce_recordversion"] or b""),
                _jurisdiction(found["ce_jurisdiction"] or b""),
                traceparent,
                _tracestate(found["tracestate"] or b"") if has_state else "",
            )
        except KeyError as error:
            raise BadRecordError("missing_header", f"header {error.args[0]} is missing") from None
        except ValueError as error:
            raise BadRecordError("malformed_header", f"header {error}") from None


def event_id_of(source: str, type: str, subject: str, version: int, occurred_ms: int) -> str:
    """A UUID of version 7 (RFC 9562) that is the same whenever the same statement is published again.

    The time part is `occurred_ms` (0 before 1970), 74 other bits come from SHA-256 of source, type, record
    id and version. NUL separates them, and none of them may contain it.
    """
    digest = hashlib.sha256(f"{source}\0{type}\0{subject}\0{version}".encode()).digest()
    noise = int.from_bytes(digest[:10], "big")
    time = max(occurred_ms, 0) & 0xFFFFFFFFFFFF
    value = time << 80 | 0x7 << 76 | (noise & 0xFFF) << 64 | 0b10 << 62 | (noise >> 12 & 0x3FFFFFFFFFFFFFFF)
    text = f"{value:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def format_instant(instant_ms: int) -> str:
    """`2026-03-01T09:00:00.000Z`. Raises OverflowError outside the years 1 to 9999."""
    return (_EPOCH + timedelta(milliseconds=instant_ms)).isoformat(timespec="milliseconds") + "Z"


# The readers below take untrusted bytes and raise ValueError("<header>: <what was expected>"). Those with a
# cache see few different values; its bound keeps a hostile publisher from filling memory.


def _event_id(raw: bytes) -> str:
    if not (
        len(raw) == 36
        and raw[8:24:5] == b"----"
        and raw[14] == 0x37  # "7"
        and raw.translate(None, _HEX) == b"----"
    ):
        raise ValueError("ce_id: expected a UUID of version 7 in lower case")
    return raw.decode("ascii")


def _text(raw: bytes, header: str) -> str:
    if not 0 < len(raw) <= TEXT_BYTES_MAX or len(raw.translate(None, _CONTROL_OR_BAR)) != len(raw):
        raise ValueError(f"{header}: expected 1 to {TEXT_BYTES_MAX} bytes without control characters and |")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise ValueError(f"{header}: expected UTF-8") from None


@lru_cache(4096)
def _source(raw: bytes) -> str:
    return _text(raw, "ce_source")


@lru_cache(1024)
def _type(raw: bytes) -> str:
    return _text(raw, "ce_type")


def _instant(raw: bytes) -> int:
    try:
        return _day_ms(raw[:10]) + _MINUTE_MS[raw[10:16]] + _SECOND_MS[raw[16:19]] + _FRACTION_MS[raw[19:]]
    except (KeyError, ValueError):
        raise ValueError("ce_time: expected YYYY-MM-DDTHH:MM:SS.mmmZ") from None


@lru_cache(4096)
def _day_ms(raw: bytes) -> int:
    text = raw.decode("ascii")
    day = date.fromisoformat(text)
    if day.isoformat() != text:  # it takes weeks and forms without hyphens, too
        raise ValueError(text)
    return (day - _EPOCH.date()).days * 86_400_000


@lru_cache(4096)
def _version(raw: bytes) -> int:
    if not (
        raw.isdigit() and len(raw) <= 16 and int(raw) <= VERSION_MAX and (raw[:1] != b"0" or raw == b"0")
    ):
        raise ValueError("ce_recordversion: expected a decimal integer")
    return int(raw)


@lru_cache(65_536)
def _jurisdiction(raw: bytes) -> str:
    if not _is_division(raw):
        raise ValueError("ce_jurisdiction: expected 12 digits")
    return raw.decode("ascii")


def _traceparent(raw: bytes) -> str:
    """The W3C traceparent of version 00 if `raw` is one, else ""."""
    return raw.decode("ascii") if _TRACEPARENT.fullmatch(raw) else ""


def _tracestate(raw: bytes) -> str:
    printable = len(raw) <= TRACESTATE_BYTES_MAX and raw.isascii() and raw.decode("ascii").isprintable()
    return raw.decode("ascii") if printable else ""


def _check_names(pairs: list[tuple[str, bytes | None]] | tuple[tuple[str, bytes | None], ...]) -> None:
    """Only the envelope's own names count as duplicates: what others add, twice or not, is their business."""
    if len(pairs) > HEADERS_MAX:
        raise BadRecordError("malformed_header", f"{len(pairs)} headers; at most {HEADERS_MAX} are allowed")
    names = [name for name, _ in pairs]
    for name in _REQUIRED:
        if names.count(name) > 1:
            raise BadRecordError("duplicate_header", f"header {name} is there {names.count(name)} times")


def _is_division(raw: bytes) -> bool:
    return len(raw) == 12 and raw.isdigit()


def _is_text(value: str) -> bool:
    try:
        return bool(_text(value.encode(), "text"))
    except ValueError:
        return False
