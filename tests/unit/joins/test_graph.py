"""The graph of joins: what is refused, and what stands upstream of what."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import catalogue
from streams.joins import JOINS, check_graph, upstream
from streams.kernel import Derivation, Input, Join, Rule, Statement
from tests.builders import company, judge, person
from tests.records import (
    accepted,
    amended,
    announced,
    appointed,
    assigned,
    audited,
    awarded,
    bid,
    died,
    granted,
    holds,
    kin,
    paid,
    rectified,
    seated,
    signed,
)
from xiezhi.contracts.naming import RELATION
from xiezhi.errors import ConfigurationError


def _keys(value: object) -> Iterable[str]:
    return []


def _join(
    name: str, *, takes: Iterable[str] = (), derives: Iterable[str] = (), by_depth: bool = False
) -> Join:
    return Join(
        name=name,
        inputs=(
            Input(catalogue.NOTICE.topic, _keys),
            *(Input(RELATION, _keys, kind) for kind in takes),
        ),
        derivations=tuple(
            Derivation(f"{name}-{kind}", kind, lambda view, found: [], by_depth) for kind in derives
        ),
    )


def test_the_project_s_own_graph_is_sound() -> None:
    check_graph(JOINS)


@pytest.mark.parametrize(
    ("joins", "complaint"),
    [
        ([_join("a"), _join("a")], "used twice"),
        ([replace(_join("a"), rules=(Rule("X", lambda *_: []), Rule("X", lambda *_: [])))], "used twice"),
        ([_join("a", takes=["x"])], "no join derives"),
        ([_join("a", takes=["x"], derives=["y"]), _join("b", takes=["y"], derives=["x"])], "circle"),
        ([_join("a", takes=["x"], derives=["x"])], "circle"),
        (
            [
                _join("a", takes=["x", "y"], derives=["x"], by_depth=True),
                _join("b", takes=["x"], derives=["y"]),
            ],
            "circle",
        ),
    ],
)
def test_graphs_that_cannot_be_judged_are_refused(joins: list[Join], complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        check_graph(joins)


def test_recursion_by_depth_is_allowed() -> None:
    check_graph([_join("a", takes=["x"], derives=["x"], by_depth=True), _join("b", takes=["x"])])


def test_upstream_follows_relations_through_several_joins() -> None:
    assert [join.name for join in upstream(JOINS, "procedure")] == [
        "bidder",
        "control",
        "official",
        "procedure",
    ]
    assert [join.name for join in upstream(JOINS, "cadre")] == ["cadre"]


EVERYTHING = [
    signed(),
    amended("a1", "2026-02-01", 110_000),
    amended("a2", "2026-02-20", 120_000),
    amended("a3", "2026-03-20", 127_000),
    paid("p1", "2026-04-01", 130_000),
    paid("p2", "2026-04-01", 12_000_000, contract_id=None),
    paid("p3", "2026-04-02", 12_000_000, contract_id=None),
    accepted("v1", "2026-05-01"),
    audited("f-1", "C03", "2026-01-15"),
    audited("f-2", "C01", "2026-01-15"),
    rectified("r-1", "f-1", "C03", "2026-03-01"),
    announced(),
    awarded(),
    bid("1", "a"),
    bid("2", "b"),
    holds("h1", person("spouse"), "top", 600),
    holds("h2", company("top"), "a", 700),
    holds("h3", company("top"), "b", 300),
    seated("s1", "official"),
    appointed("post", "official"),
    kin("k1", "spouse", "official"),
    *(assigned(f"as{n}", "official", f"project-{n}", "2026-01-01") for n in range(3)),
    died("d1", "x", "2025-01-01"),
    granted("g1", "x", "2025-03-01", "2025-03-31"),
]


@settings(max_examples=25, deadline=None)
@given(st.permutations(EVERYTHING))
def test_the_order_of_the_log_changes_nothing(order: list[Statement]) -> None:
    straight, shuffled = judge(EVERYTHING, pack="cn"), judge(order, pack="cn")
    assert {one.id: one.digest for one in shuffled.alerts.values()} == {
        one.id: one.digest for one in straight.alerts.values()
    }
    assert {one.id: one.digest for one in shuffled.relations.values()} == {
        one.id: one.digest for one in straight.relations.values()
    }
    assert shuffled.outcomes == straight.outcomes


def test_one_log_can_raise_every_kind_of_alert() -> None:
    found = {one.owner for one in judge(EVERYTHING, pack="cn").alerts.values()}
    assert found == {"A01", "A02", "C01", "C03", "C04", "F02", "H05", "P02", "P12", "P13", "S01"}


def test_no_join_key_breaks_the_rule_for_keys() -> None:
    for one in judge(EVERYTHING).alerts.values():
        assert not set(one.content["join_key"]) & {"|", "\x00", "\x1f"}
