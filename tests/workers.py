"""Several workers of router and judge on one running bus: they join, leave in order, are killed, come back.

Worker `0` of each stage is the bus's own. The others are started as an operator starts them: the same command with
another `XIEZHI_WORKER`, so with stores of their own. Nobody restarts any of them while the bus is `held`.
"""

from __future__ import annotations

import re
import sys
import urllib.error
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from schemas import catalogue
from tests.running_bus import ROOT, wait_for
from tests.scrape import scrape
from xiezhi.local.ports import free_port
from xiezhi.local.process import Command, Process
from xiezhi.local.services import environment
from xiezhi.local.stack import LocalStack
from xiezhi.local.state import read_state
from xiezhi.settings import Settings

#: What `tests.load` publishes, so what a router has open once every partition has something to do.
LOADED = (catalogue.CONTRACT, catalogue.PAYMENT, catalogue.DEATH, catalogue.ALLOWANCE)
#: A worker starts its Python, joins, and whoever was killed is missed first; on a machine that is busy.
BALANCED_TIMEOUT_S = 90.0
_RESTORING = re.compile(r"(\S+)/(\d+): restoring (\d+) to (\d+)")


class Act(Enum):
    """What happens to a worker."""

    JOIN = "starts"  # also: comes back
    LEAVE = "leaves"  # TERM, and waits until it has ended
    KILL = "is killed"


class Event(NamedTuple):
    """Something that makes a group share its partitions anew."""

    text: str
    act: Act
    worker: str


#: Two and three workers, who join and leave in every way there is; at the end there are three.
EVENTS = (
    Event("a second worker joins", Act.JOIN, "1"),
    Event("a third joins", Act.JOIN, "2"),
    Event("one of three leaves in order", Act.LEAVE, "1"),
    Event("one of two is killed (`kill -9`)", Act.KILL, "2"),
    Event("the one that left returns, its stores behind the log", Act.JOIN, "1"),
    Event("one comes with an empty folder", Act.JOIN, "3"),
)


class Restored(NamedTuple):
    """A partition whose store was brought forward by reading the log; `start` 0: built from nothing."""

    topic: str
    partition: int
    start: int
    end: int


@dataclass
class Worker:
    """One process of a stage, its folder, and where it serves its metrics. `most` it was seen to have open at once."""

    stage: str
    name: str
    process: Process
    port: int
    folder: Path
    most: int = 0

    def open_partitions(self) -> int:
        """How many it has open now; 0 while it does not answer."""
        try:
            found = int(scrape([self.port]).total("xiezhi_partitions_assigned", stage=self.stage))
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            found = 0
        self.most = max(self.most, found)
        return found

    def restored(self) -> list[Restored]:
        """As its log says, over all of its lives."""
        log = self.process.command.log.read_text("utf-8", "replace")
        return [
            Restored(topic, int(partition), int(start), int(end))
            for topic, partition, start, end in _RESTORING.findall(log)
        ]


class Crew:
    """The workers of one stage."""

    def __init__(self, stage: str, stack: LocalStack, settings: Settings) -> None:
        self.stage, self._settings, self._logs = stage, settings, stack.logs
        state = read_state(stack.home)
        assert state is not None
        port = next(one.metrics_port for one in state.processes if one.name == stage)
        process = next(one.process for one in stack.members if one.process.name == stage)
        self.workers = {settings.worker: Worker(stage, settings.worker, process, port, self._folder("0"))}
        #: Partitions that all workers together have open once every one of them has something to do.
        self.partitions = settings.partitions * (len(LOADED) if stage == "router" else 1)

    def _folder(self, name: str) -> Path:
        return self._settings.data_dir / self.stage / name

    @property
    def running(self) -> list[Worker]:
        return [one for one in self.workers.values() if one.process.is_running]

    def act(self, act: Act, name: str) -> None:
        """Returns once it is done: started, ended. What the others make of it takes longer."""
        if act is Act.JOIN:
            self._worker(name).process.start()
        elif act is Act.LEAVE:
            code = self.workers[name].process.stop()
            assert code == 0, f"{self.stage} {name} ended with {code}"
        else:
            self.workers[name].process.kill()

    def _worker(self, name: str) -> Worker:
        if name not in self.workers:
            port = free_port(taken=[one.port for one in self.workers.values()])
            own = self._settings.model_copy(update={"worker": name, "metrics_port": port})
            argv = (sys.executable, "-m", "streams.app", self.stage)
            log = self._logs / f"{self.stage}-{name}.log"
            process = Process(Command(f"{self.stage}-{name}", argv, ROOT, log, environment(own)))
            self.workers[name] = Worker(self.stage, name, process, port, self._folder(name))
        return self.workers[name]

    def is_balanced(self) -> bool:
        """Every worker that runs has partitions open, all of them together have all."""
        open_now = [one.open_partitions() for one in self.running]
        return all(open_now) and sum(open_now) >= self.partitions

    def wait_until_balanced(self, timeout_s: float = BALANCED_TIMEOUT_S) -> None:
        wait_for(self.is_balanced, timeout_s, f"the workers of {self.stage} share all of its partitions")

    def stop(self) -> None:
        """End those that the bus does not know."""
        for worker in self.workers.values():
            if worker.name != self._settings.worker:
                worker.process.kill()


@contextmanager
def crews(stack: LocalStack, settings: Settings) -> Iterator[Sequence[Crew]]:
    """Routers and judges of a bus that is held."""
    found = [Crew(stage, stack, settings) for stage in ("router", "judge")]
    try:
        yield found
    finally:
        for crew in found:
            crew.stop()
