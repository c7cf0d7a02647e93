"""What every Python program of S1, S2 and S4 shares: its job, the clock, and what it writes when it is through.

Arguments of each: SCENARIO SERVERS TOPIC RECORDS SCHEMA FOLDER. SCHEMA is the file with the Avro schema of the values,
FOLDER holds the program's state and `result.json`. Standard library only, since peers have environments of their own.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

DAY_MS = 86_400_000
#: S4 asks for two benefits of one person within one of these windows, which begin at multiples of their length.
WINDOW_DAYS = 30
WINDOW_MS = WINDOW_DAYS * DAY_MS
#: Magic and schema id, before the Avro bytes.
PREFIX_BYTES = 5
#: Digests fit a signed long of Java.
_MASK = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Job:
    """One program's task: read `records` records of `topic`, once."""

    scenario: str  # S1: decode and sum, S2: sum per key, S4: more than one benefit in a window
    servers: str
    topic: str
    records: int
    schema: Path
    folder: Path

    @classmethod
    def of(cls, arguments: Sequence[str]) -> Job:
        scenario, servers, topic, records, schema, folder = arguments
        return cls(scenario, servers, topic, int(records), Path(schema), Path(folder))

    @property
    def group(self) -> str:
        """Consumer group and application id, used once."""
        return f"benchmark-{self.folder.name}"


class Clock:
    """Times a run from the first record to the moment at which everything is committed."""

    def __init__(self) -> None:
        self._begun_unix_s = self._begun = self._processed = self._cpu = 0.0

    def begin(self) -> None:
        """The first record is here."""
        self._begun_unix_s, self._begun, self._cpu = time.time(), time.perf_counter(), time.process_time()

    def processed(self) -> None:
        """The last record has had its effect, which need not be durable yet."""
        self._processed = time.perf_counter()

    def committed(self) -> Mapping[str, float]:
        """State and offsets are where a crash would find them; returns the figures of the run."""
        at, cpu = time.perf_counter(), time.process_time()
        return {
            "begun_unix_s": self._begun_unix_s,
            "processed_s": self._processed - self._begun,
            "committed_s": at - self._begun,
            "cpu_s": cpu - self._cpu,
            "peak_rss_mb": _peak_rss_mb(),
        }


def _peak_rss_mb() -> float:
    """The kernel's own high-water mark; that of getrusage would begin with the process that started this one."""
    for line in Path("/proc/self/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmHWM in /proc/self/status")


def write(folder: Path, figures: Mapping[str, float], answer: Mapping[str, int]) -> None:
    """Leave the result where the runner looks for it; whoever waits for the file never sees half of it."""
    part = folder / "result.part"
    part.write_text(json.dumps({**figures, "answer": answer}), "utf-8")
    part.rename(folder / "result.json")


def sum_answer(records: int, total: int) -> dict[str, int]:
    """S1."""
    return {"records": records, "sum": total}


def totals_answer(records: int, totals: Iterable[tuple[bytes, int]]) -> dict[str, int]:
    """S2, of each key's total."""
    keys = total = digest = 0
    for key, amount in totals:
        keys += 1
        total += amount
        digest += crc32(key) * amount
    return {"records": records, "sum": total, "keys": keys, "digest": digest & _MASK}


def duplicates_answer(records: int, found: Iterable[tuple[bytes, int]]) -> dict[str, int]:
    """S4, of each person (key) and beginning of a window with more than one benefit."""
    count = digest = 0
    for key, start_ms in found:
        count += 1
        digest += crc32(key + b"/%d" % start_ms)
    return {"records": records, "duplicates": count, "digest": digest & _MASK}
