"""Sweeps: views that something bears on all at once, to be judged again little by little, in the order of the store.

How far each is, is a row of the store, durable with what was judged on the way. Pure; who judges, and how fast, is
decided elsewhere (`streams/judge.py`, `streams/rejudging.py`).
"""

from __future__ import annotations

from dataclasses import dataclass

from xiezhi.store import KeyedStore, in_store_order

_SWEEPS = b"#sweeps"
#: First bytes of names that are not views: the judge's own rows, and the rows of folds.
_NO_VIEW = (b"#", b"\xff")


@dataclass(frozen=True, slots=True)
class Slice:
    """Some views in a row of one sweep; `cursor` is the last name that was looked at, b"" at the end of the sweep."""

    prefix: bytes
    views: tuple[str, ...]
    cursor: bytes


@dataclass(frozen=True, slots=True)
class _Sweep:
    begun: int  # offset of what bears on these views
    cursor: bytes  # the last name that was passed, b"" before the first

    def to_bytes(self) -> bytes:
        return b"%d;%s" % (self.begun, self.cursor)

    @classmethod
    def from_bytes(cls, row: bytes) -> _Sweep:
        begun, cursor = row.split(b";", 1)
        return cls(int(begun), cursor)


class Sweeps:
    """The open sweeps of one fact partition. A prefix of names, that of a join or none, says what each goes over."""

    def __init__(self, store: KeyedStore) -> None:
        self._store = store
        self.passed_views = 0  # since this was made
        self._open = {prefix: _Sweep.from_bytes(row) for prefix, row in store.load(_SWEEPS).items()}

    def begin(self, prefix: bytes, offset: int) -> None:
        """Sweep all views there are from the first on, also when a sweep of the same, or of a part, was under way.

        What was under way is done once this sweep is.
        """
        parts = {one: sweep for one, sweep in self._open.items() if one.startswith(prefix)}
        for part in parts:
            self._move(part, None)
        if self._store.views_after(prefix, b"", 1):
            self._move(prefix, _Sweep(min([offset, *(sweep.begun for sweep in parts.values())]), b""))

    @property
    def open(self) -> tuple[str, ...]:
        """What is being swept: names of joins, "" for everything."""
        return tuple(prefix.decode().removesuffix("|") for prefix in self._open)

    @property
    def begun(self) -> int | None:
        """The offset of what the oldest open sweep is for; None when all are done."""
        return min((sweep.begun for sweep in self._open.values()), default=None)

    def is_ahead(self, view: str) -> bool:
        """Whether an open sweep has yet to come to `view`."""
        name = view.encode()
        return any(
            name.startswith(prefix) and in_store_order(name) > in_store_order(sweep.cursor)
            for prefix, sweep in self._open.items()
        )

    def next(self, names_max: int) -> Slice | None:
        """What comes next; nothing moves before `passed`."""
        for prefix, sweep in self._open.items():
            names = self._store.views_after(prefix, sweep.cursor, names_max)
            views = tuple(name.decode() for name in names if not name.startswith(_NO_VIEW))
            return Slice(prefix, views, names[-1] if len(names) == names_max else b"")
        return None

    def passed(self, done: Slice) -> None:
        """The views of this slice are judged."""
        self.passed_views += len(done.views)
        self._move(done.prefix, _Sweep(self._open[done.prefix].begun, done.cursor) if done.cursor else None)

    def _move(self, prefix: bytes, sweep: _Sweep | None) -> None:
        self._store.put(_SWEEPS, prefix, sweep.to_bytes() if sweep else None)
        self._open.pop(prefix, None)
        if sweep is not None:
            self._open[prefix] = sweep
