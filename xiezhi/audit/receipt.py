"""Writes a receipt: one canonical file that proves an alert offline. `verify_receipt.py` reads it and shares no code.

The full variant opens the alert and the digests of its evidence; the redacted one shows places and times alone, and of
restricted records not even those. Neither shows more of a record of evidence than the alert does: of its three
commitments only the one to the value is opened, whose digest the alert states. Format: docs/reference/receipt.md.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xiezhi.audit.leaf import field_salt, header_bytes
from xiezhi.audit.merkle import leaf_hash
from xiezhi.audit.verify_receipt import FILE_BYTES_MAX, FORMAT
from xiezhi.errors import AuditError
from xiezhi.log import RawRecord


@dataclass(frozen=True, slots=True)
class LoggedLeaf:
    """A leaf and its proof. `log` counts back from the log of the checkpoint, which is 0."""

    log: int
    index: int
    entry: bytes
    salt: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class LoggedRecord:
    """A record as Kafka holds it, and its leaf."""

    record: RawRecord
    leaf: LoggedLeaf


@dataclass(frozen=True, slots=True)
class Evidence:
    """The leaf of a record that the alert rests on. `restricted`: the record's contract lets nobody read it."""

    leaf: LoggedLeaf
    restricted: bool


@dataclass(frozen=True, slots=True)
class Opening:
    """The first leaf of a log that continues an earlier one, with its proof."""

    entry: bytes
    proof: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a receipt is made of. `earlier` are the openings from the newest log on backwards."""

    checkpoint: bytes
    earlier: Sequence[Opening]
    alert: LoggedRecord
    activation: LoggedRecord
    evidence: Sequence[Evidence]
    schemas: Mapping[str, Mapping[str, Any]]  # topic → the schema that its value was written with


def full_receipt(case: Case) -> bytes:
    """With the alert's content and the salts that open it. Raises AuditError when it would be too large."""
    evidence = [
        {**_leaf(each.leaf), "salt": field_salt(each.leaf.salt, b"value").hex()} for each in case.evidence
    ]
    alert = _opened(case.alert, ("headers", "key", "value"))
    return _encoded(_receipt("full", case, alert, evidence, dict(case.schemas)))


def redacted_receipt(case: Case) -> bytes:
    """Without subject, key, ids, explanation, digests and salts; the rule and the places remain."""
    once = {
        (each.leaf.log, each.leaf.index): each for each in case.evidence
    }  # however often the alert names it
    evidence = [_hidden(each.leaf) if each.restricted else _leaf(each.leaf) for each in once.values()]
    activation = case.activation.record.topic
    schemas = {activation: case.schemas[activation]}
    return _encoded(_receipt("redacted", case, _leaf(case.alert.leaf), evidence, schemas))


def canonical(value: Any) -> bytes:
    """JSON with one spelling, and a newline at the end."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return f"{text}\n".encode()


def _receipt(
    variant: str,
    case: Case,
    alert: Mapping[str, Any],
    evidence: Sequence[Mapping[str, Any]],
    schemas: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "activation": _opened(case.activation, ("value",)),
        "alert": alert,
        "checkpoint": case.checkpoint.decode(),
        "earlier": [{"leaf": each.entry.decode(), "proof": _proof(each.proof)} for each in case.earlier],
        "evidence": evidence,
        "format": FORMAT,
        "schemas": schemas,
        "variant": variant,
    }


def _leaf(leaf: LoggedLeaf) -> dict[str, Any]:
    return {"index": leaf.index, "leaf": leaf.entry.decode(), "log": leaf.log, "proof": _proof(leaf.proof)}


def _hidden(leaf: LoggedLeaf) -> dict[str, Any]:
    """That something was logged: the commitments in the leaf are salted, so its hash tells nothing."""
    return {
        "hash": leaf_hash(leaf.entry).hex(),
        "index": leaf.index,
        "log": leaf.log,
        "proof": _proof(leaf.proof),
    }


def _opened(logged: LoggedRecord, fields: Sequence[str]) -> dict[str, Any]:
    record = logged.record
    contents = {"key": record.key, "value": record.value, "headers": header_bytes(record.headers)}
    opened = {
        name: {
            "bytes": _base64(contents[name] or b""),
            "salt": field_salt(logged.leaf.salt, name.encode()).hex(),
        }
        for name in fields
    }
    return {**_leaf(logged.leaf), "opened": opened}


def _proof(hashes: Sequence[bytes]) -> str:
    return _base64(b"".join(hashes))


def _base64(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _encoded(receipt: Mapping[str, Any]) -> bytes:
    data = canonical(receipt)
    if len(data) > FILE_BYTES_MAX:
        raise AuditError(
            f"the receipt would have {len(data)} bytes, more than the {FILE_BYTES_MAX} that a verifier reads: the "
            "alert rests on too many records for one file"
        )
    return data
