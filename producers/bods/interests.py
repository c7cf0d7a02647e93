"""BODS interests as the periods in which somebody owns, controls or manages a company."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from producers.importing.fields import Section
from producers.importing.outcomes import LeftAside, Step

_OWNERSHIP, _CONTROL, _MANAGER = "ownership", "control", "manager"
#: Interest types of all versions, without hyphens and case → what they are on the bus.
_KINDS = {
    "shareholding": _OWNERSHIP,
    "rightstosurplusassets": _OWNERSHIP,
    "rightstosurplusassetsondissolution": _OWNERSHIP,
    "rightstoprofitorincome": _OWNERSHIP,
    "beneficiaryoftrust": _OWNERSHIP,
    "beneficiaryoflegalarrangement": _OWNERSHIP,
    "votingrights": _CONTROL,
    "appointmentofboard": _CONTROL,
    "influenceorcontrol": _CONTROL,
    "otherinfluenceorcontrol": _CONTROL,
    "otherinfluenceorcontroloftrust": _CONTROL,
    "settloroftrust": _CONTROL,
    "trusteeoftrust": _CONTROL,
    "protectoroftrust": _CONTROL,
    "settlor": _CONTROL,
    "trustee": _CONTROL,
    "protector": _CONTROL,
    "rightsgrantedbycontract": _CONTROL,
    "controlviacompanyrulesorarticles": _CONTROL,
    "controlbylegalframework": _CONTROL,
    "seniormanagingofficial": _MANAGER,
    "boardmember": _MANAGER,
    "boardchair": _MANAGER,
}


@dataclass(frozen=True, slots=True, order=True)
class Holding:
    """One kind of hold on a company over one period. Days since 1970; `valid_to` is exclusive; None is open."""

    kind: str
    valid_from: int | None
    valid_to: int | None
    share_permille: int | None  # the least it can be; None if not stated


def holdings(interests: Iterable[Section], *, closed_on: int | None) -> Step[list[Holding]]:
    """The holdings that interests amount to, the strongest share per kind and period, in a fixed order.

    `closed_on` ends what a closed record left open. Raises RecordRefusedError.
    """
    strongest: dict[tuple[str, int | None, int | None], int | None] = {}
    for interest in interests:
        said = interest.text("type") or ""
        kind = _KINDS.get(said.replace("-", "").lower())
        if kind is None:
            yield LeftAside("interest that is neither ownership nor control nor management")
            continue
        last_day = interest.day("endDate", end=True)
        valid_to = closed_on if last_day is None else last_day + 1
        key = (kind, interest.day("startDate"), valid_to)
        share, known = _share_permille(interest.section("share")), strongest.get(key)
        strongest[key] = share if known is None else known if share is None else max(share, known)
    found = [Holding(kind, start, end, share) for (kind, start, end), share in strongest.items()]
    return sorted(found, key=lambda each: (each.kind, each.valid_from or -(10**9), each.valid_to or 10**9))


def _share_permille(share: Section | None) -> int | None:
    """The least share that a BODS share states; percent become thousandths, rounded down.

    Until 0.3 exclusiveMinimum says whether `minimum` is exclusive, from 0.4 on it is itself a number. One
    thousandth is too coarse to tell "more than 25 %" from "25 %", so both give 250.
    """
    if share is None:
        return None
    for name in ("exact", "minimum", "exclusiveMinimum"):
        if isinstance(share.body.get(name), bool) and name == "exclusiveMinimum":
            continue
        percent = share.number(name)
        if percent is not None:
            if not 0 <= percent <= 100:
                raise share.refuse(name, "expected percent from 0 to 100")
            return int((percent * Decimal(10)).to_integral_value(ROUND_FLOOR))
    return None
