"""Which organisation an identifier means: `<scheme>-<number>` in one spelling, or none.

Schemes are org-id.guide's prefixes (GB-COH, CN-USCC, …). Names are never looked at: an organisation that is known by
name alone gets an identifier that equals nobody else's, so that it is counted where it stands and linked to nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from producers.importing.fields import Section
from xiezhi.contracts.types import OrganisationId

#: Registers whose numbers other departments use, too: preferred when a party has several identifiers.
_COMPANY_REGISTERS = ("CN-USCC", "GB-COH")
_COH_PADDED = re.compile(r"([A-Z]{0,2})0*([1-9][0-9]*)")  # 1193013, SC33518, R0000123
_COH_OTHER = re.compile(r"[A-Z]{2}[0-9]{4,5}[A-Z]{1,2}")  # registered societies: IP28746R
_COH_LENGTH = 8
_ORGANISATION: TypeAdapter[str] = TypeAdapter(OrganisationId)


def official_organisation(identifiers: Iterable[tuple[str | None, str | None]]) -> str | None:
    """The organisation that (scheme, number) pairs identify; None if none is usable or registers contradict.

    One register of companies cannot know one company under two numbers, so such a party identifies nobody.
    """
    found: dict[str, list[str]] = {}  # scheme → distinct organisations, in the order given
    for scheme, number in identifiers:
        organisation = organisation_id(scheme, number)
        if organisation and organisation not in (known := found.setdefault((scheme or "").upper(), [])):
            known.append(organisation)
    for register in _COMPANY_REGISTERS:
        if register in found:
            return found[register][0] if len(found[register]) == 1 else None
    return next((known[0] for known in found.values()), None)


def organisation_id(scheme: str | None, number: str | None) -> str | None:
    """`GB-COH-01193013` for ("GB-COH", "1193013"); None when the pair is no usable official identifier."""
    if not scheme or not number:
        return None
    scheme = scheme.strip().upper()
    number = number.strip().removeprefix(f"{scheme}-")
    if scheme in _COMPANY_REGISTERS:
        number = "".join(number.split()).upper()
    if scheme == "GB-COH" and (number := _company_number(number)) == "":
        return None
    try:
        return _ORGANISATION.validate_python(f"{scheme}-{number}")
    except ValidationError:
        return None


def _company_number(text: str) -> str:
    """A Companies House number of eight characters; "" if the text is none."""
    if padded := _COH_PADDED.fullmatch(text):
        letters, digits = padded.groups()
        width = _COH_LENGTH - len(letters)
        return letters + digits.zfill(width) if len(digits) <= width else ""
    return text if _COH_OTHER.fullmatch(text) and len(text) == _COH_LENGTH else ""


def local_organisation(scheme: str, *context: str) -> str:
    """An identifier of our own for what only its context identifies. XX is no country (ISO 3166 user-assigned)."""
    digest = hashlib.sha256("\0".join(context).encode()).hexdigest()
    return f"XX-{scheme}-{digest[:32]}"


def stated_identifiers(holder: Section, *arrays: str) -> Iterable[tuple[str | None, str | None]]:
    """(scheme, id) of every identifier object in `holder`'s arrays."""
    for array in arrays:
        for identifier in holder.sections(array):
            yield identifier.text("scheme"), identifier.identifier("id")
