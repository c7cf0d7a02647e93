"""A service under the sampling profiler: `python -m benchmarks.profiled router | judge FILE`.

Runs what `python -m streams.app` runs, until TERM, and writes the profile to FILE as JSON. Sampling begins with the
first batch, so that starting up does not blur it. The service itself knows nothing of it.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.sampling import Sampler
from streams import app
from streams.stage import Stage


def main(stage: str, file: Path) -> int:
    sampler, handle = Sampler(Path.cwd()), Stage.handle

    async def handle_first(self: Stage, event: Any) -> None:
        Stage.handle = handle  # type: ignore[method-assign] # the one place to learn of the first batch
        sampler.start()
        await handle(self, event)

    Stage.handle = handle_first  # type: ignore[method-assign] # see above
    try:
        return app.main([stage])
    finally:
        file.write_text(json.dumps(asdict(sampler.stop())), "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
