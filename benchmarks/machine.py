"""On what a measurement was made: without this a figure means nothing."""

from __future__ import annotations

import os
import platform
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path

import psutil

from xiezhi.local.artefacts import LOCK

PACKAGES = ("faust-streaming", "aiokafka", "confluent-kafka", "fastavro", "rocksdict", "cramjam")


def machine() -> dict[str, str]:
    """Processor, cores, memory, system, and how busy it was before anything was started."""
    return {
        "processor": _processor(),
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": platform.platform(),
        "load before": " ".join(f"{load:.1f}" for load in psutil.getloadavg()) + " (1, 5, 15 min)",
    }


def versions() -> dict[str, str]:
    """What was measured, and the parts it stands on."""
    found = {name: version(name) for name in PACKAGES}
    return {"xiezhi": _commit(), "Python": platform.python_version(), "Kafka": _kafka(), **found}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _kafka() -> str:
    artefacts = tomllib.loads(LOCK.read_text("utf-8"))["artefact"]
    return next(str(one["version"]) for one in artefacts if one["name"].startswith("kafka_"))


def _commit() -> str:
    """The commit that is checked out, with a plus when files differ from it; the version where there is no git."""
    git = ("git", "-C", str(Path(__file__).parent))
    try:
        commit = subprocess.check_output([*git, "rev-parse", "--short", "HEAD"], text=True).strip()
        changed = subprocess.check_output([*git, "status", "--porcelain", "--untracked-files=no"], text=True)
    except (OSError, subprocess.CalledProcessError):
        return version("xiezhi")
    return commit + ("+" if changed.strip() else "")
