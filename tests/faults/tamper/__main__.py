"""`python -m tests.faults.tamper --changes N`: N random changes to each kind of evidence; all must be found offline."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from random import Random

from tests.faults.tamper.log_target import LogTarget
from tests.faults.tamper.receipt_target import ReceiptTarget
from tests.faults.tamper.target import Target

TARGETS: Mapping[str, Callable[[], Target]] = {
    LogTarget.name: LogTarget,
    ReceiptTarget.name: ReceiptTarget,
}


def explore(target: Target, changes: int, start: int = 0) -> tuple[Counter[str], list[str]]:
    """Changes made by kind, and those that were not found, with the seed that repeats them."""
    target.check_unchanged()
    made, missed = Counter[str](), []
    for seed in range(start, start + changes):
        kind, found = target.tamper(Random(seed))
        made[kind] += 1
        if not found:
            missed.append(f"{target.name}, {kind}: python -m tests.faults.tamper --start {seed} --changes 1")
    return made, missed


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--changes", type=int, default=1_000, help="how many changes to each kind of evidence"
    )
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    asked = parser.parse_args()
    wrong = 0
    for make in TARGETS.values():
        target = make()
        made, missed = explore(target, asked.changes, asked.start)
        print(f"{target.name}: {made.total()} changes, {made.total() - len(missed)} found")  # noqa: T201 -- the report
        for kind, count in sorted(made.items()):
            print(f"  {count:6} {kind}")  # noqa: T201 -- likewise
        for each in missed[:20]:
            print(f"NOT FOUND: {each}")  # noqa: T201 -- likewise
        wrong += len(missed)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
