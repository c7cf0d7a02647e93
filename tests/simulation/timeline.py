"""Virtual time: what happens next, in the order of instants, and an account of what happened last.

Time passes only from one event to the next, so a quiet hour costs nothing. An *event* is one effect that the schedule
could have put elsewhere: a record that reaches the broker, a batch taken in, a commit, a fault.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable
from itertools import count

Action = Callable[[], None]

#: Events that the account keeps: enough to see how a run came to its end, few enough to read.
ACCOUNT_EVENTS = 60


class Timeline:
    """The future of one run as a queue. `now_ms`: virtual milliseconds since 1970, with fractions."""

    def __init__(self, start_ms: float) -> None:
        self.now_ms = self.start_ms = start_ms
        self.events = 0
        self.pending = 0  # actions that keep a run busy, unlike a clock that looks again and again
        self._queue: list[tuple[float, int, Action, bool]] = []
        self._number = count()
        self._account: deque[tuple[float, str, str, object]] = deque(maxlen=ACCOUNT_EVENTS)

    def after(self, delay_ms: float, action: Action, *, is_background: bool = False) -> None:
        """Do `action` so much later; what is in the background keeps nobody waiting."""
        self.pending += not is_background
        at_ms = self.now_ms + delay_ms
        heapq.heappush(self._queue, (at_ms, next(self._number), action, is_background))

    def step(self) -> None:
        """Go to the next instant at which something is to be done, and do it."""
        self.now_ms, _, action, is_background = heapq.heappop(self._queue)
        self.pending -= not is_background
        action()

    def note(self, who: str, what: str, which: object = "") -> None:
        """One event, for the count and the account."""
        self.events += 1
        self._account.append((self.now_ms, who, what, which))

    def account(self) -> list[str]:
        """The last events, one a line: seconds since the beginning, who, what, which."""
        return [
            f"{(at_ms - self.start_ms) / 1000:9.4f} s  {who:<24} {what:<16} {_told(which)}"
            for at_ms, who, what, which in self._account
        ]


def _told(which: object) -> str:
    return "/".join(map(str, which)) if isinstance(which, tuple) else str(which)
