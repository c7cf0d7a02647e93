"""Following the store: statements in the order in which they took effect, from a place that survives the follower.

What is about to be shown is put on the access trail first, a page at a time. A named cursor is moved after `write`
returned, so a follower that is killed repeats at most the one line that it had written and not yet noted, and never
leaves one out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from consumers.alerts.statement import Filter, Stored
from consumers.alerts.store import AlertStore, Cursor
from xiezhi.errors import ConfigurationError
from xiezhi.telemetry.alert_stages import AlertStage, stage

#: How long a new statement may wait to be seen.
POLL_S = 0.2
_PAGE_STATEMENTS = 200


@dataclass(frozen=True, slots=True)
class Follow:
    """What to follow. Without a cursor name the place is forgotten at the end."""

    wanted: Filter
    cursor: str = ""
    from_start: bool = False


@dataclass(frozen=True, slots=True)
class Reader:
    """Who follows: `note` puts a page on the access trail before any of it goes to `write`, one by one.

    `write` returns when the reader has the statement. What either raises ends the following.
    """

    note: Callable[[Sequence[Stored]], None]
    write: Callable[[Stored], None]


def follow(
    store: AlertStore,
    what: Follow,
    reader: Reader,
    *,
    stopping: threading.Event,
    clock: Callable[[], int],
) -> None:
    """Hand statements to `reader` until `stopping` is set.

    Raises ConfigurationError when the cursor belongs to another filter, StoreError, and what the reader raises.
    """
    seq = _start(store, what)

    def arrive(at: int) -> None:
        nonlocal seq
        seq = at
        if what.cursor:
            store.place_cursor(Cursor(what.cursor, seq, str(what.wanted)), moved_ms=clock())

    arrive(seq)  # a new cursor exists from now on, even if nothing comes
    while not stopping.is_set():
        page = store.after(seq, what.wanted, limit=_PAGE_STATEMENTS)
        if page.statements:
            reader.note(page.statements)
        for stored in page.statements:
            with _stage("deliver", stored, what):
                reader.write(stored)
            if what.cursor:
                with _stage("acknowledge", stored, what):
                    arrive(stored.seq)
            else:
                arrive(stored.seq)
            if stopping.is_set():
                return
        if page.upto_seq > seq:
            arrive(page.upto_seq)
        if not page.statements:
            stopping.wait(POLL_S)


def _stage(name: AlertStage, stored: Stored, what: Follow) -> AbstractContextManager[None]:
    one = stored.statement
    return stage(name, one.alert, one.said, one.traceparent, reader=what.cursor)


def _start(store: AlertStore, what: Follow) -> int:
    """The number after which to begin: the cursor's place, the first statement, or now."""
    cursor = store.cursor(what.cursor) if what.cursor else None
    if what.from_start:
        return 0
    if cursor is None:
        return store.last_seq()
    if cursor.filters != str(what.wanted):
        raise ConfigurationError(
            f"cursor {what.cursor!r} was following {cursor.filters}, not {what.wanted}: resuming would leave gaps. "
            "Use another name for another filter, or --from-start"
        )
    return cursor.seq
