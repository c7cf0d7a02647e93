"""A whole bus for tests: real broker and registry, contracts and rules applied, every service running and watched.

A thread does what `xiezhi up` does, restart what has ended, so that a test sees the bus as an operator would. A test
that stops a part itself takes the stack into its own hands first (`held`).
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from deploy.settled import groups, wait_until_settled
from tests.conftest import stack_settings
from xiezhi.codec import Codec
from xiezhi.dead_letter_log import DeadRecord, Letter, Wanted, dead_records, read_letters
from xiezhi.lag import Lags
from xiezhi.local.services import environment
from xiezhi.local.stack import LocalStack
from xiezhi.local.supervisor import DEFAULT, RestartPolicy, Supervised
from xiezhi.log import LogReader
from xiezhi.project import load_project
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings

ROOT = Path(__file__).parents[1]
PACK = "drill"
WATCH_EVERY_S = 0.2
SETTLE_TIMEOUT_S = 240.0
COMMAND_TIMEOUT_S = 120.0


@contextmanager
def running_bus(home: Path, *, restarts: RestartPolicy = DEFAULT, **changes: Any) -> Iterator[RunningBus]:
    """A bus below `home`; `changes` are settings of its services, `restarts` how long one that ended stays down."""
    said: list[str] = []
    with LocalStack(stack_settings(home), say=said.append, restarts=restarts) as stack:
        settings = stack.settings(**{"tick_interval_s": 2.0, "session_timeout_s": 6.0, **changes})
        stack.start_project(load_project(ROOT), settings, pack=PACK)
        with RunningBus(stack, settings, said) as bus:
            yield bus


class RunningBus:
    """The bus while a thread watches over it; `said` is what the supervisor reported."""

    def __init__(self, stack: LocalStack, settings: Settings, said: list[str]) -> None:
        self.settings, self.said = settings, said
        self._stack = stack
        self._hands = threading.RLock()  # the stack is not thread-safe
        self._stopping = threading.Event()
        self._failed: list[Exception] = []
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._watcher.join()
        if self._failed and kind is None:
            raise self._failed[0]

    def _watch(self) -> None:
        try:
            while not self._stopping.wait(WATCH_EVERY_S):
                with self._hands:
                    self._stack.watch()
        except Exception as error:  # noqa: BLE001 -- raised again by the thread that leaves the context
            self._failed.append(error)

    @contextmanager
    def held(self) -> Iterator[LocalStack]:
        """The stack in the caller's hands: meanwhile nothing that ends is restarted."""
        with self._hands:
            yield self._stack

    def serve(self, **changes: Any) -> None:
        """Stop every service and start it anew, with these settings changed."""
        self.settings = self.settings.model_copy(update=changes)
        with self.held() as stack:
            stack.start_services(load_project(ROOT).services, self.settings, ROOT)

    def member(self, name: str) -> Supervised:
        """A process of the stack: broker, registry or a service."""
        return next(one for one in self._stack.members if one.process.name == name)

    def log_of(self, name: str) -> str:
        """Everything this process has logged."""
        return self.member(name).process.command.log.read_text("utf-8", "replace")

    def pids(self) -> dict[str, int]:
        """Process ids by name; a different one later means that a process was restarted."""
        return {one.process.name: one.process.pid or 0 for one in self._stack.members}

    def settle(self, timeout_s: float = SETTLE_TIMEOUT_S) -> None:
        """Wait until everything published is routed, judged and stored, and every settle time has run out."""
        wait_until_settled(self.settings, pack=PACK, timeout_s=timeout_s, look=self._look)

    def quiet(self, timeout_s: float = SETTLE_TIMEOUT_S) -> None:
        """Wait until every group has read everything; what must stand for some time first may not be said yet."""
        Lags(self.settings.bootstrap_servers, groups(self.settings)).wait_until_quiet(timeout_s, self._look)

    def _look(self, _: object) -> None:
        """Nothing will move any more once a service gave up, so that waiting on makes no sense."""
        gave_up = [one.given_up for one in self._stack.members if one.given_up]
        assert not gave_up, gave_up

    def cli(self, *arguments: str, answer: str = "") -> subprocess.CompletedProcess[str]:
        """One `xiezhi` command in a process of its own, as a user in another terminal runs it."""
        return subprocess.run(
            [sys.executable, "-m", "xiezhi.cli.main", *arguments],
            cwd=ROOT,
            env={**os.environ, **environment(self.settings)},
            input=answer,
            capture_output=True,
            text=True,
            timeout=COMMAND_TIMEOUT_S,
            check=False,
        )

    def dead_letters(self) -> list[DeadRecord]:
        """Every record that ever failed, with its bytes."""
        codec = Codec(ConfluentRegistry(self.settings.registry_url))
        with LogReader(self.settings.bootstrap_servers) as log:
            letters = list(read_letters(log, codec, Wanted(keep_values=True)))
        assert all(isinstance(one, Letter) for one in letters), "a record on the dead-letter topic is none"
        return dead_records(one for one in letters if isinstance(one, Letter))


def wait_for(condition: Callable[[], object], timeout_s: float, what: str) -> None:
    """Until `condition` holds; AssertionError after `timeout_s`."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {timeout_s:.0f} s: {what}"
        time.sleep(0.1)
