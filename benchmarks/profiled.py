"""A service under the sampling profiler: `python -m benchmarks.profiled router | judge | audit FILE`.

Runs what `python -m streams.app` or `python -m consumers.audit.service` runs, until TERM, and writes the profile to
FILE as JSON. Sampling begins with the first batch, so that starting up does not blur it. The service itself knows
nothing of it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.sampling import Sampler
from consumers.audit import service as audit
from consumers.audit.measuring import STAGE as AUDIT
from consumers.audit.measuring import Measure
from streams import app
from streams.stage import Stage
from xiezhi.service import run_service


def main(stage: str, file: Path) -> int:
    sampler = Sampler(Path.cwd())
    owner, name = (Measure, "batch") if stage == AUDIT else (Stage, "handle")
    begin_with_first_batch(owner, name, sampler.start)
    try:
        return run_service(AUDIT, audit.serve) if stage == AUDIT else app.main([stage])
    finally:
        file.write_text(json.dumps(asdict(sampler.stop())), "utf-8")


def begin_with_first_batch(owner: type, name: str, begin: Callable[[], None]) -> None:
    """Call `begin` before the first call of a method, which then is what it was."""
    method = getattr(owner, name)

    def first(self: Any, *arguments: Any) -> Any:
        setattr(owner, name, method)
        begin()
        return method(self, *arguments)  # of a coroutine function, the coroutine

    setattr(owner, name, first)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
