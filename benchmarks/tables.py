"""Tables of results in Markdown: a line per thing measured, medians over its rounds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from statistics import median
from typing import Any


def markdown(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    for row in rows:
        yield f"| {' | '.join(row)} |"


def middle(found: Iterable[Any], field: str, form: str) -> str:
    """The median of one field."""
    return format(median(getattr(one, field) for one in found), form)


def rate(found: Iterable[Any]) -> tuple[str, str]:
    """Two cells about `per_s`: the median, and the lowest and highest."""
    rates = [one.per_s for one in found]
    return f"{median(rates):,.0f}", f"{min(rates):,.0f}-{max(rates):,.0f}"
