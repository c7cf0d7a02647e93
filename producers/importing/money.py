"""Amounts of foreign data as minor units of ISO 4217 currencies, by decimal arithmetic alone."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

from producers.importing.fields import Section
from producers.importing.outcomes import LeftAside, Remark, Step

_NO_PLACES = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_PLACES = "BHD IQD JOD KWD LYD OMR TND"
#: Decimal places of the currencies that do not have two (ISO 4217, list one).
_PLACES = {
    **dict.fromkeys(_NO_PLACES.split(), 0),
    **dict.fromkeys(_THREE_PLACES.split(), 3),
    "CLF": 4,
    "UYW": 4,
}
#: Digits before the point past which a number is no amount; bounds the arithmetic on hostile exponents.
_DIGITS_MAX = 20


def money(value: Section | None) -> Step[tuple[int | None, str | None]]:
    """(minor units, currency) of an OCDS Value; (None, None) when it states no amount or no currency."""
    if value is None or (amount := value.number("amount")) is None:
        return None, None
    currency = value.text("currency")
    if currency is None:
        yield LeftAside("value without currency")
        return None, None
    if not amount.is_finite() or amount.adjusted() > _DIGITS_MAX:
        raise value.refuse("amount", "too large for an amount")
    minor = minor_units(amount, currency)
    if minor != amount.scaleb(_PLACES.get(currency, 2)):
        yield Remark("amount rounded to the minor unit of its currency")
    return minor, currency


def minor_units(amount: Decimal, currency: str) -> int:
    """`amount` in the smallest unit of `currency`, half a unit to the even neighbour."""
    places = _PLACES.get(currency, 2)
    if amount.adjusted() < -places - 1:  # below a tenth of a unit; also bounds hostile exponents
        return 0
    return int(amount.scaleb(places).to_integral_value(ROUND_HALF_EVEN))
