"""The hash of the code behind a rule: an activation names it, and a worker with other code must not judge."""

from __future__ import annotations

import hashlib
import importlib
import inspect
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from streams import joins, kernel, rules
from xiezhi.errors import ConfigurationError


@lru_cache(maxsize=128)
def code_hash(rule_id: str) -> str:
    """SHA-256 over the source of everything the rule's answer rests on.

    That is the rule's module, the shared modules of `streams.rules` it uses, its join, the joins whose relations
    reach it, and the kernel. Raises ConfigurationError for an unknown rule.
    """
    told = hashlib.sha256()
    for name in sorted(modules_behind(rule_id)):
        told.update(f"{name}\n".encode())
        told.update(_source(name))
    return told.hexdigest()


def modules_behind(rule_id: str) -> set[str]:
    """Names of the modules that `code_hash` covers."""
    found = [(join, rule) for join in joins.JOINS for rule in join.rules if rule.id == rule_id]
    if not found:
        raise ConfigurationError(f"there is no rule {rule_id!r}")
    join, rule = found[0]
    functions: list[Any] = [rule.evaluate]
    for source in joins.upstream(joins.JOINS, join.name):
        functions += [taken.keys for taken in source.inputs]
        functions += [derivation.derive for derivation in source.derivations]
        functions += [source.fold.contribute] if source.fold is not None else []
    return _with_shared_modules(function.__module__ for function in functions) | {kernel.__name__}


def _with_shared_modules(names: Iterable[str]) -> set[str]:
    """`names` and the modules of `streams.rules` that they use, but for the modules of other rules."""
    known = set(names)
    barred = {rule.evaluate.__module__ for join in joins.JOINS for rule in join.rules}
    pending = list(known)
    while pending:
        for value in vars(importlib.import_module(pending.pop())).values():
            used = value.__name__ if inspect.ismodule(value) else str(getattr(value, "__module__", ""))
            if used.startswith(f"{rules.__name__}.") and used not in known | barred:
                known.add(used)
                pending.append(used)
    return known


def _source(module: str) -> bytes:
    path = importlib.import_module(module).__file__
    if path is None:
        raise ConfigurationError(f"the source of {module} is not a file, so its hash cannot be checked")
    return Path(path).read_bytes()
