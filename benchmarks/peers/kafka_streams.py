"""Kafka Streams as a peer: its jars, fetched as the local stack fetches its own, and the compiled program.

The Java runtime is the one that runs the broker; it has no compiler, so that of Eclipse, a jar, compiles.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from xiezhi.errors import StackError
from xiezhi.local.artefacts import fetch, pinned
from xiezhi.local.java import class_path, java_argv
from xiezhi.local.settings import LocalSettings

LOCK = Path(__file__).with_name("artefacts.toml")
SOURCE = Path(__file__).with_name("KafkaStreamsPeer.java")
COMPILER = "ecj"
#: Bytecode that every runtime which can run the broker reads.
RELEASE = "21"
HEAP_MB = 512
COMPILE_TIMEOUT_S = 120.0


def versions() -> dict[str, str]:
    """Of the jars that matter."""
    found = {one.name: one.version for one in pinned("benchmark", LOCK)}
    return {name: found[name] for name in ("kafka-streams", "rocksdbjni", "avro")}


def compiled(folder: Path, say: Callable[[str], None]) -> tuple[str, ...]:
    """The program in `folder`, ready to be followed by its arguments. Raises ConfigurationError or StackError."""
    jars = fetch(pinned("benchmark", LOCK), LocalSettings(), say)
    (compiler,) = (jar for jar in jars if jar.name.startswith(f"{COMPILER}-"))
    needed = class_path([jar for jar in jars if jar is not compiler])
    arguments = ("-jar", str(compiler), "-proc:none", "-nowarn", f"-{RELEASE}", "-cp", needed)
    argv = java_argv(heap_mb=256, run=(*arguments, "-d", str(folder), str(SOURCE)))
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=COMPILE_TIMEOUT_S)
    if done.returncode != 0:
        raise StackError(f"{SOURCE.name} does not compile: {(done.stderr or done.stdout).strip()[-2000:]}")
    return java_argv(heap_mb=HEAP_MB, run=("-cp", f"{folder}:{needed}", SOURCE.stem))
