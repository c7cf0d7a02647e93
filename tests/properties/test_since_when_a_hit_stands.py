"""Each rule says since when its HIT stands: since the first prefix of the log after which it always was one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.evaluation import ActiveRule
from streams.kernel import Statement
from tests.builders import active_rules, company, instant, judge, person
from tests.ingestion import BEGIN, ingested
from tests.records import (
    amended,
    announced,
    appointed,
    assigned,
    audited,
    bid,
    holds,
    kin,
    paid,
    rectified,
    seated,
    signed,
)

TOP, SPOUSE, OFFICIAL = person("top"), person("spouse"), person("official")


#: Records of which any may be missing and that come in any order: some make the HIT, some join it, some end it.
POOLS: Mapping[str, Sequence[Statement]] = {
    "C01": [
        signed("c0"),
        signed("c1", occurred="2026-01-06", status="cancelled"),
        signed("c2", occurred="2026-01-07"),
        amended("a", "2026-02-01", 110_000),
        amended("b", "2026-02-10", 140_000),
        amended("c", "2026-02-05", 90_000),
        amended("d", "2026-02-15", 150_000, ground="index_clause"),
        amended("e", "2026-06-01"),
        amended("f", "2026-02-12", 120_000),
    ],
    "P12": [
        announced("n0"),
        announced("n1", published_at=instant("2026-03-02"), status="cancelled"),
        announced("n2", published_at=instant("2026-03-03")),
        bid("1", "a"),
        bid("2", "b"),
        bid("3", "a"),
        holds("x", TOP, "a"),
        holds("y", TOP, "b"),
        holds("z", company("a"), "b"),
        holds("u", TOP, "holding"),
        holds("v", company("holding"), "a"),
    ],
    "P13": [
        announced("n0"),
        announced("n1", published_at=instant("2026-03-02"), status="cancelled"),
        announced("n2", published_at=instant("2026-03-03")),
        bid("1", "a"),
        bid("2", "a"),
        seated("seat", "official"),
        seated("later", "official", "2026-04-20", role="approver"),
        appointed("post", "official"),
        appointed("second", "official", "2021-01-01"),
        kin("kin", "official", "spouse"),
        holds("x", SPOUSE, "a"),
        holds("y", OFFICIAL, "a"),
    ],
    "F02": [  # all within one of its periods
        paid("s0", "2026-03-02", 9_000_000, contract_id=None),
        paid("s1", "2026-03-03", 12_000_000, contract_id=None),
        paid("s2", "2026-03-04", 9_000_000, contract_id=None),
        paid("s3", "2026-03-04", 5_000_000, contract_id=None, kind="refund"),
        paid("s4", "2026-02-27", 9_000_000, contract_id=None),
        paid("s5", "2026-03-09", 30_000_000, contract_id=None),
        paid("s6", "2026-03-05", 12_000_000, contract_id=None, kind="refund"),
        paid("s7", "2026-03-09", 8_000_000, contract_id=None),
    ],
    "H05": [
        appointed("h0", "x"),
        appointed("h1", "x", "2026-03-01"),
        assigned("a0", "x", "p0", "2026-01-01", "2026-05-01"),
        assigned("a1", "x", "p1", "2026-02-01"),
        assigned("a2", "x", "p2", "2026-03-01"),
        assigned("a3", "x", "p3", "2026-06-01"),
        assigned("a4", "x", "p2", "2026-02-01"),
        assigned("a5", "x", "p5", "2026-01-01", jurisdiction="330108000000"),
    ],
    "A02": [
        audited("f-1", "C03", "2026-01-15"),
        rectified("r-1", "f-1", "C03", "2026-03-20"),
        rectified("r-2", "f-1", "C03", "2026-05-20"),
        signed("c8", contract_id="K-8"),
        paid("p80", "2026-01-10", 150_000, contract_id="K-8"),
        paid("p81", "2026-05-10", 1_000, contract_id="K-8"),
        paid("p82", "2026-06-10", 1_000, contract_id="K-8"),
        signed("c9", contract_id="K-9"),
        paid("p90", "2026-05-12", 150_000, contract_id="K-9"),
        paid("p91", "2026-07-12", 1_000, contract_id="K-9"),
    ],
}
SETTLE_S = 150
Subjects = set[tuple[tuple[str, str], ...]]


@cache
def rules(rule_id: str, settle_s: int) -> Mapping[str, ActiveRule]:
    """All rules speak at once, but for one."""
    return {
        one: replace(
            active,
            card=active.card.model_copy(update={"settle_seconds": settle_s if one == rule_id else 0}),
        )
        for one, active in active_rules().items()
    }


def subjects(records: Iterable[Statement], rule_id: str, now_ms: int, settle_s: int) -> Subjects:
    found = judge(records, now=now_ms, active=rules(rule_id, settle_s)).alerts.values()
    return {tuple(sorted(one.content["subject"].items())) for one in found if one.owner == rule_id}


def check(rule_id: str, minutes: Sequence[int | None]) -> None:
    """Whenever one asks, a HIT is said if it has stood for the settle time in every prefix of the log until then."""
    records = [
        ingested(one, minute)
        for one, minute in zip(POOLS[rule_id], minutes, strict=True)
        if minute is not None
    ]
    instants = sorted({one.source.ingested_ms for one in records})
    since: dict[tuple[tuple[str, str], ...], int] = {}
    for instant_ms in instants:
        known = [one for one in records if one.source.ingested_ms <= instant_ms]
        hits = subjects(known, rule_id, instant_ms, 0)
        since = {one: since.get(one, instant_ms) for one in hits}
    last_ms = instants[-1] if instants else BEGIN
    settled_ms = {one: since_ms + SETTLE_S * 1_000 for one, since_ms in since.items()}
    asked = {last_ms, *(at_ms - before for at_ms in settled_ms.values() for before in (0, 1))}
    for now_ms in sorted(now_ms for now_ms in asked if now_ms >= last_ms):
        expected = {one for one, at_ms in settled_ms.items() if at_ms <= now_ms}
        assert subjects(records, rule_id, now_ms, SETTLE_S) == expected


@pytest.mark.parametrize("rule_id", POOLS)
def test_it_stands_since_the_first_prefix_after_which_it_always_did(rule_id: str) -> None:
    count = len(POOLS[rule_id])

    @settings(deadline=None, derandomize=True, max_examples=80)
    @given(st.lists(st.integers(0, 9), min_size=count, max_size=count))
    def compare(drawn: list[int]) -> None:
        check(rule_id, [minute if minute < 9 else None for minute in drawn])

    compare()
