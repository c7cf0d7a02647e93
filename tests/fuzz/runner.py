"""Starts a target's process, keeps time, and keeps what was found in the corpus."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.child import FOUND, HANG_S, Current

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"
_START_S = 120.0


@dataclass(frozen=True)
class Run:
    """One target for so many seconds."""

    target: str
    seconds: float
    seed: int = 0
    engine: str = "hypothesis"


@dataclass(frozen=True)
class Outcome:
    """How many inputs were tried, and what one of them did; "" when none did anything."""

    inputs: int
    found: str


def run_target(run: Run, corpus: Path = CORPUS) -> Outcome:
    """Blocks until the process has ended; what it found is in `corpus` when this returns."""
    with tempfile.TemporaryDirectory() as folder:
        current = Path(folder) / "current"
        Current.make(current)
        arguments = (run.target, str(run.seconds), str(run.seed), run.engine, str(current))
        ended = subprocess.run(
            [sys.executable, "-m", "tests.fuzz.child", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_START_S + run.seconds + 4 * HANG_S,
            check=False,
        )
        tried, data = Current.read(current)
    if ended.returncode == 0:
        return Outcome(tried, "")
    if tried == 0:
        raise RuntimeError(f"{run.target} did not start: {ended.stderr[-2000:]}")
    said = ended.stdout.strip().splitlines()[-1:] if ended.returncode == FOUND else _last_words(ended)
    return Outcome(tried, f"{' '.join(said)} → {keep(corpus, run.target, data).relative_to(corpus.parent)}")


def _last_words(ended: subprocess.CompletedProcess[str]) -> list[str]:
    """Of a process that was killed by an input: the signal, or that it hung."""
    hung = ended.returncode == -signal.SIGPROF
    return [f"hung for {HANG_S:.0f} s" if hung else f"the process ended with {ended.returncode}"]


def keep(corpus: Path, target: str, data: bytes) -> Path:
    """The file of an input, made when it is new."""
    file = corpus / target / f"{hashlib.sha256(data).hexdigest()[:16]}.bin"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data)
    return file
