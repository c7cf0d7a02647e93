"""One statement on its way to the bus: what a department publishes, before envelope and encoding."""

from __future__ import annotations

from dataclasses import dataclass

from xiezhi.contracts.base import Contract, Record

_SOURCE = "urn:xiezhi:synthetic:province"


@dataclass(frozen=True, slots=True)
class Publication:
    """A record of one contract in one version; `record` is None when the department withdraws it."""

    contract: Contract
    record: Record | None
    record_id: str
    occurred_ms: int
    version: int
    jurisdiction: str

    @property
    def source(self) -> str:
        """The `ce_source` that says of every record that it is made up."""
        return source_of(self.contract.owner)


def source_of(owner: str) -> str:
    """`urn:xiezhi:synthetic:province:<owner>`."""
    return f"{_SOURCE}:{owner}"
