"""Writes `xiezhi/local/artefacts.toml`: the Maven artefacts of the local stack with their sha256.

Run it (`python -m deploy.lock_artefacts`) when a version below changes, read the diff, commit it. It is the
only place that resolves dependencies: a user's machine fetches exactly what the lock names, or refuses.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path

from jgo.maven import Artifact, MavenContext

from xiezhi.local.artefacts import LOCK

KAFKA = "4.3.1"
LOG4J = "2.25.3"
APICURIO = "3.3.3"

#: `kafka-clients` is named although it is a dependency: beside a log binding the resolver picks 3.9.1.
BROKER = (
    f"org.apache.kafka:kafka_2.13:{KAFKA}",
    f"org.apache.kafka:kafka-clients:{KAFKA}",
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J}",
    f"org.apache.logging.log4j:log4j-core:{LOG4J}",
)
HEADER = "# Written by deploy/lock_artefacts.py; do not edit.\n"


def broker_artifacts(maven: MavenContext) -> Iterator[Artifact]:
    """Kafka, its log binding and everything they need at run time."""
    asked = [maven.create_dependency(coordinate) for coordinate in BROKER]
    inputs, transitive = maven.resolver.resolve(asked)
    for dependency in [*inputs, *transitive]:
        if dependency.scope in (None, "compile", "runtime"):
            yield dependency.artifact


def registry_artifacts(maven: MavenContext) -> Iterator[Artifact]:
    """The registry with all its dependencies in one archive."""
    yield maven.project("io.apicurio", "apicurio-registry-app").at_version(APICURIO).artifact("all", "tar.gz")


def entry(part: str, artifact: Artifact) -> str:
    path: Path = artifact.resolve()
    content = path.read_bytes()
    fields = {
        "part": part,
        "group": artifact.groupId,
        "name": artifact.artifactId,
        "version": artifact.version,
        "classifier": artifact.classifier,
        "packaging": artifact.packaging,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    lines = [f'{key} = "{value}"' for key, value in fields.items() if value]
    return "\n".join(["[[artefact]]", *lines, f"bytes = {len(content)}", ""])


def main() -> int:
    maven = MavenContext()
    entries = [entry("broker", artifact) for artifact in broker_artifacts(maven)]
    entries += [entry("registry", artifact) for artifact in registry_artifacts(maven)]
    LOCK.write_text("\n".join([HEADER, *sorted(entries)]), "utf-8")
    sys.stdout.write(f"{LOCK}: {len(entries)} artefacts\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
