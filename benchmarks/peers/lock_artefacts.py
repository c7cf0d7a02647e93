"""Writes `benchmarks/peers/artefacts.toml`: the jars of the Kafka Streams programs and of their compiler, with sha256.

Run it (`python -m benchmarks.peers.lock_artefacts`) when a version below changes, read the diff, commit it.
"""

from __future__ import annotations

import sys

from jgo.maven import MavenContext

from benchmarks.peers.kafka_streams import LOCK
from deploy.lock_artefacts import KAFKA, entry

#: `kafka-clients` is named although it is a dependency, see `deploy/lock_artefacts.py`.
JARS = (
    f"org.apache.kafka:kafka-streams:{KAFKA}",
    f"org.apache.kafka:kafka-clients:{KAFKA}",
    "org.apache.avro:avro:1.12.2",
    "org.slf4j:slf4j-nop:1.7.36",
    "org.eclipse.jdt:ecj:3.43.0",
)
HEADER = "# Written by benchmarks/peers/lock_artefacts.py; do not edit.\n"


def main() -> int:
    maven = MavenContext()
    inputs, transitive = maven.resolver.resolve([maven.create_dependency(one) for one in JARS])
    kept = [one for one in (*inputs, *transitive) if one.scope in (None, "compile", "runtime")]
    entries = sorted(entry("benchmark", one.artifact) for one in kept)
    LOCK.write_text("\n".join([HEADER, *entries]), "utf-8")
    sys.stdout.write(f"{LOCK}: {len(entries)} artefacts\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
