"""In whatever order, how often and in whatever batches statements come, the greatest position stands."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from consumers.alerts.statement import Filter, Statement, accept
from consumers.alerts.store import AlertStore
from tests.alert_statements import statement
from xiezhi.contracts.bus import ALERT

_SAID = {
    (alert_id, position): statement(
        alert_id, position, offset=position, state="withdrawn" if position % 3 == 0 else "changed"
    )
    for alert_id in ("al_1", "al_2", "al_3")
    for position in range(1, 7)
}
_schedules = st.lists(st.lists(st.sampled_from(sorted(_SAID)), max_size=8), max_size=6)


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(sorted(_SAID)), max_size=30))
def test_accepted_positions_grow_and_end_at_the_greatest(said: list[tuple[str, int]]) -> None:
    accepted = accept({"al_1": 3}, [_SAID[each] for each in said])
    for alert_id, held in (("al_1", 3), ("al_2", -1), ("al_3", -1)):
        positions = [each.alert.position for each in accepted if each.alert.record_id == alert_id]
        assert positions == sorted(set(positions))
        assert all(position > held for position in positions)
        offered = [position for name, position in said if name == alert_id]
        assert max([held, *positions]) == max([held, *offered])


@settings(max_examples=75, deadline=None)
@given(_schedules)
def test_a_store_ends_in_the_same_state_for_every_schedule(schedule: list[list[tuple[str, int]]]) -> None:
    store = AlertStore.open("sqlite://")
    for batch in schedule:
        statements = [_SAID[each] for each in batch]
        after = {(ALERT.topic, 0): max((each.offset + 1 for each in statements), default=0)}
        store.apply(statements, after, stored_ms=1)
    said = [each for batch in schedule for each in batch]
    assert _standing(store) == {
        alert_id: _content(_SAID[alert_id, max(p for name, p in said if name == alert_id)])
        for alert_id in {name for name, _ in said}
    }
    assert store.next_offsets(ALERT.topic).get(0, 0) == max((position + 1 for _, position in said), default=0)
    _history_is_sound(store, {name for name, _ in said})
    store.close()


def _standing(store: AlertStore) -> dict[str, tuple[str, int]]:
    return {each.alert.record_id: _content(each.statement) for each in store.standing(Filter(), limit=100)}


def _content(one: Statement) -> tuple[str, int]:
    return one.alert.state, one.alert.position


def _history_is_sound(store: AlertStore, alert_ids: set[str]) -> None:
    """Every number is given out once, and each alert's history ends with what stands."""
    everything: Sequence[int] = [each.seq for each in store.after(0, Filter(), limit=1000).statements]
    assert everything == list(range(1, len(everything) + 1))
    standing = _standing(store)
    for alert_id in alert_ids:
        history = store.history(alert_id)
        assert [each.alert.position for each in history] == sorted({each.alert.position for each in history})
        assert _content(history[-1].statement) == standing[alert_id]
