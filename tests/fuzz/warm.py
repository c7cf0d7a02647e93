"""A process that has imported everything and read every seed once, and forks one child for each target asked of it.

    python -m tests.fuzz.warm     a line of JSON in: the run and two files; a line of JSON out: how the child ended

Imports take seconds and exploring one target takes two, so nobody imports twice. This process has one thread, since a
child of several might wait for a lock that nobody holds, and prints nothing else.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

from tests.fuzz.catalogue import target_of
from tests.fuzz.child import HANG_S, Run, live

_POLL_S = 0.01
#: Real time beyond that of the run: a child that neither computes nor ends is killed.
PATIENCE_S = 4 * HANG_S


def main() -> int:
    for line in sys.stdin:
        asked = json.loads(line)
        run = Run(**asked["run"])
        for data in target_of(run.target).seeds:  # what honest bytes load once is nobody's finding
            target_of(run.target).read(data)
        child = os.fork()
        if not child:
            live(run, Path(asked["current"]), Path(asked["said"]))
        sys.stdout.write(f"{wait(child, run.seconds + PATIENCE_S)}\n")
        sys.stdout.flush()
    return 0


def wait(child: int, timeout_s: float) -> int:
    """The child's exit code; of one that was ended by a signal, less than 0."""
    deadline = time.monotonic() + timeout_s
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(_POLL_S)


if __name__ == "__main__":
    sys.exit(main())
