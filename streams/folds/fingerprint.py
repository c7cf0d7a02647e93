"""Which contributions a judge's store was filled with: aggregates of others would be wrong, and nothing would show."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence

from streams.kernel import Join
from xiezhi.errors import ConfigurationError

#: How the rows of folds are written. Another layout is another store, too: raise it with every change of theirs.
_LAYOUT = b"2|"


def folds_fingerprint(joins: Sequence[Join]) -> str:
    """Changes whenever a fold may keep another aggregate, add something else to one or write it in another way.

    It is "" without any fold.

    Raises ConfigurationError for a contribution whose source does not say all of what it does.
    """
    folds = [(join.name, join.fold) for join in joins if join.fold is not None]
    if not folds:
        return ""
    told = hashlib.sha256(_LAYOUT)
    for name, fold in folds:
        contribute = fold.contribute
        if not inspect.isfunction(contribute) or contribute.__closure__ or contribute.__defaults__:
            raise ConfigurationError(
                f"the contribution of join {name!r} is not a plain function: its source alone must tell what it adds"
            )
        declared = ",".join(f"{one}={kind}" for one, kind in sorted(fold.aggregates.items()))
        told.update(f"{name}|{declared}|{inspect.getsource(contribute)}".encode())
    return told.hexdigest()
