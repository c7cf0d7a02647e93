"""The keyed store, on the dict that tests use and on RocksDB: both must keep one contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from xiezhi.errors import StoreError
from xiezhi.store import Backend, KeyedStore, MemoryBackend, RocksBackend, in_store_order

Open = Callable[[], Backend]


@pytest.fixture(params=["memory", "rocksdb"])
def open_backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Open]:
    """Opens the same durable bytes each time it is called."""
    opened: list[Backend] = []
    memory = MemoryBackend()  # closing a dict loses nothing

    def open_it() -> Backend:
        backend: Backend = memory if request.param == "memory" else RocksBackend(tmp_path / "store")
        opened.append(backend)
        return backend

    yield open_it
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(open_backend: Open) -> Backend:
    return open_backend()


@pytest.fixture
def store(backend: Backend) -> KeyedStore:
    return KeyedStore(backend)


def test_a_backend_scans_rows_with_a_prefix_in_key_order(backend: Backend) -> None:
    backend.write({b"b2": b"4", b"a": b"1", b"b1": b"3", b"b": b"2", b"c": b"5"})
    assert list(backend.scan(b"b")) == [(b"b", b"2"), (b"b1", b"3"), (b"b2", b"4")]
    assert len(list(backend.scan(b""))) == 5
    assert list(backend.scan(b"d")) == []


def test_a_backend_writes_and_deletes_in_one_go(backend: Backend) -> None:
    backend.write({b"a": b"1", b"b": b"2"})
    backend.write({b"a": None, b"b": b"3", b"gone": None})
    assert backend.get(b"a") is None
    assert backend.get(b"b") == b"3"


def test_empty_values_are_values(backend: Backend) -> None:
    backend.write({b"a": b""})
    assert backend.get(b"a") == b""
    assert list(backend.scan(b"a")) == [(b"a", b"")]


def test_keys_of_any_bytes_are_kept_apart(backend: Backend) -> None:
    keys = [b"\x00", b"\x00\x00", b"\xff", b"\xff\xff", "獬豸".encode()]
    backend.write({key: key for key in keys})
    assert [key for key, _ in backend.scan(b"")] == sorted(keys)


def test_writes_of_the_current_batch_are_visible_before_anything_is_durable(
    store: KeyedStore, backend: Backend
) -> None:
    store.put(b"view", b"row", b"1")
    assert store.get(b"view", b"row") == b"1"
    assert store.load(b"view") == {b"row": b"1"}
    assert list(backend.scan(b"")) == []


def test_later_batches_see_sealed_ones_and_the_latest_write_wins(store: KeyedStore) -> None:
    store.put(b"view", b"row", b"1")
    first = store.seal(1)
    store.put(b"view", b"row", b"2")
    second = store.seal(2)
    assert store.get(b"view", b"row") == b"2"
    store.commit(first)
    assert store.get(b"view", b"row") == b"2", "committing an older batch must not uncover its write"
    store.commit(second)
    assert store.get(b"view", b"row") == b"2"


def test_a_deletion_hides_the_durable_row_and_survives_its_commit(store: KeyedStore) -> None:
    store.put(b"view", b"a", b"1")
    store.put(b"view", b"b", b"2")
    store.commit(store.seal(1))
    store.put(b"view", b"a", None)
    assert store.get(b"view", b"a") is None
    assert store.load(b"view") == {b"b": b"2"}
    store.commit(store.seal(2))
    assert store.load(b"view") == {b"b": b"2"}


def test_a_row_deleted_in_one_batch_and_written_in_the_next_is_there(store: KeyedStore) -> None:
    store.put(b"view", b"a", b"1")
    store.commit(store.seal(1))
    store.put(b"view", b"a", None)
    deleted = store.seal(2)
    store.put(b"view", b"a", b"2")
    written = store.seal(3)
    store.commit(deleted)
    assert store.load(b"view") == {b"a": b"2"}
    store.commit(written)
    assert store.load(b"view") == {b"a": b"2"}


def test_a_commit_keeps_state_and_offset_together(open_backend: Open) -> None:
    backend = open_backend()
    store = KeyedStore(backend)
    store.put(b"view", b"row", b"1")
    sealed = store.seal(7)
    assert KeyedStore(backend).next_offset == 0
    assert KeyedStore(backend).load(b"view") == {}
    store.commit(sealed)
    assert KeyedStore(backend).next_offset == 7
    assert KeyedStore(backend).load(b"view") == {b"row": b"1"}


def test_batches_commit_in_the_order_in_which_they_were_sealed(store: KeyedStore) -> None:
    store.put(b"view", b"row", b"1")
    first = store.seal(1)
    second = store.seal(2)
    with pytest.raises(StoreError, match="out of order"):
        store.commit(second)
    store.commit(first)
    with pytest.raises(StoreError, match="out of order"):
        store.commit(first)
    store.commit(second)


def test_after_a_restart_only_committed_batches_are_there(open_backend: Open) -> None:
    backend = open_backend()
    store = KeyedStore(backend)
    store.put(b"view", b"a", b"committed")
    committed = store.seal(5)
    store.put(b"view", b"b", b"only sealed")
    store.seal(9)
    store.commit(committed)
    store.put(b"view", b"c", b"not even sealed")
    store.close()

    again = KeyedStore(open_backend())
    assert again.next_offset == 5
    assert again.load(b"view") == {b"a": b"committed"}
    again.put(b"view", b"b", b"2")
    again.commit(again.seal(6))  # numbering starts afresh with the process
    assert again.load(b"view") == {b"a": b"committed", b"b": b"2"}


def test_loading_a_view_between_two_commits_sees_each_row_once(store: KeyedStore) -> None:
    store.put(b"view", b"a", b"1")
    store.put(b"view", b"b", b"1")
    first = store.seal(1)
    store.put(b"view", b"b", b"2")
    second = store.seal(2)
    store.put(b"view", b"c", b"3")
    store.commit(first)
    assert store.load(b"view") == {b"a": b"1", b"b": b"2", b"c": b"3"}
    store.commit(second)
    assert store.load(b"view") == {b"a": b"1", b"b": b"2", b"c": b"3"}


def test_views_whose_names_begin_alike_do_not_mix(store: KeyedStore) -> None:
    for view in (b"a", b"ab", b"ab|", "獬".encode()):
        store.put(view, b"|row", view)
    store.commit(store.seal(1))
    for view in (b"a", b"ab", b"ab|", "獬".encode()):
        assert store.load(view) == {b"|row": view}
    assert store.get(b"a", b"b|row") is None


def test_views_are_found_by_prefix_whether_durable_or_not(store: KeyedStore) -> None:
    store.put(b"join|1", b"row", b"")
    store.put(b"other|1", b"row", b"")
    store.commit(store.seal(1))
    store.put(b"join|2", b"row", b"")
    assert store.views_after(b"join|", b"", 9) == [b"join|1", b"join|2"]
    assert store.views_after(b"", b"", 9) == [b"join|1", b"join|2", b"other|1"]


def test_views_are_found_some_at_a_time_each_once(store: KeyedStore) -> None:
    """Names of many lengths, with many rows, of which prefixes are others; some of them are not yet durable."""
    names = [
        b"join|" + number for number in (b"", b"1", b"12", b"2", b"\xff\xff", b"\xff", b"x" * 300, b"1|2")
    ]
    others = (b"a", b"joi", b"join", b"joinx|1", b"k|1", b"join}12", b"\xffjoin|1", b"z" * 40)
    for name in (*names, *others):
        for row in (b"", b"a", b"join|1", b"\xff\xff"):
            store.put(name, row, b"")
        if name == b"joi":
            store.commit(store.seal(1))
    found: list[bytes] = []
    while page := store.views_after(b"join|", found[-1] if found else b"", 2):
        found += page
    assert found == sorted(names, key=in_store_order)
    assert store.views_after(b"join|", found[2], 99) == found[3:]


def test_a_view_shorter_than_the_prefix_is_not_found_through_its_rows(store: KeyedStore) -> None:
    store.put(b"join", b"|row", b"")
    store.put(b"joi", b"n|row", b"")
    store.commit(store.seal(1))
    assert store.views_after(b"join|", b"", 9) == []


def test_offset_and_fingerprint_are_no_views(store: KeyedStore) -> None:
    assert store.check_fingerprint("f")
    store.commit(store.seal(3))
    assert store.views_after(b"", b"", 9) == []


def test_a_store_refuses_code_with_another_fingerprint_for_good(open_backend: Open) -> None:
    first = KeyedStore(open_backend())
    assert first.check_fingerprint("selectors.1")
    assert first.check_fingerprint("selectors.1")
    first.close()
    again = KeyedStore(open_backend())
    assert not again.check_fingerprint("selectors.2")
    assert again.check_fingerprint("selectors.1"), "a refused fingerprint must not replace the right one"


def test_closing_twice_is_harmless(backend: Backend) -> None:
    backend.close()
    backend.close()


def test_a_folder_in_use_is_refused_with_the_reason(tmp_path: Path) -> None:
    held = RocksBackend(tmp_path / "store")
    with pytest.raises(StoreError, match="another worker"):
        RocksBackend(tmp_path / "store")
    held.close()


def test_an_unwritable_folder_is_refused_with_its_name(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(StoreError, match="file"):
        RocksBackend(tmp_path / "file" / "store")
