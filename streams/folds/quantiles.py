"""Quantiles by definition 8 of Hyndman and Fan, "Sample quantiles in statistical packages" (1996), exactly. Pure."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

from streams.kernel import Number, exact

_THIRD = Fraction(1, 3)


def quantile(share: Fraction, count: int, at: Callable[[int], Number]) -> Number | None:
    """Of `count` numbers in ascending order, `at(0)` the least; None of none. Raises ValueError for no share of 0 to 1.

    The place is (n + 1/3) p + 1/3, counted from 1; between two numbers the answer lies between them in proportion.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"a share of 0 to 1 was expected, not {share}")
    if count == 0:
        return None
    place = (count + _THIRD) * share + _THIRD
    whole = int(place)
    if whole < 1:
        return at(0)
    if whole >= count:
        return at(count - 1)
    lower, upper = at(whole - 1), at(whole)
    return exact(lower + (place - whole) * (upper - lower))
