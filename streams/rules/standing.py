"""Since when something stands, in the order in which its records were ingested: what settle times count from. Pure.

Only what stands in the view is looked at, with the parameters that apply to it now. So a corrected record counts from
the ingestion of its newest version, and records that come later do not move the beginning of what stood before them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import groupby

from streams.kernel import Evidence, Statement
from xiezhi.contracts.naming import RELATION

#: Attribute of relations whose evidence may grow: the instant, as text, since which they stand.
ESTABLISHED = "established_ms"


def ingested_ms(statement: Statement) -> int:
    """From when on a statement is known; of a relation, from when on what it says is known of departments' records.

    Not when the relation was ingested itself: that depends on who derived it, and how often.
    """
    if statement.record_type != RELATION:
        return statement.source.ingested_ms
    told = statement["attributes"].get(ESTABLISHED)
    if told is not None:
        return int(told)
    return max((one.source.ingested_ms for one in Evidence.through(statement)), default=0)


def known_since_ms(statements: Iterable[Statement]) -> int:
    """From when on all of them are known."""
    return max(map(ingested_ms, statements))


def standing_since_ms(
    entries: Iterable[Statement], holds_with: Callable[[Statement], bool], *, at_first: int | None = None
) -> int | None:
    """The ingestion from which on a condition has held without a break; None when it does not hold in the end.

    `holds_with` takes in one entry after the other and says whether the condition holds of all so far. What was
    ingested at one instant is one step, and comes in no particular order. `at_first` is the answer without any entry.
    """
    since = at_first
    for instant_ms, together in groupby(sorted(entries, key=ingested_ms), key=ingested_ms):
        holds = [holds_with(entry) for entry in together][-1]
        if not holds:
            since = None
        elif since is None:
            since = instant_ms
    return since
