"""Who takes part in S1, S2 and S4, and one run of one of them: start, wait for its result, check the answer, stop."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import wait_for_file
from benchmarks.peers import kafka_streams, quix_environment
from benchmarks.peers.outcome import Job
from xiezhi.errors import XiezhiError
from xiezhi.local.process import Command, Process

OURS, QUIX, STREAMS, STOCK = "Xiezhi", "Quix Streams", "Kafka Streams", "stock Faust"
#: A run slower than this, or stuck, ends the measurement.
RECORDS_PER_S_MIN = 200.0
START_UP_MAX_S = 90.0


@dataclass(frozen=True, slots=True)
class Engine:
    """`argv` is followed by the arguments of a job."""

    name: str
    argv: tuple[str, ...]
    scenarios: tuple[str, ...]
    is_slow: bool = False  # gets fewer records; its rate does not depend on how many they are


@dataclass(frozen=True, slots=True)
class Outcome:
    """One engine's run of one scenario; its answer was right."""

    engine: str
    records: int
    start_up_s: float  # from the start of the process to its first record
    processed_s: float  # from the first record to the last
    committed_s: float  # from the first record to the commit of the last one's state and offset
    cpu_s: float  # of the process, from the first record to that commit
    peak_rss_mb: float

    @property
    def per_s(self) -> float:
        return self.records / self.committed_s

    @property
    def cpu_us(self) -> float:
        return 1e6 * self.cpu_s / self.records


def engines(folder: Path, say: Callable[[str], None]) -> tuple[Engine, ...]:
    """All of them, ready to run; compiles into `folder`, and installs what is missing."""
    folder.mkdir()
    python = str(quix_environment.python(say))
    return (
        Engine(OURS, (sys.executable, "-m", "benchmarks.peers.ours"), ("S1", "S2", "S4")),
        Engine(QUIX, (python, "-m", "benchmarks.peers.quix"), ("S1", "S2", "S4")),
        Engine(STREAMS, kafka_streams.compiled(folder, say), ("S1", "S2")),
        Engine(
            STOCK, (sys.executable, "-m", "benchmarks.peers.stock_faust"), ("S1", "S2", "S4"), is_slow=True
        ),
    )


def run(engine: Engine, job: Job, environment: Mapping[str, str], expected: Mapping[str, int]) -> Outcome:
    """Runs `engine` on `job`. Raises StackError when it ends by itself, XiezhiError for a wrong answer or when late."""
    job.folder.mkdir(parents=True)
    words = (job.scenario, job.servers, job.topic, str(job.records), str(job.schema), str(job.folder))
    argv = (*engine.argv, *words)
    process = Process(Command(engine.name, argv, Path.cwd(), job.folder / "log", environment))
    begun, file = time.time(), job.folder / "result.json"
    wait_for_file(process, file, START_UP_MAX_S + job.records / RECORDS_PER_S_MIN)
    return outcome(engine.name, json.loads(file.read_text("utf-8")), begun, expected)


def outcome(engine: str, result: Mapping[str, Any], begun: float, expected: Mapping[str, int]) -> Outcome:
    """A result whose answer is right. Raises XiezhiError for any other: it was other work."""
    if result["answer"] != expected:
        raise XiezhiError(f"{engine} found {result['answer']}, and {expected} was published")
    figures = ("processed_s", "committed_s", "cpu_s", "peak_rss_mb")
    return Outcome(
        engine,
        expected["records"],
        start_up_s=result["begun_unix_s"] - begun,
        **{name: float(result[name]) for name in figures},
    )
