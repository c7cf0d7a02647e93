"""One input through one target within bounds: an error of the right family or none, in little time and memory.

Time is CPU time, since a busy machine is no defect. Memory is what Python allocates at most, by tracemalloc. Both grow
with the input, so that a few bytes that cost much are found, and a long honest file is not.
"""

from __future__ import annotations

import time
import tracemalloc
from dataclasses import dataclass

from tests.fuzz.targets import Target

#: An input costs at most this much; what is slower or larger by accident (a first import, a pause) stays far below.
CPU_S_MAX, CPU_S_PER_MB = 1.0, 60.0
MEMORY_BYTES_MAX, MEMORY_PER_BYTE = 8 * 1024 * 1024, 1_000


@dataclass
class FindingError(AssertionError):
    """What an input did that none may do."""

    kind: str  # the same for inputs that do the same
    what: str
    slow: bool = False

    def __str__(self) -> str:
        return self.what


def probe(target: Target, data: bytes) -> None:
    """Raises FindingError. Tracing must be on (`tracemalloc.start`)."""
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    began = time.process_time()
    try:
        target.read(data)
    except target.errors:
        pass
    except Exception as error:
        raise FindingError(type(error).__name__, f"{type(error).__name__}: {str(error)[:200]}") from error
    spent_s = time.process_time() - began
    taken = tracemalloc.get_traced_memory()[1] - before
    if spent_s > CPU_S_MAX + CPU_S_PER_MB * len(data) / 1e6:
        raise FindingError("time", f"{spent_s:.1f} s for {len(data)} bytes", slow=True)
    if taken > MEMORY_BYTES_MAX + MEMORY_PER_BYTE * len(data):
        raise FindingError("memory", f"{taken / 1e6:.0f} MB for {len(data)} bytes")
