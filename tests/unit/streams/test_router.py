"""The router files records under their keys, and never forgets to take them away again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from streams.facts import Filing, Presence, split_filing
from streams.kernel import Input, Join, Selector, Value
from streams.records import TEXT_BYTES_MAX
from streams.router import OutgoingFact, Router, selectors_fingerprint
from tests.simulation.world import (
    ACCOUNT,
    GUARD,
    JOINS,
    ORDER,
    START_MS,
    by_account,
    by_items,
    order,
    record,
)
from xiezhi.contracts.naming import RELATION
from xiezhi.errors import BadRecordError, ConfigurationError
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore, MemoryBackend

ROUTED_MS = START_MS + 1


class Routing:
    """A router over one partition that gives offsets to what it is handed."""

    def __init__(self) -> None:
        self.store = KeyedStore(MemoryBackend())
        self.router = Router(JOINS, GUARD, self.store)
        self._offset = 0

    def route(self, raw: RawRecord) -> list[OutgoingFact]:
        self._offset += 1
        return self.router.route(raw._replace(offset=self._offset), ROUTED_MS)

    def order(self, version: int, account: str | None, *items: str, **more: Any) -> set[tuple[str, str]]:
        """(key, presence) of the facts that this version of order o1 gives rise to."""
        return told(self.route(record(ORDER, "o1", order(account, 1, *items), version=version, **more)))

    def withdraw(self, version: int) -> set[tuple[str, str]]:
        """The same of a withdrawal, which occurs a second after the versions above."""
        return told(self.route(record(ORDER, "o1", None, version=version, occurred_ms=START_MS + 1000)))


def told(facts: Iterable[OutgoingFact]) -> set[tuple[str, str]]:
    return {(fact.key.decode(), filing(fact).presence.value) for fact in facts}


def filing(fact: OutgoingFact) -> Filing:
    header, _ = split_filing(fact.headers)
    assert header is not None
    return Filing.from_bytes(header)


@pytest.fixture
def routing() -> Routing:
    return Routing()


def test_a_record_is_filed_under_every_key_of_every_join_that_takes_it(routing: Routing) -> None:
    assert routing.order(0, "a", "x", "y") == {
        ("account|a", "present"),
        ("item|x", "present"),
        ("item|y", "present"),
    }


def test_a_fact_carries_the_original_bytes_and_headers_and_says_where_they_are(routing: Routing) -> None:
    raw = record(ORDER, "o1", order("a", 1), partition=0, ingested_ms=START_MS + 5)
    (fact,) = routing.route(raw)
    assert fact.value == raw.value
    assert fact.headers[:-1] == list(raw.headers)
    assert filing(fact).source.offset == 1
    assert filing(fact).source.ingested_ms == START_MS + 5
    assert filing(fact).routed_ms == ROUTED_MS


def test_a_key_named_twice_is_filed_once(routing: Routing) -> None:
    facts = routing.route(record(ORDER, "o1", order(None, 1, "x", "x")))
    assert [fact.key for fact in facts] == [b"item|x"]


def test_a_record_that_no_join_takes_is_remembered_and_filed_nowhere(routing: Routing) -> None:
    assert routing.order(1, None) == set()
    assert routing.order(0, "a") == set(), "the older version must not come back"


def test_a_record_that_moves_leaves_its_old_keys_and_keeps_the_common_ones(routing: Routing) -> None:
    routing.order(0, "a", "x", "y")
    assert routing.order(1, "b", "y") == {
        ("account|b", "present"),
        ("item|y", "present"),
        ("account|a", "left"),
        ("item|x", "left"),
    }


def test_what_left_says_as_of_which_version_and_carries_no_value(routing: Routing) -> None:
    routing.order(0, "a")
    facts = routing.route(record(ORDER, "o1", order("b", 1), version=1))
    (left,) = [fact for fact in facts if filing(fact).presence is Presence.LEFT]
    (present,) = [fact for fact in facts if filing(fact).presence is Presence.PRESENT]
    assert left.value == b""
    assert left.headers[:-1] == present.headers[:-1], "the envelope tells the version"
    assert filing(left).digest == filing(present).digest, "both are of one rank"


def test_a_withdrawal_leaves_every_key(routing: Routing) -> None:
    routing.order(0, "a", "x")
    assert routing.withdraw(1) == {("account|a", "left"), ("item|x", "left")}
    assert routing.order(1, "a") == set(), "of one version, what occurred later stands"


def test_a_record_comes_back_with_a_greater_version_after_its_withdrawal(routing: Routing) -> None:
    routing.order(0, "a")
    routing.withdraw(1)
    assert routing.order(2, "a") == {("account|a", "present")}


def test_a_withdrawal_that_comes_first_keeps_older_versions_out(routing: Routing) -> None:
    assert routing.withdraw(5) == set()
    assert routing.order(4, "a", "x") == set()
    assert routing.order(6, "a") == {("account|a", "present")}


def test_a_duplicate_changes_nothing(routing: Routing) -> None:
    routing.order(0, "a")
    assert routing.order(0, "a") == set()


def test_a_late_older_version_changes_nothing(routing: Routing) -> None:
    routing.order(2, "a")
    assert routing.order(1, "b") == set()
    assert routing.order(3, "c") == {("account|c", "present"), ("account|a", "left")}


def test_of_equal_versions_the_one_that_occurred_later_stands(routing: Routing) -> None:
    routing.order(0, "a", occurred_ms=START_MS + 1)
    assert routing.order(0, "b", occurred_ms=START_MS) == set()
    assert routing.order(0, "b", occurred_ms=START_MS + 2) == {
        ("account|b", "present"),
        ("account|a", "left"),
    }


def test_two_values_of_one_version_stand_the_same_way_in_either_order() -> None:
    standing = set()
    for accounts in (("a", "b"), ("b", "a")):
        routing = Routing()
        here: set[str] = set()
        for account in accounts:
            for key, presence in routing.order(0, account):
                here = here | {key} if presence == "present" else here - {key}
        standing.add(frozenset(here))
    assert len(standing) == 1


def test_records_of_two_types_with_one_id_do_not_meet(routing: Routing) -> None:
    routing.order(5, "a")
    facts = routing.route(record(ACCOUNT, "o1", {"account": "a", "owner": "n"}))
    assert told(facts) == {("account|a", "present")}


def test_relations_go_to_the_joins_that_take_their_kind(routing: Routing) -> None:
    store = KeyedStore(MemoryBackend())
    value = {"record_id": "r", "kind": "owns", "attributes": {"company": "c", "owner": "n"}}
    guard = replace(GUARD, decode=lambda topic, data: value)
    owns = Router(JOINS, guard, store).route(record(RELATION, "r", {}), ROUTED_MS)
    assert told(owns) == {("chain|c", "present"), ("owner|c", "present")}
    flagged = {**value, "kind": "flagged"}
    guard = replace(GUARD, decode=lambda topic, data: flagged)
    changed = Router(JOINS, guard, store).route(record(RELATION, "r", {}, version=1), ROUTED_MS)
    assert told(changed) == {("owner|n", "present"), ("chain|c", "left"), ("owner|c", "left")}


def test_a_replay_after_lost_work_gives_the_same_facts_again(routing: Routing) -> None:
    raws = [
        record(ORDER, "o1", order("a", 1), version=0),
        record(ORDER, "o1", order("b", 1, "x"), version=2),
        record(ORDER, "o1", None, version=3),
    ]
    first = [routing.route(raw) for raw in raws]
    assert [Routing().route(raws[0]), *_replayed(raws)[1:]] == first


def _replayed(raws: list[RawRecord]) -> list[list[OutgoingFact]]:
    again = Routing()
    return [again.route(raw) for raw in raws]


@pytest.mark.parametrize("key", ["a|b", "a\x1fb", "a\nb", "\x00", "", "k" * 5_000, "獬" * 2_000])
def test_a_key_that_cannot_name_a_view_makes_the_record_bad_and_leaves_no_trace(
    routing: Routing, key: str
) -> None:
    routing.order(0, "a")
    with pytest.raises(BadRecordError) as caught:
        routing.route(record(ORDER, "o1", {"account": None, "amount": 1, "items": ["x", key]}, version=1))
    assert caught.value.reason == ("oversized_text" if len(key.encode()) > TEXT_BYTES_MAX else "wrong_key")
    assert routing.order(1, "b") == {("account|b", "present"), ("account|a", "left")}


def test_a_relation_is_filed_under_its_usable_keys_only_since_it_replaces_what_was_said(
    routing: Routing,
) -> None:
    value = {"record_id": "r", "kind": "flagged", "attributes": {"owner": "n"}}
    router = Router(JOINS, replace(GUARD, decode=lambda topic, data: value), routing.store)
    router.route(record(RELATION, "r", {}), ROUTED_MS)
    value["attributes"] = {"owner": "a|b"}
    assert told(router.route(record(RELATION, "r", {}, version=1), ROUTED_MS)) == {("owner|n", "left")}


def test_a_bad_record_is_not_remembered(routing: Routing) -> None:
    with pytest.raises(BadRecordError):
        routing.route(record(ORDER, "o1", order("a", 1), version=9)._replace(key=b"other"))
    assert routing.order(0, "a") == {("account|a", "present")}


# -- the fingerprint of selectors --------------------------------------------------------------------------------


def _by(field: str) -> Selector:
    """Selectors of one source that do different things."""

    def select(value: Value) -> Iterable[str]:
        return [value[field]]

    return select


def _join(*inputs: Input, name: str = "j") -> Join:
    return Join(name=name, inputs=inputs)


def test_the_fingerprint_stays_while_selectors_stay() -> None:
    one = selectors_fingerprint([_join(Input(ORDER, by_account)), _join(Input(ORDER, by_items), name="k")])
    assert one == selectors_fingerprint(
        [_join(Input(ORDER, by_account)), _join(Input(ORDER, by_items), name="k")]
    )


def test_the_fingerprint_changes_with_every_part_of_a_filing() -> None:
    joins = [
        _join(Input(ORDER, by_account)),
        _join(Input(ORDER, by_account), name="other"),
        _join(Input(ACCOUNT, by_account)),
        _join(Input(RELATION, by_account, "owns")),
        _join(Input(ORDER, by_items)),
        _join(Input(ORDER, by_account), Input(ORDER, by_items)),
    ]
    assert len({selectors_fingerprint([join]) for join in joins}) == len(joins)


def test_a_selector_whose_source_does_not_say_all_is_refused() -> None:
    for selector in (_by("account"), partial(by_account)):
        with pytest.raises(ConfigurationError, match="plain function"):
            selectors_fingerprint([_join(Input(ORDER, selector))])
