"""Who controls whom, through any number of companies: chains of interests, one step per depth.

At the key of a holder E meet the interests that E holds and the relations of those who control E. What E holds gives
relations of depth 1; a party at depth d above E controls what E holds at depth d + 1. So every relation rests on lower
ones only, and rings of owners cannot hold themselves up.

A chain is as strong as its weakest link (`share_permille`, "" when a share is not stated), and holds while all of its
links do. Officers (legal representatives, managers) answer for their own company: they stand at depth 1 and are not
carried up or down a chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from schemas import catalogue
from streams.kernel import Derivation, Derived, Evidence, Finding, Input, Join, Statement, Value, View
from streams.rules.days import Interval
from streams.rules.findings import evidence_of, merged
from xiezhi.contracts.naming import RELATION

CONTROL = "control"
DEPTH_MAX = 6
#: Smaller holdings control nobody, and following them would only multiply relations.
SHARE_PERMILLE_MIN = 50

_CHAINED = ("ownership", "control")
_FULL = 1000
_LINK_FIELDS = ("company_id", "holder_id", "interest", "share_permille", "valid_from", "valid_to")


def by_holder(value: Value) -> Iterable[str]:
    return [value["holder_id"]]


def by_target(value: Value) -> Iterable[str]:
    return [value["attributes"]["target"]]


def derive(view: View, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Derived]:
    """Every party's control of what this holder holds: its own, and that of those above it."""
    links = [link for link in view.of(catalogue.OWNERSHIP.topic) if _carries(link)]
    found = [_direct(link) for link in links]
    for above in view.relations(CONTROL):
        if above["depth"] < DEPTH_MAX and above["attributes"]["interest"] in _CHAINED:
            found += [_extended(above, link) for link in links if link["interest"] in _CHAINED]
    return [derived for derived in found if derived is not None]


def _carries(link: Statement) -> bool:
    share = link["share_permille"]
    small = link["interest"] in _CHAINED and share is not None and share < SHARE_PERMILLE_MIN
    return link["holder_id"] != link["company_id"] and not small


def _direct(link: Statement) -> Derived | None:
    path = (link["holder_id"], link["company_id"])
    interval = Interval.of_days(link["valid_from"], link["valid_to"])
    return _control(path, link["interest"], _share(link), interval, link, above=None)


def _extended(above: Statement, link: Statement) -> Derived | None:
    told = above["attributes"]
    path = (*told["path"].split(), link["company_id"])
    interval = Interval.of_days(link["valid_from"], link["valid_to"]).meet(
        Interval(above["valid_from_ms"], above["valid_to_ms"])
    )
    if interval is None or len(set(path)) < len(path):
        return None
    interest = "ownership" if told["interest"] == link["interest"] == "ownership" else "control"
    shares = [int(told["share_permille"]) if told["share_permille"] else None, _share(link)]
    weakest = None if None in shares else min(share for share in shares if share is not None)
    return _control(path, interest, weakest, interval, link, above=above)


def _share(link: Statement) -> int | None:
    """The strength of one link: the share stated; control that is not a shareholding counts in full."""
    share: int | None = link["share_permille"]
    return _FULL if share is None and link["interest"] != "ownership" else share


def _control(
    path: tuple[str, ...],
    interest: str,
    share: int | None,
    interval: Interval,
    link: Statement,
    *,
    above: Statement | None,
) -> Derived:
    return Derived(
        kind=CONTROL,
        identity=(above.record_id if above else "", link.record_id),
        attributes={
            "controller": path[0],
            "target": path[-1],
            "path": " ".join(path),
            "interest": interest,
            "share_permille": "" if share is None else str(share),
        },
        evidence=merged(evidence_of(above) if above else (), [Evidence.of(link, *_LINK_FIELDS)]),
        jurisdiction=link.jurisdiction,
        valid_from_ms=interval.from_ms,
        valid_to_ms=interval.to_ms,
        depth=len(path) - 1,
    )


JOIN = Join(
    name="control",
    inputs=(
        Input(catalogue.OWNERSHIP.topic, by_holder),
        Input(RELATION, by_target, CONTROL),
    ),
    derivations=(Derivation("control", CONTROL, derive, by_depth=True),),
)
