"""The inhabitants of the province: counties, organisations, persons, and the dice that choose among them.

Nobody here can be mistaken for somebody: province code 99 is assigned to nobody (GB/T 2260), organisation
numbers carry it with a valid check character (GB 32100-2015), and persons are tokens drawn from the seed.
"""

from __future__ import annotations

import random
from base64 import b32encode
from dataclasses import dataclass

from xiezhi.contracts.types import credit_code_check

#: Every amount in the province is in renminbi.
CURRENCY = "CNY"

_CREDIT_CODE = "0123456789ABCDEFGHJKLMNPQRTUWXY"  # GB 32100: no I O S V Z

_GOVERNMENT, _COMPANY = "11", "91"  # GB 32100: registering department and kind of organisation


def dice(*parts: str | int) -> random.Random:
    """A source of choices of its own for each name, so that what one scene draws never moves another."""
    return random.Random("/".join(map(str, parts)))  # noqa: S311 - choices that must repeat, not secrets


@dataclass(frozen=True, slots=True)
class County:
    """A county by its six-digit code."""

    code: str

    @property
    def jurisdiction(self) -> str:
        """The county itself, as a 12-digit division code."""
        return self.code + "000000"

    def township(self, number: int) -> str:
        """One of its townships, as a 12-digit division code."""
        return f"{self.code}{100 + number:03}000"


COUNTIES = tuple(
    County(f"99{prefecture:02}{county:02}") for prefecture in (1, 2, 3) for county in (21, 22, 23, 24)
)


def government_unit(rng: random.Random, county: County) -> str:
    """A new department, bureau or township government."""
    return _organisation(rng, _GOVERNMENT, county)


def company(rng: random.Random, county: County) -> str:
    """A new company."""
    return _organisation(rng, _COMPANY, county)


def person(rng: random.Random) -> str:
    """A new person, as the token that a tokeniser at the edge would have made."""
    return "pt1_" + b32encode(rng.randbytes(20)).decode().lower()


def record_id(rng: random.Random, prefix: str) -> str:
    """A new identifier as a department's system would give it."""
    return f"{prefix}-{rng.getrandbits(48):012X}"


def _organisation(rng: random.Random, kind: str, county: County) -> str:
    code = kind + county.code + "".join(rng.choices(_CREDIT_CODE, k=9))
    return f"CN-USCC-{code}{credit_code_check(code)}"
