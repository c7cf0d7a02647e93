"""The process in which one target meets inputs: `python -m tests.fuzz.child TARGET SECONDS SEED ENGINE CURRENT`.

Before an input is tried it stands in the file CURRENT, so that the parent has it if this process dies of it. Ends with
0 when the time is up, with FOUND and the input in CURRENT when one did what none may do. Address space is limited.
"""

from __future__ import annotations

import importlib
import mmap
import resource
import signal
import sys
import time
import tracemalloc
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.fuzz.inputs import BYTES_MAX, inputs
from tests.fuzz.probe import FindingError, probe
from tests.fuzz.targets import Target

FOUND = 3
#: A reader that computes so long over one input never returns.
HANG_S = 30.0
#: Beyond this an allocation fails: far more than the bounds of a probe, far less than a machine has.
ADDRESS_SPACE_BYTES = 4 * 1024**3
_EXAMPLES = 300


class Current:
    """The input under way, in a file that survives this process."""

    def __init__(self, file: Path) -> None:
        with file.open("r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 8 + 8 + BYTES_MAX)
        self.tried = 0

    def put(self, data: bytes) -> None:
        self.tried += 1
        data = data[:BYTES_MAX]
        self._map[: 16 + len(data)] = self.tried.to_bytes(8) + len(data).to_bytes(8) + data

    @staticmethod
    def make(file: Path) -> None:
        file.write_bytes(bytes(16 + BYTES_MAX))

    @staticmethod
    def read(file: Path) -> tuple[int, bytes]:
        """How many inputs were tried, and the last of them."""
        raw = file.read_bytes()
        return int.from_bytes(raw[:8]), raw[16 : 16 + int.from_bytes(raw[8:16])]


class EnoughError(BaseException):
    """Passes through Hypothesis at once: making a slow input small would try it again a hundred times."""

    def __init__(self, finding: FindingError) -> None:
        self.finding = finding
        super().__init__(str(finding))


def explore(target: Target, current: Current, seconds: float, first_seed: int) -> FindingError | None:
    """Rounds of Hypothesis with one seed each until the time is up or something is found; that is made small."""
    deadline, number = time.monotonic() + seconds, first_seed * 1_000_003
    while time.monotonic() < deadline:
        number += 1

        @seed(number)
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            derandomize=False,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=False,
        )
        @given(inputs(target.seeds))
        def one(data: bytes) -> None:
            if time.monotonic() > deadline + HANG_S:
                return  # no endless shrinking either
            attempt(target, current, data)

        try:
            one()
        except FindingError as error:
            return error
        except EnoughError as error:
            return error.finding
    return None


def attempt(target: Target, current: Current, data: bytes) -> None:
    current.put(data)
    signal.setitimer(
        signal.ITIMER_PROF, HANG_S
    )  # without a handler its signal ends the process, also inside C code
    try:
        probe(target, data)
    except FindingError as error:
        if error.slow:
            raise EnoughError(error) from error
        raise


def follow_coverage(target: Target, current: Current, seconds: float, first_seed: int) -> FindingError | None:
    """The same with atheris, which ends the process by itself; a finding is written to CURRENT before."""
    atheris = importlib.import_module("atheris")  # not among our requirements

    def one(data: bytes) -> None:
        try:
            attempt(target, current, data)
        except (FindingError, EnoughError) as error:
            sys.stdout.write(f"{error}\n")
            sys.stdout.flush()
            sys.exit(FOUND)

    arguments = [
        sys.argv[0],
        f"-max_total_time={int(seconds)}",
        f"-seed={first_seed + 1}",
        f"-max_len={BYTES_MAX}",
    ]
    atheris.instrument_all()
    atheris.Setup(arguments, one)
    atheris.Fuzz()
    return None


def main() -> int:
    from tests.fuzz.catalogue import target_of

    name, seconds, first_seed, engine, file = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE_BYTES, ADDRESS_SPACE_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    target, current = target_of(name), Current(Path(file))
    tracemalloc.start()
    for data in target.seeds:  # what honest bytes load once is nobody's finding
        target.read(data)
    run = follow_coverage if engine == "atheris" else explore
    found = run(target, current, float(seconds), int(first_seed))
    if found is None:
        return 0
    sys.stdout.write(f"{found}\n")
    return FOUND


if __name__ == "__main__":
    sys.exit(main())
