"""What an open sweep is for: `refile` asks how far judges are with the take-over."""

from __future__ import annotations

from streams.sweeps import Sweeps
from xiezhi.store import KeyedStore, MemoryBackend


def store_of(*views: bytes) -> KeyedStore:
    store = KeyedStore(MemoryBackend())
    for view in views:
        store.put(view, b"m", b"")
    store.commit(store.seal(1))
    return store


def finish(sweeps: Sweeps) -> None:
    while (found := sweeps.next(10)) is not None:
        sweeps.passed(found)


def test_a_sweep_that_another_takes_in_is_not_done_before_it() -> None:
    sweeps = Sweeps(store_of(b"contract|1", b"person|1"))
    sweeps.begin(b"", 5)
    sweeps.begin(b"contract|", 7)
    assert (sweeps.begun, sweeps.open) == (5, ("", "contract"))
    sweeps.begin(b"", 9)
    assert (sweeps.begun, sweeps.open) == (5, ("",))
    finish(sweeps)
    assert sweeps.begun is None


def test_a_sweep_over_nothing_is_done() -> None:
    sweeps = Sweeps(store_of())
    sweeps.begin(b"", 5)
    assert sweeps.begun is None
