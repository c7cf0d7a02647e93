"""The router: files every record under the keys of the joins that take it, and remembers where it is filed.

Pure of Kafka: `route` is called with one record at a time, in offset order per input partition, and returns the facts
to send. It is deterministic, so a replay sends the same facts again, and merging facts is a maximum, so that harms
nobody. A version that does not belong under a key where an earlier one was filed leaves a *left* fact there.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Sequence
from typing import NamedTuple

from streams.facts import FACT_HEADER, Filing, Presence, fact_key
from streams.kernel import Join, Selector, Statement
from streams.records import Guard, Withdrawal, filing_keys
from xiezhi.contracts.naming import RELATION
from xiezhi.errors import ConfigurationError
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore

_ROW = b""  # one row per record: its standing rank and the keys it is filed under
_SEPARATOR = "\x1f"


class OutgoingFact(NamedTuple):
    """One record for the fact topic."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes | None]]


class _Filed(NamedTuple):
    """Where one record stands: the rank of the version that stands, and the keys it is filed under."""

    rank: tuple[int, int, str, str]
    keys: tuple[str, ...]

    def to_bytes(self) -> bytes:
        version, occurred_ms, event_id, digest = self.rank
        return _SEPARATOR.join((str(version), str(occurred_ms), event_id, digest, *self.keys)).encode()

    @classmethod
    def from_bytes(cls, row: bytes) -> _Filed:
        version, occurred_ms, event_id, digest, *keys = row.decode().split(_SEPARATOR)
        return cls((int(version), int(occurred_ms), event_id, digest), tuple(keys))


class Router:
    """Files the records of one input partition. `store` holds what it remembers of that partition."""

    def __init__(self, joins: Sequence[Join], guard: Guard, store: KeyedStore) -> None:
        self._inputs = _inputs_by_type(joins)
        self._guard = guard
        self.store = store

    def route(self, raw: RawRecord, routed_ms: int) -> list[OutgoingFact]:
        """Facts that `raw` gives rise to; raises BadRecordError for the dead letters. Writes to the current batch."""
        record = self._guard.admit(raw)
        view = f"{raw.topic}|{record.record_id}".encode()
        held = self.store.get(view, _ROW)
        filed = _Filed.from_bytes(held) if held is not None else None
        if filed is not None and record.rank <= filed.rank:
            return []
        keys = self._keys(record)
        former = [key for key in filed.keys if key not in keys] if filed else []
        self.store.put(view, _ROW, _Filed(record.rank, tuple(keys)).to_bytes())
        return self._facts(raw, record, keys, former, routed_ms)

    def _keys(self, record: Statement | Withdrawal) -> list[str]:
        if isinstance(record, Withdrawal):
            return []
        kind = record.value["kind"] if record.record_type == RELATION else ""
        found: dict[str, None] = {}
        for join, wanted, select in self._inputs.get(record.record_type, ()):
            if wanted == kind or not wanted:
                for key in filing_keys(select, record):
                    found[fact_key(join, key)] = None
        return list(found)

    def _facts(
        self,
        raw: RawRecord,
        record: Statement | Withdrawal,
        keys: Sequence[str],
        former: Sequence[str],
        routed_ms: int,
    ) -> list[OutgoingFact]:
        facts: list[OutgoingFact] = []
        for presence, value, filed in (
            (Presence.PRESENT, raw.value or b"", keys),
            (Presence.LEFT, b"", former),
        ):
            if filed:  # seldom has anything left, and headers cost more than all the rest here
                filing = Filing(presence, record.source, record.digest, routed_ms)
                headers = [*raw.headers, (FACT_HEADER, filing.to_bytes())]
                facts += [OutgoingFact(key.encode(), value, headers) for key in filed]
        return facts


def selectors_fingerprint(joins: Sequence[Join]) -> str:
    """Changes whenever a key selector may file a record elsewhere; stores filled by other selectors are refused.

    Raises ConfigurationError for a selector whose source does not say all of what it does.
    """
    told = hashlib.sha256()
    for join in joins:
        for taken in join.inputs:
            if not inspect.isfunction(taken.keys) or taken.keys.__closure__ or taken.keys.__defaults__:
                raise ConfigurationError(
                    f"a selector of join {join.name!r} is not a plain function: its source alone must tell the keys"
                )
            told.update(f"{join.name}|{taken.record_type}|{taken.kind}|".encode())
            told.update(inspect.getsource(taken.keys).encode())
    return told.hexdigest()


def _inputs_by_type(joins: Sequence[Join]) -> dict[str, list[tuple[str, str, Selector]]]:
    grouped: dict[str, list[tuple[str, str, Selector]]] = {}
    for join in joins:
        for taken in join.inputs:
            grouped.setdefault(taken.record_type, []).append((join.name, taken.kind, taken.keys))
    return grouped
