"""`python -m tests.faults.model --seeds N`: the crash model over many seeds; prints how to repeat what differs."""

from __future__ import annotations

import argparse
import sys
import time

from tests.faults.model.model import explore

REPORT_EVERY = 500


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, help="how many seeds to explore")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    asked = parser.parse_args()
    begun, wrong = time.monotonic(), 0
    for number, seed in enumerate(range(asked.start, asked.start + asked.seeds), 1):
        if differences := explore(seed):
            wrong += 1
            print(f"seed {seed} differs: {differences[0]}")  # noqa: T201 -- the report
            print(f"  repeat: python -m tests.faults.model --start {seed} --seeds 1")  # noqa: T201 -- likewise
        if number % REPORT_EVERY == 0:
            print(f"{number} seeds, {wrong} wrong, {time.monotonic() - begun:.0f} s", flush=True)  # noqa: T201 -- likewise
    print(f"{asked.seeds} seeds from {asked.start}: {wrong} wrong")  # noqa: T201 -- likewise
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
