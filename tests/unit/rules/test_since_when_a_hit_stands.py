"""A HIT settles once: evidence that joins it later changes what is said and does not take it back for a while."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from streams.kernel import Source, Statement
from streams.rules.standing import ingested_ms, known_since_ms, standing_since_ms
from tests.builders import alerts, company, person
from tests.ingestion import BEGIN, MINUTE, ingested
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
from xiezhi.contracts.naming import RELATION

TOP, SPOUSE, OFFICIAL = person("top"), person("spouse"), person("official")


# -- each rule, by example ---------------------------------------------------------------------------------------

#: Rule -> the records of a HIT in the order in which they come, and one more that joins it.
GROWING: Mapping[str, tuple[Sequence[Statement], Statement]] = {
    "C01": (
        [signed(), amended("a", "2026-02-01"), amended("b", "2026-05-01"), amended("c", "2026-08-01")],
        amended("d", "2026-11-01"),
    ),
    "C01 by price": (
        [signed(), amended("a", "2026-02-01", 110_000), amended("b", "2026-02-10", 140_000)],
        amended("between", "2026-02-05", 120_000),
    ),
    "P12": (
        [announced(), bid("1", "a"), bid("2", "b"), holds("x", TOP, "a"), holds("y", TOP, "b")],
        holds("z", company("a"), "b"),
    ),
    "P13": (
        [
            announced(),
            bid("1", "a"),
            seated("seat", "official"),
            appointed("post", "official"),
            kin("kin", "official", "spouse"),
            holds("x", SPOUSE, "a"),
        ],
        holds("y", OFFICIAL, "a"),
    ),
    "P13 by another post": (
        [
            announced(),
            bid("1", "a"),
            seated("seat", "official"),
            appointed("post", "official"),
            holds("x", OFFICIAL, "a"),
        ],
        appointed("second", "official", "2021-01-01"),
    ),
    "H05": (
        [appointed("h", "x"), *(assigned(f"a{n}", "x", f"p{n}", "2026-01-01") for n in range(3))],
        assigned("a3", "x", "p3", "2026-02-01"),
    ),
    "A02": (
        [
            audited("f-1", "C03", "2026-01-15"),
            signed(),
            paid("p", "2026-06-10", 150_000),
            rectified("r-1", "f-1", "C03", "2026-03-20"),
        ],
        paid("q", "2026-07-10", 1_000),
    ),
    "A02 by another closure": (
        [
            audited("f-1", "C03", "2026-01-15"),
            signed(),
            paid("p", "2026-06-10", 150_000),
            rectified("r-1", "f-1", "C03", "2026-03-20"),
        ],
        rectified("r-2", "f-1", "C03", "2026-04-20"),
    ),
}


@pytest.mark.parametrize("name", GROWING)
def test_a_hit_waits_once_and_is_changed_by_what_joins_it(name: str) -> None:
    rule_id, (first, more) = name.split()[0], GROWING[name]
    records = [ingested(one, number) for number, one in enumerate(first)]
    complete = records[-1].source.ingested_ms
    # A02 rests on C03, which waits for a quarter of an hour itself: its last record is the closure, which comes later.
    if rule_id == "A02":
        records[-1], complete = ingested(first[-1], 30), BEGIN + 30 * MINUTE
    assert alerts(records, rule_id, now=complete + 19_999) == []
    (said,) = alerts(records, rule_id, now=complete + 20_000)
    grown = [*records, ingested(more, (complete - BEGIN) / MINUTE + 5)]
    (changed,) = alerts(grown, rule_id, now=complete + 5 * MINUTE)
    assert changed.id == said.id
    assert changed.digest != said.digest


@pytest.mark.parametrize("name", GROWING)
def test_a_corrected_record_counts_from_its_newest_version(name: str) -> None:
    """What it said before is no longer in the view, so nobody could tell whether the HIT stood then."""
    rule_id, (first, _) = name.split()[0], GROWING[name]
    corrected = BEGIN + 60 * MINUTE
    # The last contract, bid, seat, closure: each of these HITs rests on every record but the notice.
    records = [ingested(one, 0) for one in first[:-1]] + [ingested(replace(first[-1], version=1), 60)]
    assert alerts(records, rule_id, now=corrected + 19_999) == []
    assert len(alerts(records, rule_id, now=corrected + 20_000)) == 1


def test_a_violation_from_before_the_closure_is_a_rebound_from_the_payment_after_it_on() -> None:
    """The contract was overpaid all along: that is what was found. Only the new payment is not."""
    records = [
        ingested(audited("f-1", "C03", "2026-01-15"), 0),
        ingested(signed(), 0),
        ingested(paid("p", "2026-01-10", 150_000), 0),
        ingested(rectified("r-1", "f-1", "C03", "2026-03-20"), 30),
        ingested(paid("q", "2026-06-10", 1_000), 60),
    ]
    assert alerts(records[:-1], "A02", now=BEGIN + 59 * MINUTE) == []
    assert alerts(records, "A02", now=BEGIN + 60 * MINUTE + 19_999) == []
    assert len(alerts(records, "A02", now=BEGIN + 60 * MINUTE + 20_000)) == 1


# -- the common shape --------------------------------------------------------------------------------------------


def entry(name: str, ingested_at: int) -> Statement:
    return replace(signed(name), source=Source("t", 0, 0, ingested_at))


def test_a_condition_stands_since_the_ingestion_after_its_last_break() -> None:
    entries = [entry("c", 30), entry("a", 10), entry("b", 20), entry("d", 40)]
    for held, since in (("abcd", 10), ("bcd", 20), ("acd", 30), ("d", 40), ("abc", None), ("", None)):
        assert standing_since_ms(entries, lambda one, held=held: one.record_id in held) == since  # type: ignore[misc]


def test_what_one_instant_brings_is_one_step() -> None:
    """A batch may end a HIT and begin it again: nobody could have seen the break."""
    seen: list[str] = []

    def holds_with(one: Statement) -> bool:
        seen.append(one.record_id)
        return len(seen) != 2

    assert standing_since_ms([entry("a", 10), entry("b", 20), entry("c", 20)], holds_with) == 10


def test_without_entries_it_stands_as_it_did_at_first() -> None:
    assert standing_since_ms([], lambda _: False) is None
    assert standing_since_ms([], lambda _: False, at_first=0) == 0
    assert standing_since_ms([entry("a", 10)], lambda _: True, at_first=0) == 0


def test_a_relation_is_known_when_it_says_or_when_the_last_record_behind_it_came() -> None:
    bare = {"attributes": {}, "evidence": [_reference(20), _reference(30)]}
    told = {**bare, "attributes": {"established_ms": "25"}}
    relations = [
        replace(entry("r", 99), record_type=RELATION, value=value) for value in (bare, told, _NOTHING_BEHIND)
    ]
    assert [ingested_ms(one) for one in relations] == [30, 25, 0]
    assert known_since_ms([entry("a", 26), relations[1]]) == 26


_NOTHING_BEHIND: dict[str, object] = {"attributes": {}, "evidence": []}


def _reference(at_ms: int) -> dict[str, object]:
    texts = dict.fromkeys(("record_type", "record_id", "event_id", "digest", "topic", "traceparent"), "")
    numbers = dict.fromkeys(("version", "partition", "offset", "occurred_ms"), 0)
    return {**texts, **numbers, "ingested_ms": at_ms, "fields": []}
