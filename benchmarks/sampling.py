"""A statistical profiler for a service process: where its CPU time goes, at the cost of a few samples a second.

The process is interrupted after every few milliseconds of its CPU time (SIGPROF). Each Python thread's CPU clock then
says how much that thread has used since, and the thread's stack where. What no Python thread used belongs to native
threads (librdkafka, RocksDB); garbage collections are timed apart, since they strike wherever they please.
"""

from __future__ import annotations

import gc
import signal
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

INTERVAL_S = 0.005
#: A line is told by file, number and function; deeper stacks than this are cut at the outer end.
FRAMES_MAX = 100
#: Lines and functions kept in a profile; the tail says nothing.
KEPT_MAX = 100


@dataclass(frozen=True, slots=True)
class Profile:
    """CPU seconds: in all, of native threads, of garbage collection; per line itself, per function with all it called,
    per package itself. Largest first."""

    cpu_s: float
    native_s: float
    gc_s: float
    lines: list[tuple[str, float]]
    functions: list[tuple[str, float]]
    packages: list[tuple[str, float]]


class Sampler:
    """Profiles this process between `start` and `stop`; both are called from the main thread.

    `root` is the folder of the project: functions are told for its own files only, since event loops call everything.
    """

    def __init__(self, root: Path) -> None:
        self._root = f"{root}/"
        self._lines: Counter[str] = Counter()
        self._functions: Counter[str] = Counter()
        self._packages: Counter[str] = Counter()
        self._used: dict[int, int] = {}
        self._cpu_from = self._python = self._gc = self._gc_from = 0  # all nanoseconds

    def start(self) -> None:
        for counter in (self._lines, self._functions, self._packages):
            counter.clear()
        self._python = self._gc = 0
        self._used = {thread: _cpu_of(thread) for thread in _frames()}
        self._cpu_from = time.process_time_ns()
        gc.callbacks.append(self._collecting)
        signal.signal(signal.SIGPROF, self._sample)
        signal.setitimer(signal.ITIMER_PROF, INTERVAL_S, INTERVAL_S)

    def stop(self) -> Profile:
        signal.setitimer(signal.ITIMER_PROF, 0.0)
        gc.callbacks.remove(self._collecting)
        cpu = time.process_time_ns() - self._cpu_from
        return Profile(
            cpu_s=cpu / 1e9,
            native_s=max(0, cpu - self._python) / 1e9,
            gc_s=self._gc / 1e9,
            lines=_largest(self._lines),
            functions=_largest(self._functions),
            packages=_largest(self._packages),
        )

    def _sample(self, number: int, interrupted: FrameType | None) -> None:
        for thread, frame in _frames().items():
            used = _cpu_of(thread)
            spent = used - self._used.get(thread, used)
            self._used[thread] = used
            if spent > 0:
                self._python += spent
                self._note(_work_of(frame), spent)

    def _note(self, frame: FrameType | None, spent: int) -> None:
        if frame is None:
            return
        code = frame.f_code
        self._lines[f"{self._place(code.co_filename)}:{frame.f_lineno} {code.co_qualname}"] += spent
        self._packages[self._place(code.co_filename).split("/")[0]] += spent
        told: set[str] = set()
        for _ in range(FRAMES_MAX):
            code = frame.f_code
            if self._is_own(code.co_filename):
                told.add(f"{self._place(code.co_filename)} {code.co_qualname}")
            if frame.f_back is None:
                break
            frame = frame.f_back
        for name in told:
            self._functions[name] += spent

    def _is_own(self, file: str) -> bool:
        """The environment is a folder of the project, too."""
        return file.startswith(self._root) and "/site-packages/" not in file

    def _place(self, file: str) -> str:
        """The file below the project or below a package; what is Python's own is below `python`."""
        if self._is_own(file):
            return file.removeprefix(self._root)
        _, found, below = file.rpartition("/site-packages/")
        if found:
            return below
        if file == "<string>":
            return "python/generated"  # methods of dataclasses
        return "python/" + file.rpartition("/lib/python3.")[2].partition("/")[2]

    def _collecting(self, phase: str, details: dict[str, Any]) -> None:
        if phase == "start":
            self._gc_from = time.thread_time_ns()
        else:
            self._gc += time.thread_time_ns() - self._gc_from


def _largest(spent: Counter[str]) -> list[tuple[str, float]]:
    return [(name, used / 1e9) for name, used in spent.most_common(KEPT_MAX)]


def _frames() -> dict[int, FrameType]:
    """Where every thread is. Python builds this under a lock of its own, and a collection that struck meanwhile would
    let the next sample ask for it again, and wait for ever."""
    collects = gc.isenabled()
    gc.disable()
    try:
        return sys._current_frames()
    finally:
        if collects:
            gc.enable()


def _cpu_of(thread: int) -> int:
    """Nanoseconds of CPU time that a living thread of this process has used."""
    return time.clock_gettime_ns(time.pthread_getcpuclockid(thread))


def _work_of(frame: FrameType) -> FrameType | None:
    """The frame that was at work: not the sampler's own, through which the main thread looks at itself."""
    own: FrameType | None = frame
    while own is not None and own.f_code.co_filename == __file__:
        own = own.f_back
    return own
