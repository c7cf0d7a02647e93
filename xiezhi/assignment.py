"""Who of a group reads which partitions: each stays where it is, and else goes where a store of it is kept.

A partition that moves costs its new owner the reading of what its store lacks, all of the partition if it has none, so
as few as possible move and a worker that comes back gets its own. A worker has the same partition numbers of all
topics, so that every topic is spread over all workers alike; their counts differ by at most one.

`share` decides, a pure function; `StoresAssignor` is what aiokafka's group protocol asks. Only the leader's answer
counts, whichever it is: it is no matter of correctness who reads what.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata


@dataclass(frozen=True, slots=True)
class Claim:
    """Partition numbers of one member: those it reads now, and those of which it keeps a store."""

    open: frozenset[int] = frozenset()
    kept: frozenset[int] = frozenset()

    def to_bytes(self) -> bytes:
        return json.dumps({"open": sorted(self.open), "kept": sorted(self.kept)}).encode()

    @classmethod
    def from_bytes(cls, raw: bytes) -> Claim:
        """A member that says something else claims nothing."""
        try:
            said = json.loads(raw)
            return cls(*(frozenset(int(one) for one in said[name]) for name in ("open", "kept")))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return cls()


def share(partitions: int, claims: Mapping[str, Claim]) -> dict[int, str]:
    """Number → member, of all numbers below `partitions`. Needs a member."""
    least, more = divmod(partitions, len(claims))
    held = dict.fromkeys(sorted(claims), 0)
    found: dict[int, str] = {}

    def give(number: int, willing: Collection[str]) -> None:
        """To the one that has the fewest, if there is room."""
        room = least + (sum(count > least for count in held.values()) < more)
        member = min(willing, key=held.__getitem__, default=None)
        if member is not None and held[member] < room:
            held[member] += 1
            found[number] = member

    def kept_by_another(number: int) -> bool:
        return any(number in claim.kept and number not in claim.open for claim in claims.values())

    # Who has too many gives up what another keeps a store of.
    for number in sorted(range(partitions), key=lambda one: (kept_by_another(one), one)):
        give(number, [one for one in held if number in claims[one].open])
    for number in sorted(set(range(partitions)) - found.keys()):
        give(number, [one for one in held if number in claims[one].kept])
    for number in sorted(set(range(partitions)) - found.keys()):
        give(number, held)
    return found


class StoresAssignor(AbstractPartitionAssignor):  # type: ignore[misc] # aiokafka is untyped here
    """One member's part in the group protocol; called from the consumer's thread only."""

    name = "xiezhi-stores"
    version = 0

    def __init__(self, folder: Path) -> None:
        """`folder` is the worker's, with a folder `<topic>-<partition>` for each store that it keeps."""
        self._folder = folder
        self._open: frozenset[int] = frozenset()

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        claim = Claim(self._open, kept(self._folder))
        return ConsumerProtocolMemberMetadata(self.version, list(topics), claim.to_bytes())

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        self._open = frozenset(one.partition for one in assignment.partitions())

    def assign(
        self, cluster: Any, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """A partition goes to the member that has its number, or, if that one does not read the topic, to another."""
        readers: dict[str, list[str]] = {}
        for member, said in sorted(members.items()):
            for topic in said.subscription:
                readers.setdefault(topic, []).append(member)
        numbers = {topic: sorted(cluster.partitions_for_topic(topic) or ()) for topic in sorted(readers)}
        claims = {member: Claim.from_bytes(said.user_data) for member, said in members.items()}
        owners = share(max((one + 1 for found in numbers.values() for one in found), default=0), claims)
        given: dict[str, dict[str, list[int]]] = {member: {} for member in members}
        for topic, found in numbers.items():
            for number in found:
                owner = owners[number]
                if owner not in readers[topic]:
                    owner = readers[topic][number % len(readers[topic])]
                given[owner].setdefault(topic, []).append(number)
        return {
            member: ConsumerProtocolMemberAssignment(self.version, sorted(topics.items()), b"")
            for member, topics in given.items()
        }


def kept(folder: Path) -> frozenset[int]:
    """Partition numbers of which there is a store."""
    try:
        names = [one.name for one in folder.iterdir()]
    except FileNotFoundError:
        return frozenset()
    ends = (name.rpartition("-")[2] for name in names if "-" in name)
    return frozenset(int(end) for end in ends if end.isdecimal())
