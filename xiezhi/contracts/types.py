"""Field types that contracts share: instants, days, money, identifiers of units and tokens of persons.

Values are kept as the integers and strings that travel in Avro, so that a model dump is what gets encoded;
people and files may write ISO 8601 text. Follows GB 32100-2015 (unified social credit code) and org-id.guide prefixes.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.date()
_ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100: no I O S V Z
_NUMBER_OF = {char: number for number, char in enumerate(_ALPHABET)}
_WEIGHTS = tuple(pow(3, index, 31) for index in range(17))
_TOKEN = re.compile(r"pt[1-9][0-9]*_[a-z2-7]{26,52}")
_ORG = re.compile(r"[A-Z]{2}-[A-Z0-9]+-[A-Za-z0-9][A-Za-z0-9._/-]{0,63}")
_JURISDICTION = re.compile(r"[0-9]{12}")


def to_instant_ms(value: Any) -> Any:
    """Milliseconds since 1970 UTC from an int, an aware datetime or ISO 8601 text with an offset."""
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("an instant needs a time zone, e.g. 2026-03-01T09:00:00+08:00")
        whole = value - _EPOCH
        return (whole.days * 86_400 + whole.seconds) * 1000 + whole.microseconds // 1000
    return value


def to_day(value: Any) -> Any:
    """Days since 1970-01-01 from an int, a date or ISO 8601 text (YYYY-MM-DD)."""
    if isinstance(value, str):
        value = date.fromisoformat(value)
    if isinstance(value, datetime):
        raise ValueError("a day has no time of day")
    if isinstance(value, date):
        return (value - _EPOCH_DAY).days
    return value


def credit_code_check(code: str) -> str:
    """The check character that GB 32100-2015 asks for after the 17 leading characters of `code`."""
    total = sum(_NUMBER_OF[char] * weight for char, weight in zip(code, _WEIGHTS, strict=False))
    return _ALPHABET[(31 - total % 31) % 31]


def _check_organisation(value: str) -> str:
    if not _ORG.fullmatch(value):
        raise ValueError("expected <country>-<register>-<number>, e.g. CN-USCC-… or GB-COH-01234567")
    if value.startswith("CN-USCC-"):
        code = value.removeprefix("CN-USCC-")
        if len(code) != 18 or any(char not in _ALPHABET for char in code):
            raise ValueError("a unified social credit code has 18 characters of 0-9 and A-Y without I O S V")
        if credit_code_check(code) != code[17]:
            raise ValueError("the check character of the unified social credit code does not match")
    return value


def _check_token(value: str) -> str:
    if not _TOKEN.fullmatch(value):
        raise ValueError("expected a person token such as pt1_…; identities never travel on the bus")
    return value


def _check_party(value: str) -> str:
    return _check_token(value) if value.startswith("pt") else _check_organisation(value)


def _check_jurisdiction(value: str) -> str:
    if not _JURISDICTION.fullmatch(value):
        raise ValueError("expected a 12-digit division code (GB/T 2260 extended to the village)")
    return value


#: An instant: int milliseconds since 1970-01-01 UTC (Avro long, timestamp-millis).
Instant = Annotated[
    int, BeforeValidator(to_instant_ms), Field(strict=True, ge=-62135596800000, le=253402300799999)
]
#: A calendar day: int days since 1970-01-01 (Avro int, date).
Day = Annotated[int, BeforeValidator(to_day), Field(strict=True, ge=-719162, le=2932896)]
#: Money in minor units (fen, pence) of the currency beside it.
Minor = Annotated[int, Field(strict=True, ge=-(2**62), le=2**62)]
#: Money that cannot be negative: a price, a payment, a refund (its kind says the direction).
Amount = Annotated[int, Field(strict=True, ge=0, le=2**62)]
#: ISO 4217 currency code.
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
#: A share in thousandths, 0 to 1000.
Permille = Annotated[int, Field(strict=True, ge=0, le=1000)]
#: A unit or company: org-id prefix and number.
OrganisationId = Annotated[str, AfterValidator(_check_organisation)]
#: A natural person, as a token made at the edge.
PersonToken = Annotated[str, AfterValidator(_check_token)]
#: A person token or an organisation.
PartyId = Annotated[str, AfterValidator(_check_party)]
#: 12-digit division code.
Jurisdiction = Annotated[str, AfterValidator(_check_jurisdiction)]
#: Identifier given by a department's system; no NUL or "|" since it becomes part of keys.
Identifier = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f|]+$")]
#: Short free text without persons in it.
ShortText = Annotated[str, Field(max_length=500)]
