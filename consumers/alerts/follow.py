"""Following the store: statements in the order in which they took effect, from a place that survives the follower.

A named cursor is moved after `write` returned, so a follower that is killed repeats at most the one line that it had
written and not yet noted, and never leaves one out.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
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


def follow(
    store: AlertStore,
    what: Follow,
    *,
    write: Callable[[Stored], None],
    stopping: threading.Event,
    clock: Callable[[], int],
) -> None:
    """Hand statements to `write` until `stopping` is set; it returns when the reader has the statement.

    Raises ConfigurationError when the cursor belongs to another filter, StoreError, and what `write` raises.
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
        for stored in page.statements:
            with _stage("deliver", stored, what):
                write(stored)
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
