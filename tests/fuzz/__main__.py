"""`python -m tests.fuzz`: every target for a while, each in a process of its own that may crash or hang.

What is found is made small, kept as `tests/fuzz/corpus/<target>/<digest>.bin` and replayed by the unit suite from then
on. Inputs are honest bytes, mutilated; with `--engine atheris` (a wheel of its own, `pip install atheris`) they follow
the coverage of the code. Exit code 1 says that something was found.
"""

from __future__ import annotations

import argparse
import sys

from tests.fuzz.child import Run
from tests.fuzz.runner import runner
from tests.fuzz.targets import TARGETS

LOW_S = 1.0


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="in all, divided among the targets")
    parser.add_argument(
        "--target", action="append", choices=sorted(TARGETS), help="repeatable; all by default"
    )
    parser.add_argument("--seed", type=int, default=0, help="another seed explores other inputs")
    parser.add_argument("--engine", choices=("mutation", "atheris"), default="mutation")
    asked = parser.parse_args()
    names = asked.target or list(TARGETS)
    each_s = max(LOW_S, asked.seconds / len(names))
    found = inputs = 0
    with runner() as warm:
        for name in names:
            outcome = warm.run(Run(name, each_s, asked.seed, asked.engine))
            found += outcome.found != ""
            inputs += outcome.inputs
            say(f"{name:<14} {outcome.inputs:>9,} inputs  {outcome.found or 'nothing found'}")
    say(f"{'in all':<14} {inputs:>9,} inputs, {found} findings")
    return 1 if found else 0


def say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 -- the report


if __name__ == "__main__":
    sys.exit(main())
