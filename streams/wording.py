"""How the numbers of a finding are written in explanations: money, dates, shares. Pure, the same on every machine."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Literal

Language = Literal["zh", "en"]

#: ISO 4217 currencies whose minor unit is not a hundredth.
_EXPONENTS = {
    **dict.fromkeys(("CLP", "ISK", "JPY", "KRW", "PYG", "RWF", "UGX", "VND", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


def written(name: str, value: int | str, currency: str, utc_offset_minutes: int) -> str:
    """`value` as people read it; the ending of `name` says what it is (see `Finding.numbers`)."""
    if isinstance(value, str):
        return value
    if name.endswith("_minor"):
        return _money(value, currency)
    if name.endswith("_ms"):
        return _date_of_instant(value, utc_offset_minutes)
    if name.endswith("_on"):
        return (date(1970, 1, 1) + timedelta(days=value)).isoformat()
    if name.endswith("_permille"):
        return _percent(value)
    return f"{value:,}"


def _money(minor: int, currency: str) -> str:
    exponent = _EXPONENTS.get(currency, 2)
    whole, part = divmod(abs(minor), 10**exponent)
    sign = "-" if minor < 0 else ""
    fraction = f".{part:0{exponent}}" if exponent else ""
    return f"{sign}{whole:,}{fraction} {currency}".rstrip()


def _date_of_instant(instant_ms: int, utc_offset_minutes: int) -> str:
    zone = timezone(timedelta(minutes=utc_offset_minutes))
    instant = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=instant_ms)
    return instant.astimezone(zone).date().isoformat()


def _percent(permille: int) -> str:
    whole, tenth = divmod(abs(permille), 10)
    sign = "-" if permille < 0 else ""
    return f"{sign}{whole}.{tenth}%" if tenth else f"{sign}{whole}%"
