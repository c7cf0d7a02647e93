"""Control chains: depth by depth, weakest link, intervals, rings."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.joins.control import DEPTH_MAX, SHARE_PERMILLE_MIN
from streams.kernel import Statement
from streams.rules.days import Interval, start_of
from tests.builders import company, day, judge, person, relations
from tests.records import holds

OWNER = person("owner")


def chains(*records: Statement) -> list[tuple[str, str]]:
    """(path, weakest share) of every control relation, names short."""
    found = relations(records, "control")
    return [
        (told["path"].replace(company(""), "").replace(OWNER, "owner"), told["share_permille"])
        for told in (one["attributes"] for one in found)
    ]


def test_a_chain_is_followed_and_as_strong_as_its_weakest_link() -> None:
    assert chains(
        holds("1", OWNER, "a", 600), holds("2", company("a"), "b", 300), holds("3", company("b"), "c", 900)
    ) == [
        ("a b", "300"),
        ("b c", "900"),
        ("owner a", "600"),
        ("a b c", "300"),
        ("owner a b", "300"),
        ("owner a b c", "300"),
    ]


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"share_permille": SHARE_PERMILLE_MIN - 1}, None),
        ({"share_permille": SHARE_PERMILLE_MIN}, ("ownership", str(SHARE_PERMILLE_MIN))),
        ({"share_permille": None}, ("ownership", "")),
        ({"share_permille": None, "interest": "control"}, ("control", "1000")),
        ({"share_permille": 300, "interest": "control"}, ("control", "300")),
        # officers answer for their own company only
        ({"share_permille": None, "interest": "legal_representative"}, None),
        ({"share_permille": None, "interest": "manager"}, None),
    ],
)
def test_what_a_second_link_makes_of_a_chain(
    second: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    records = [holds("1", OWNER, "a"), holds("2", company("a"), "b", **second)]
    found = [one["attributes"] for one in relations(records, "control") if one["depth"] == 2]
    assert [(told["interest"], told["share_permille"]) for told in found] == ([expected] if expected else [])


@pytest.mark.parametrize("interest", ["legal_representative", "manager"])
def test_officers_stand_at_depth_one_and_are_not_carried_down(interest: str) -> None:
    records = [
        holds("1", OWNER, "a", None, interest=interest),
        holds("2", company("a"), "b"),
    ]
    found = relations(records, "control")
    assert [(one["depth"], one["attributes"]["interest"]) for one in found] == [
        (1, "ownership"),
        (1, interest),
    ]


def test_a_chain_holds_while_all_of_its_links_do() -> None:
    records = [
        holds("1", OWNER, "a", valid_from=day("2024-01-01"), valid_to=day("2026-01-01")),
        holds("2", company("a"), "b", valid_from=day("2025-01-01")),
    ]
    longest = relations(records, "control")[-1]
    assert (longest["valid_from_ms"], longest["valid_to_ms"]) == (
        start_of(day("2025-01-01")),
        start_of(day("2026-01-01")),
    )


def test_links_that_never_held_together_make_no_chain() -> None:
    records = [
        holds("1", OWNER, "a", valid_to=day("2025-01-01")),
        holds("2", company("a"), "b", valid_from=day("2025-01-01")),
    ]
    assert {one["depth"] for one in relations(records, "control")} == {1}


def test_rings_end_and_nobody_controls_itself() -> None:
    ring = [holds(name, company(name), after) for name, after in zip("abc", "bca", strict=True)]
    assert sorted(path for path, _ in chains(*ring)) == ["a b", "a b c", "b c", "b c a", "c a", "c a b"]
    assert chains(holds("1", company("a"), "a")) == []


def test_chains_end_at_the_greatest_depth() -> None:
    names = "abcdefghij"
    line = [holds(one, company(one), after) for one, after in pairwise(names)]
    assert max(one["depth"] for one in relations(line, "control")) == DEPTH_MAX


def test_evidence_of_a_chain_is_every_statement_behind_it_and_no_relation() -> None:
    records = [holds(str(n), company(one), after) for n, (one, after) in enumerate(pairwise("abcd"))]
    longest = max(judge(records).relations.values(), key=lambda one: one.content["depth"])
    assert [one.record_id for one in longest.evidence] == ["0", "1", "2"]
    assert {one.record_type for one in longest.evidence} == {records[0].record_type}


Link = tuple[str, str, str, int | None, tuple[int, int]]

links = st.lists(
    st.tuples(
        st.sampled_from("abcde"),
        st.sampled_from("abcde"),
        st.sampled_from(["ownership", "ownership", "control", "manager"]),
        st.sampled_from([None, 40, 60, 300, 1000]),
        st.tuples(st.integers(0, 3), st.integers(1, 3)),
    ),
    max_size=7,
)


@settings(max_examples=60, deadline=None)
@given(links)
def test_agrees_with_an_enumeration_of_all_simple_paths(drawn: list[Link]) -> None:
    records = [
        holds(str(n), company(one), other, share, interest=kind, valid_from=begin, valid_to=begin + length)
        for n, (one, other, kind, share, (begin, length)) in enumerate(drawn)
    ]
    told = [
        (
            one["attributes"]["path"],
            one["attributes"]["share_permille"],
            one["valid_from_ms"],
            one["valid_to_ms"],
        )
        for one in relations(records, "control")
    ]
    assert sorted(told) == sorted(_enumerated(drawn))


def _enumerated(drawn: list[Link]) -> Iterator[tuple[str, str, int | None, int | None]]:
    """All simple paths by depth-first search, written without relations."""

    def walk(path: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
        yield path
        for n, (one, _, kind, _, _) in enumerate(drawn):
            last = drawn[path[-1]]
            chained = "manager" not in (kind, last[2])
            if one == last[1] and chained and len(path) < DEPTH_MAX and carries(drawn[n]):
                yield from walk((*path, n))

    def carries(link: Link) -> bool:
        return link[0] != link[1] and not (link[2] != "manager" and link[3] is not None and link[3] < 50)

    for start, link in enumerate(drawn):
        if not carries(link):
            continue
        for path in walk((start,)):
            steps = [drawn[n] for n in path]
            nodes = [steps[0][0], *(step[1] for step in steps)]
            begin = max(step[4][0] for step in steps)
            end = min(sum(step[4]) for step in steps)
            if len(set(nodes)) < len(nodes) or begin >= end:
                continue
            shares = [step[3] if step[3] is not None or step[2] == "ownership" else 1000 for step in steps]
            weakest = "" if None in shares else str(min(share for share in shares if share is not None))
            span = Interval.of_days(begin, end)
            yield " ".join(map(company, nodes)), weakest, span.from_ms, span.to_ms
