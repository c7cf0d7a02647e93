"""Asks a warm process to explore targets, and keeps what was found in the corpus."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.fuzz.child import FOUND, HANG_S, Current, Run

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"


@dataclass(frozen=True)
class Outcome:
    """How many inputs were tried, and what one of them did; "" when none did anything."""

    inputs: int
    found: str


class Runner:
    """The warm process, asked for one target after the other."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, run: Run, corpus: Path = CORPUS) -> Outcome:
        """Blocks until the child has ended; what it found is in `corpus` when this returns."""
        with tempfile.TemporaryDirectory() as folder:
            current, said = Path(folder) / "current", Path(folder) / "said"
            Current.make(current)
            code = self._ask({"run": asdict(run), "current": str(current), "said": str(said)})
            tried, data = Current.read(current)
            words = said.read_text("utf-8") if said.exists() else ""
        if code == 0:
            return Outcome(tried, "")
        if tried == 0:
            raise RuntimeError(f"{run.target} did not start (exit code {code})")
        what = words if code == FOUND else _last_words(code)
        return Outcome(tried, f"{what} → {keep(corpus, run.target, data).relative_to(corpus.parent)}")

    def _ask(self, asked: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the warm process ended with exit code {self._process.wait()}")
        return int(answer)


@contextmanager
def runner() -> Iterator[Runner]:
    """A warm process for as long as the block lasts."""
    command = [sys.executable, "-m", "tests.fuzz.warm"]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Runner(process)  # leaving closes its input, which ends it


def _last_words(code: int) -> str:
    """Of a process that was ended by an input: that it hung, or by which signal."""
    return f"hung for {HANG_S:.0f} s" if code == -signal.SIGPROF else f"the process ended with {code}"


def keep(corpus: Path, target: str, data: bytes) -> Path:
    """The file of an input, made when it is new."""
    file = corpus / target / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file
