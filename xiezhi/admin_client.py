"""The broker's admin client, thrown away without harm wherever it is dropped.

confluent-kafka calls back from a thread of the client itself. Should the garbage collector run there and find that same
client, destroying it ends the process: librdkafka aborts with "rd_kafka_destroy() called from librdkafka owned thread"
(confluent-kafka-python, pull request 2129). Any client that is part of a cycle, such as one in the traceback of its own
error, can be found there. So a client that nobody holds any more is destroyed by a thread that has no other work
(decision 0033).
"""

from __future__ import annotations

import threading
from contextlib import suppress
from functools import cache
from queue import SimpleQueue
from typing import Any

from confluent_kafka.admin import AdminClient  # noqa: TID251 -- the one place


class Admin(AdminClient):  # type: ignore[misc] # confluent_kafka is untyped here
    """As its base, whose options and calls it has. Need not be closed."""

    #: Putting does not lock, so that the garbage collector may do it anywhere.
    _dropped: SimpleQueue[AdminClient] = SimpleQueue()

    def __init__(self, options: dict[str, Any], **more: Any) -> None:
        super().__init__(options, **more)
        _start_destroying(self._dropped)

    def __del__(self) -> None:
        self._dropped.put(self)


@cache
def _start_destroying(dropped: SimpleQueue[AdminClient]) -> None:
    """Once in a process."""

    def destroy() -> None:
        while True:
            with suppress(
                Exception
            ):  # of what a client still calls back: the next one is to be destroyed all the same
                dropped.get().__exit__(None, None, None)

    threading.Thread(target=destroy, name="admin-clients", daemon=True).start()
