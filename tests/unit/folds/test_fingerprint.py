"""A store that other contributions filled is not taken for one of this code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from streams.folds.fingerprint import folds_fingerprint
from streams.kernel import Aggregate, Fold, Join, Statement
from xiezhi.errors import ConfigurationError


def amounts(statement: Statement) -> Mapping[str, Any]:
    return {"total": statement["amount"]}


def doubled(statement: Statement) -> Mapping[str, Any]:
    return {"total": 2 * statement["amount"]}


FOLD = Fold({"total": Aggregate.SUM}, amounts)
JOIN = Join(name="j", inputs=(), fold=FOLD)


def test_every_change_of_what_is_added_up_is_another_fingerprint() -> None:
    joins = [
        JOIN,
        replace(JOIN, name="k"),
        replace(JOIN, fold=replace(FOLD, contribute=doubled)),
        replace(JOIN, fold=replace(FOLD, aggregates={"total": Aggregate.MULTISET})),
    ]
    assert len({folds_fingerprint([join]) for join in joins}) == len(joins)


def test_another_layout_of_the_rows_is_another_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = folds_fingerprint([JOIN])
    monkeypatch.setattr("streams.folds.fingerprint._LAYOUT", b"3|")
    assert folds_fingerprint([JOIN]) != before


def test_timelines_and_rules_have_no_part_in_it() -> None:
    timeline = Join(name="t", inputs=())
    assert folds_fingerprint([timeline]) == ""
    assert folds_fingerprint([timeline, replace(JOIN, fanout_max=7)]) == folds_fingerprint([JOIN])


def test_a_contribution_whose_source_does_not_tell_all_is_refused() -> None:
    factor = 2
    for contribute in (partial(amounts), lambda statement: {"total": factor * statement["amount"]}):
        with pytest.raises(ConfigurationError, match="plain function"):
            folds_fingerprint([replace(JOIN, fold=replace(FOLD, contribute=contribute))])
