"""What every alert store must hold, whichever database is underneath."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from consumers.alerts.database import connect
from consumers.alerts.statement import Filter
from consumers.alerts.store import AlertStore, Cursor
from tests.alert_statements import statement
from xiezhi.contracts.bus import ALERT
from xiezhi.errors import ConfigurationError, StoreError

EVERYTHING = Filter()


@pytest.fixture(params=["memory", "file"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[AlertStore]:
    opened = AlertStore.open(
        "sqlite://" if request.param == "memory" else f"sqlite:///{tmp_path / 'alerts.sqlite3'}"
    )
    yield opened
    opened.close()


def test_a_statement_takes_effect_and_moves_the_offset(store: AlertStore) -> None:
    (stored,) = store.apply([statement("al_1", 5, offset=7)], {(ALERT.topic, 0): 8}, stored_ms=99)
    assert stored.seq == 1
    assert store.standing(EVERYTHING, limit=10) == (stored,)
    assert store.history("al_1") == (stored,)
    assert store.next_offsets(ALERT.topic) == {0: 8}
    assert stored.stored_ms == 99
    assert stored.alert.explanation.zh


def test_the_same_batch_again_has_no_second_effect(store: AlertStore) -> None:
    batch = [statement("al_1", 5), statement("al_2", 6)]
    first = store.apply(batch, {(ALERT.topic, 0): 2}, stored_ms=1)
    assert store.apply(batch, {(ALERT.topic, 0): 2}, stored_ms=2) == ()
    assert store.after(0, EVERYTHING, limit=10).statements == first


def test_a_statement_at_or_below_the_position_held_is_ignored(store: AlertStore) -> None:
    store.apply([statement("al_1", 5)], {}, stored_ms=1)
    assert store.apply([statement("al_1", 5, severity="red"), statement("al_1", 4)], {}, stored_ms=2) == ()
    assert store.apply([statement("al_1", 6, severity="red")], {}, stored_ms=3) != ()
    assert [each.alert.severity for each in store.standing(EVERYTHING, limit=10)] == ["red"]


def test_what_stood_at_an_instant_is_the_last_that_had_been_said_by_then(store: AlertStore) -> None:
    said = [
        statement("al_1", 5, said_ms=100),
        statement("al_1", 7, said_ms=200, state="changed", severity="red"),
        statement("al_1", 9, said_ms=300, state="withdrawn", severity="red"),
        statement("al_2", 6, said_ms=250),
    ]
    store.apply(said, {}, stored_ms=1)

    def stood(at_ms: int, **wanted: tuple[str, ...]) -> list[tuple[str, str]]:
        found = store.standing(Filter(**wanted), limit=10, said_at_ms=at_ms)  # type: ignore[arg-type]
        return [(each.alert.record_id, each.alert.state) for each in found]

    assert stood(99) == []
    assert stood(100) == stood(199) == [("al_1", "raised")]
    assert stood(200) == [("al_1", "changed")]
    assert stood(299) == [("al_2", "raised"), ("al_1", "changed")]
    assert stood(300) == [("al_2", "raised"), ("al_1", "withdrawn")]
    assert stood(299, severities=("red",)) == [("al_1", "changed")]
    assert stood(199, severities=("red",)) == [], "what it was then counts, not what it became"
    assert store.standing(EVERYTHING, limit=10, said_at_ms=10**13) == store.standing(EVERYTHING, limit=10)


def test_nothing_older_brings_a_withdrawn_alert_back(store: AlertStore) -> None:
    store.apply([statement("al_1", 9, state="withdrawn")], {}, stored_ms=1)
    store.apply([statement("al_1", 8, state="raised")], {}, stored_ms=2)
    assert [each.alert.state for each in store.standing(EVERYTHING, limit=10)] == ["withdrawn"]


def test_one_batch_may_hold_several_statements_about_one_alert(store: AlertStore) -> None:
    stored = store.apply([statement("al_1", 1), statement("al_1", 3), statement("al_1", 2)], {}, stored_ms=1)
    assert [each.alert.position for each in stored] == [1, 3]
    assert [each.alert.position for each in store.history("al_1")] == [1, 3]
    assert [each.seq for each in store.standing(EVERYTHING, limit=10)] == [2]


def test_numbers_grow_without_gaps_over_batches(store: AlertStore) -> None:
    for position in range(1, 6):
        store.apply([statement("al_1", position), statement("al_2", position)], {}, stored_ms=1)
    assert [each.seq for each in store.after(0, EVERYTHING, limit=100).statements] == list(range(1, 11))
    assert store.last_seq() == 10


def test_an_offset_never_moves_back(store: AlertStore) -> None:
    store.apply([], {(ALERT.topic, 0): 8, (ALERT.topic, 1): 3}, stored_ms=1)
    store.apply([], {(ALERT.topic, 0): 5, (ALERT.topic, 1): 4}, stored_ms=1)
    assert store.next_offsets(ALERT.topic) == {0: 8, 1: 4}
    assert store.next_offsets("other.topic.v1") == {}


def test_a_batch_that_fails_leaves_nothing_behind(store: AlertStore) -> None:
    broken = {(ALERT.topic, 0): 8, (ALERT.topic, None): 1}
    with pytest.raises(TypeError):
        store.apply([statement("al_1", 5)], broken, stored_ms=1)  # type: ignore[arg-type]
    assert store.standing(EVERYTHING, limit=10) == ()
    assert store.next_offsets(ALERT.topic) == {}
    assert store.last_seq() == 0


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (EVERYTHING, ["al_3", "al_2", "al_1"]),
        (Filter(severities=("red",)), ["al_2"]),
        (Filter(severities=("red", "orange")), ["al_3", "al_2", "al_1"]),
        (Filter(rules=("C03",)), ["al_3"]),
        (Filter(states=("withdrawn",)), ["al_1"]),
        (Filter(handling="sealed"), ["al_2"]),
        (Filter(jurisdiction="3301"), ["al_3"]),
        (Filter(jurisdiction="%"), []),
        (Filter(rules=("C03",), severities=("red",)), []),
    ],
)
def test_filters_choose_alerts_as_they_stand(store: AlertStore, wanted: Filter, expected: list[str]) -> None:
    batch = [
        statement("al_1", 1, state="withdrawn"),
        statement("al_2", 1, severity="red", handling="sealed"),
        statement("al_3", 1, rule_id="C03", jurisdiction="330106000000"),
    ]
    store.apply(batch, {}, stored_ms=1)
    assert [each.alert.record_id for each in store.standing(wanted, limit=10)] == expected


def test_a_listing_is_limited_to_the_newest(store: AlertStore) -> None:
    store.apply([statement(f"al_{number}", 1) for number in range(5)], {}, stored_ms=1)
    assert [each.alert.record_id for each in store.standing(EVERYTHING, limit=2)] == ["al_4", "al_3"]


def test_pages_of_statements_join_without_gap_or_repeat(store: AlertStore) -> None:
    store.apply([statement(f"al_{number}", 1) for number in range(7)], {}, stored_ms=1)
    seen, seq = [], 0
    while (page := store.after(seq, EVERYTHING, limit=3)).statements:
        seen += [each.seq for each in page.statements]
        seq = page.upto_seq
    assert seen == list(range(1, 8))


def test_a_page_says_how_far_it_looked_past_what_does_not_fit(store: AlertStore) -> None:
    batch = [statement("al_1", 1, severity="red"), statement("al_2", 1), statement("al_3", 1)]
    store.apply(batch, {}, stored_ms=1)
    page = store.after(0, Filter(severities=("red",)), limit=10)
    assert [each.seq for each in page.statements] == [1]
    assert page.upto_seq == 3
    assert store.after(3, EVERYTHING, limit=10).upto_seq == 3


def test_who_was_told_of_an_alert_is_told_when_it_leaves_the_filter(store: AlertStore) -> None:
    store.apply([statement("al_1", 1, severity="red"), statement("al_2", 1)], {}, stored_ms=1)
    store.apply([statement("al_1", 2, severity="yellow"), statement("al_2", 2)], {}, stored_ms=1)
    page = store.after(2, Filter(severities=("red",)), limit=10)
    assert [(each.alert.record_id, each.alert.severity) for each in page.statements] == [("al_1", "yellow")]


def test_ids_are_found_by_their_beginning(store: AlertStore) -> None:
    store.apply([statement(each, 1) for each in ("al_ab", "al_abc", "al_b", "alxab")], {}, stored_ms=1)
    assert store.find("al_ab", limit=10) == ("al_ab", "al_abc")
    assert store.find("al_", limit=2) == ("al_ab", "al_abc")
    assert store.find("nothing", limit=2) == ()
    assert store.history("nothing") == ()


def test_a_cursor_is_placed_and_moved(store: AlertStore) -> None:
    assert store.cursor("desk") is None
    store.place_cursor(Cursor("desk", 4, "everything"), moved_ms=1)
    store.place_cursor(Cursor("other", 1, "everything"), moved_ms=1)
    store.place_cursor(Cursor("desk", 2, "severity=red"), moved_ms=2)
    assert store.cursor("desk") == Cursor("desk", 2, "severity=red")


def test_a_database_belongs_to_the_cluster_that_filled_it(store: AlertStore) -> None:
    assert store.claim("cluster-1") == "cluster-1"
    assert store.claim("cluster-2") == "cluster-1"


def test_two_processes_share_one_file(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'alerts.sqlite3'}"
    one, two = AlertStore.open(url), AlertStore.open(url)
    one.apply([statement("al_1", 1)], {(ALERT.topic, 0): 1}, stored_ms=1)
    two.apply([statement("al_1", 1), statement("al_1", 2)], {(ALERT.topic, 0): 2}, stored_ms=1)
    assert [each.seq for each in one.history("al_1")] == [1, 2]
    one.close()
    two.close()


def test_a_database_of_another_version_is_refused(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'alerts.sqlite3'}"
    AlertStore.open(url).close()
    engine = connect(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE meta SET value = '0' WHERE name = 'schema'")
    engine.dispose()
    with pytest.raises(ConfigurationError, match="version 0"):
        AlertStore.open(url)


def test_a_database_from_before_the_access_trail_is_taken_over_with_what_it_holds(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'alerts.sqlite3'}"
    store = AlertStore.open(url)
    store.apply([statement("al_1", 1)], {(ALERT.topic, 0): 1}, stored_ms=1)
    store.place_cursor(Cursor("desk", 1, "everything"), moved_ms=1)
    with store._engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE access_outbox")
        connection.exec_driver_sql("UPDATE meta SET value = '1' WHERE name = 'schema'")
    store.close()
    store = AlertStore.open(url)
    assert len(store.history("al_1")) == 1
    assert store.cursor("desk") is not None
    assert store.outbox.waiting(10) == ()
    store.close()
    AlertStore.open(url).close()


def test_a_missing_folder_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="make sure that the folder exists"):
        AlertStore.open(f"sqlite:///{tmp_path / 'missing' / 'alerts.sqlite3'}")


def test_a_damaged_file_is_reported_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "alerts.sqlite3").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="move it away"):
        AlertStore.open(f"sqlite:///{tmp_path / 'alerts.sqlite3'}")


def test_the_database_is_for_its_owner_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with closing(AlertStore.open(f"sqlite:///{tmp_path / 'alerts.sqlite3'}")) as store:
            store.place_cursor(Cursor("desk", 1, ""), moved_ms=1)
            assert {stat.S_IMODE(each.stat().st_mode) for each in tmp_path.iterdir()} == {0o600}
    finally:
        os.umask(before)


def test_a_full_disk_is_reported_with_what_to_do(tmp_path: Path) -> None:
    store = AlertStore.open(f"sqlite:///{tmp_path / 'alerts.sqlite3'}")
    with store._engine.connect() as connection:  # the driver keeps the limit for this connection
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    batch = [statement(f"al_{number}", 1) for number in range(200)]
    with pytest.raises(StoreError, match="free some space"):
        store.apply(batch, {(ALERT.topic, 0): 200}, stored_ms=1)
    assert store.next_offsets(ALERT.topic) == {}
    store.close()
