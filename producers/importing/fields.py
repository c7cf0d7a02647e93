"""Typed access to untrusted JSON: a section of it that knows its own path.

Every accessor returns None for a field that is absent or null and raises RecordRefusedError, naming the path, for a
field of another type; so a mapping reads what it needs and never meets a surprise.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from xiezhi.errors import RecordRefusedError

T = TypeVar("T")
_DATE = re.compile(r"(?P<year>[0-9]{4})(-(?P<month>[0-9]{2})(-(?P<day>[0-9]{2})([Tt ].+)?)?)?")
_EPOCH_DAY = date(1970, 1, 1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Section:
    """A JSON object and the dotted path that leads to it."""

    body: Mapping[str, Any]
    path: str = ""

    @classmethod
    def of(cls, value: object, path: str = "") -> Section:
        if not isinstance(value, dict):
            raise RecordRefusedError(f"expected an object, not {_kind(value)}", field=path)
        return cls(value, path)

    def at(self, name: str) -> str:
        """The path of a field."""
        return f"{self.path}.{name}" if self.path else name

    def refuse(self, name: str, reason: str) -> RecordRefusedError:
        """The error that says what is wrong with a field; for the caller to raise."""
        return RecordRefusedError(reason, field=self.at(name))

    def has(self, name: str) -> bool:
        """Whether there is anything in the field: not null, not empty."""
        return self.body.get(name) not in (None, "", [], {})

    def section(self, name: str) -> Section | None:
        value = self.body.get(name)
        return None if value is None else Section.of(value, self.at(name))

    def values(self, name: str) -> list[Any]:
        """The elements of an array; none if it is absent."""
        value = self.body.get(name)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self.refuse(name, f"expected an array, not {_kind(value)}")
        return value

    def sections(self, name: str) -> list[Section]:
        """The objects of an array; raises if any element is none."""
        return [self.element(name, index) for index in range(len(self.values(name)))]

    def element(self, name: str, index: int) -> Section:
        """One object of an array."""
        return Section.of(self.values(name)[index], f"{self.at(name)}.{index}")

    def text(self, name: str) -> str | None:
        """Text that is not empty; empty text says nothing and counts as absent."""
        value = self.body.get(name)
        if value is None or value == "":
            return None
        if not isinstance(value, str):
            raise self.refuse(name, f"expected text, not {_kind(value)}")
        if not _is_unicode(value):
            raise self.refuse(name, "half a surrogate pair is no text")
        return value

    def identifier(self, name: str) -> str | None:
        """An identifier, which JSON may hold as text or as an integer."""
        value = self.body.get(name)
        return str(value) if _is_integer(value) else self.text(name)

    def identifiers(self, name: str) -> list[str]:
        """An array of identifiers, each once."""
        for value in (values := self.values(name)):
            if not (_is_integer(value) or (isinstance(value, str) and _is_unicode(value))):
                raise self.refuse(name, f"expected identifiers, not {_kind(value)}")
        return list(dict.fromkeys(str(value) for value in values))

    def required(self, name: str) -> str:
        """An identifier that must be there."""
        value = self.identifier(name)
        if value is None:
            raise self.refuse(name, "required, but absent")
        return value

    def number(self, name: str) -> Decimal | None:
        value = self.body.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise self.refuse(name, f"expected a number, not {_kind(value)}")
        return Decimal(value)

    def flag(self, name: str) -> bool:
        """Whether the field is literally true."""
        return self.body.get(name) is True

    def moment(self, name: str) -> datetime | None:
        """A date-time of RFC 3339, or a date; without an offset it comes back naive, for the caller to decide."""
        return self._read(name, _moment, "expected a date-time such as 2026-03-01T09:00:00Z")

    def day(self, name: str, *, end: bool = False) -> int | None:
        """A calendar day as days since 1970. A year or month alone means its first day, or its last if `end`."""
        read = _last_day if end else _first_day
        return self._read(name, read, "expected a date such as 2026-03-01, 2026-03 or 2026")

    def _read(self, name: str, read: Callable[[str], T], expected: str) -> T | None:
        text = self.text(name)
        try:
            return None if text is None else read(text)
        except (ValueError, OverflowError):
            raise self.refuse(name, expected) from None


def epoch_ms(moment: datetime) -> int:
    """Whole milliseconds since 1970 UTC; a naive moment is taken as UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(milliseconds=1)


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)


def _is_integer(value: object) -> bool:
    """An integer that may be an identifier; longer ones are an attack on what prints them."""
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**30


def _moment(text: str) -> datetime:
    # datetime.fromisoformat alone takes week dates, and any character between date and time.
    if not (match := _DATE.fullmatch(text)) or match["day"] is None:
        raise ValueError
    return datetime.fromisoformat(text)


def _first_day(text: str) -> int:
    if not (match := _DATE.fullmatch(text)):
        raise ValueError
    year, month, day = (int(part or 1) for part in match.group("year", "month", "day"))
    return (date(year, month, day) - _EPOCH_DAY).days


def _last_day(text: str) -> int:
    if not (match := _DATE.fullmatch(text)) or match["day"]:
        return _first_day(text)
    year, month = int(match["year"]), int(match["month"] or 12)
    return (date(year, month, monthrange(year, month)[1]) - _EPOCH_DAY).days


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case int() | Decimal() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "an array"
        case dict():
            return "an object"
    return "null"
