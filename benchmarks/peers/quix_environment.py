"""The environment in which Quix Streams runs: made once, below `.venv`, from `quix-requirements.txt`."""

from __future__ import annotations

import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path

from xiezhi.errors import StackError

REQUIREMENTS = Path(__file__).with_name("quix-requirements.txt")
FOLDER = Path(sys.prefix) / "quix"
INSTALL_TIMEOUT_S = 600.0


def python(say: Callable[[str], None]) -> Path:
    """Its interpreter; the first call needs a package index. Raises StackError."""
    program, ready = FOLDER / "bin" / "python", FOLDER / "requirements.txt"
    wanted = REQUIREMENTS.read_text("utf-8")
    if not ready.exists() or ready.read_text("utf-8") != wanted:
        say(f"making an environment for Quix Streams in {FOLDER}")
        venv.create(FOLDER, clear=True, with_pip=False)
        pip = (sys.executable, "-m", "pip", "--python", str(program), "install", "--quiet")
        done = subprocess.run(
            [*pip, "--disable-pip-version-check", "-r", str(REQUIREMENTS)],
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_TIMEOUT_S,
        )
        if done.returncode != 0:
            raise StackError(f"pip could not install {REQUIREMENTS.name}: {done.stderr.strip()[-500:]}")
        ready.write_text(wanted, "utf-8")
    return program


def versions(program: Path) -> dict[str, str]:
    """Of Quix Streams and of the client it stands on."""
    ask = "from importlib.metadata import version as v; print(v('quixstreams'), v('confluent-kafka'))"
    quix, client = subprocess.check_output([program, "-c", ask], text=True).split()
    return {"quixstreams": quix, "its confluent-kafka": client}
