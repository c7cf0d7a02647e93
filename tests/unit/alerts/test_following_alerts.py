"""Following the store: nothing left out, nothing repeated, and a place that outlives the follower."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest

from consumers.alerts.follow import Follow, follow
from consumers.alerts.follow import Reader as Noted
from consumers.alerts.statement import Filter, Stored
from consumers.alerts.store import AlertStore
from tests.alert_statements import statement
from xiezhi.errors import ConfigurationError, StoreError

EVERYTHING = Filter()
RED = Filter(severities=("red",))


@pytest.fixture
def store() -> Iterator[AlertStore]:
    opened = AlertStore.open("sqlite://")
    yield opened
    opened.close()


class Reader:
    """Takes so many statements, then stops the follower, or dies within the last."""

    def __init__(self, take: int, *, dies: bool = False) -> None:
        self.take, self.dies = take, dies
        self.seen: list[int] = []
        self.noted: list[int] = []
        self.stopping = threading.Event()

    def __call__(self, stored: Stored) -> None:
        assert stored.seq in self.noted, "shown before it was noted"
        self.seen.append(stored.seq)
        if len(self.seen) == self.take:
            if self.dies:
                raise BrokenPipeError
            self.stopping.set()

    def follow(self, store: AlertStore, what: Follow, *, until_s: float = 10.0) -> list[int]:
        deadline = threading.Timer(until_s, self.stopping.set)
        deadline.start()
        try:
            reader = Noted(lambda page: self.noted.extend(one.seq for one in page), self)
            follow(store, what, reader, stopping=self.stopping, clock=lambda: 1)
        finally:
            deadline.cancel()
        return self.seen


def say(store: AlertStore, *positions: int, **changes: Any) -> None:
    store.apply([statement("al_1", position, **changes) for position in positions], {}, stored_ms=1)


def test_a_follower_without_a_name_begins_now(store: AlertStore) -> None:
    say(store, 1, 2, 3)
    assert Reader(1).follow(store, Follow(EVERYTHING), until_s=0.05) == []


def test_from_start_gives_every_statement_in_order(store: AlertStore) -> None:
    say(store, *range(1, 501))
    assert Reader(500).follow(store, Follow(EVERYTHING, from_start=True)) == list(range(1, 501))


def test_a_named_cursor_resumes_after_the_last_statement_written(store: AlertStore) -> None:
    say(store, 1, 2, 3, 4)
    assert Reader(2).follow(store, Follow(EVERYTHING, "desk", from_start=True)) == [1, 2]
    assert Reader(2).follow(store, Follow(EVERYTHING, "desk")) == [3, 4]


def test_a_statement_whose_reader_dies_is_written_again(store: AlertStore) -> None:
    say(store, 1, 2, 3)
    with pytest.raises(BrokenPipeError):
        Reader(2, dies=True).follow(store, Follow(EVERYTHING, "desk", from_start=True))
    assert Reader(2).follow(store, Follow(EVERYTHING, "desk")) == [2, 3]


def test_a_new_cursor_holds_its_place_before_anything_comes(store: AlertStore) -> None:
    say(store, 1)
    reader = Reader(1)
    reader.stopping.set()
    assert reader.follow(store, Follow(EVERYTHING, "desk")) == []
    say(store, 2)
    assert Reader(1).follow(store, Follow(EVERYTHING, "desk")) == [2]


def test_a_cursor_moves_past_what_does_not_fit(store: AlertStore) -> None:
    store.apply([statement("al_1", 1, severity="red"), statement("al_2", 1)], {}, stored_ms=1)
    assert Reader(99).follow(store, Follow(RED, "desk", from_start=True), until_s=0.3) == [1]
    cursor = store.cursor("desk")
    assert cursor is not None
    assert cursor.seq == 2


def test_a_cursor_of_another_filter_is_refused(store: AlertStore) -> None:
    reader = Reader(1)
    reader.stopping.set()
    reader.follow(store, Follow(RED, "desk"))
    with pytest.raises(ConfigurationError, match="severity=red, not everything"):
        reader.follow(store, Follow(EVERYTHING, "desk"))
    reader.follow(store, Follow(Filter(severities=("red", "red")), "desk"))
    say(store, 1)
    assert Reader(1).follow(store, Follow(EVERYTHING, "desk", from_start=True)) == [1]


def test_what_comes_while_following_is_seen(store: AlertStore) -> None:
    reader = Reader(2)
    say(store, 1)

    def write(stored: Stored) -> None:
        reader(stored)
        if stored.seq == 1:
            say(store, 2)

    noted = Noted(lambda page: reader.noted.extend(one.seq for one in page), write)
    follow(store, Follow(EVERYTHING, from_start=True), noted, stopping=reader.stopping, clock=lambda: 1)
    assert reader.seen == [1, 2]


def test_what_cannot_be_noted_is_not_shown_and_comes_again(store: AlertStore) -> None:
    say(store, 1)
    reader = Reader(1)

    def refuse(_page: object) -> None:
        raise StoreError("no room")

    what = Follow(EVERYTHING, "desk", from_start=True)
    with pytest.raises(StoreError):
        follow(store, what, Noted(refuse, reader), stopping=reader.stopping, clock=lambda: 1)
    assert reader.seen == []
    assert Reader(1).follow(store, Follow(EVERYTHING, "desk")) == [1]
