"""`python -m tests.faults.kills --kills N`: the crash loop on a real broker; prints and keeps a report.

Its bus lives in a folder of its own below `.xiezhi/crash-loop` and is deleted when the answer was right. Ctrl-C stops
all and prints the report of what was done until then. Exit code 1: something was lost, repeated or wrong.
"""

from __future__ import annotations

import argparse
import logging
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.faults.kills.engine import ROOT, KillRun, Plan, bus

KEPT = ROOT / ".xiezhi" / "crash-loop"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=60)
    parser.add_argument(
        "--seed", type=int, default=int(time.time()) % 1_000_000, help="default: another every time"
    )
    parser.add_argument("--between", type=float, default=3.0, help="seconds from one kill to the next")
    parser.add_argument("--rate", type=float, default=100.0, help="records published per second")
    parser.add_argument("--report", type=Path, help=f"JSON file; default: in {KEPT.relative_to(ROOT)}")
    asked = parser.parse_args()
    plan = Plan(
        asked.kills, asked.seed, asked.between, asked.rate, settle_timeout_s=max(240.0, asked.kills * 2.0)
    )
    for number in (
        signal.SIGINT,
        signal.SIGTERM,
    ):  # whoever starts this in the background made it ignore Ctrl-C
        signal.signal(number, signal.default_int_handler)
    logging.disable(logging.ERROR)  # hundreds of lines by clients of a broker that was killed on purpose
    path = asked.report or KEPT / f"report-{asked.seed}-{asked.kills}.json"
    KEPT.mkdir(parents=True, exist_ok=True)
    home = Path(tempfile.mkdtemp(prefix="run-", dir=KEPT))
    print(f"seed {asked.seed}; the bus and its logs: {home}", flush=True)  # noqa: T201 -- progress
    with bus(home) as (stack, settings):
        report = KillRun(stack, settings, plan, lambda text: print(text, flush=True)).run()  # noqa: T201 -- likewise
        report.write(path)
        print(f"\n{report.text()}\nreport: {path}", flush=True)  # noqa: T201 -- the report
    good = report.verdict is not None and report.verdict.is_good
    if good or report.ended_by == "interrupted":
        shutil.rmtree(home, ignore_errors=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
