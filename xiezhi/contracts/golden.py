"""Golden bytes: for every version a schema ever had, one record as it was written then.

The log keeps records for ever, so a reader of today must decode them all; tests do it. A file holds the schema
text of its version, the plain Avro body (no Confluent frame) in hex, and the value that must come out. Bytes inside a
value are written as Avro's JSON encoding does, one character per byte. An existing file is never rewritten.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fastavro import schemaless_reader, schemaless_writer

from xiezhi.contracts.avro import parse
from xiezhi.contracts.base import Contract
from xiezhi.contracts.examples import valid_record


@dataclass(frozen=True)
class Golden:
    """One record in one version of a contract's schema."""

    schema: dict[str, Any]
    body: bytes
    value: dict[str, Any]

    def decode(self, reader_schema: dict[str, Any] | None = None) -> Any:
        """The body read with its own schema, or as a reader with `reader_schema` sees it."""
        reader = None if reader_schema is None else parse(reader_schema)
        return jsonable(schemaless_reader(io.BytesIO(self.body), parse(self.schema), reader))


def jsonable(value: Any) -> Any:
    """The value with bytes as text, one character per byte (Avro's JSON encoding)."""
    return json.loads(json.dumps(value, default=lambda raw: raw.decode("latin-1")))


def take(contract: Contract) -> Golden:
    """The contract's valid example, written with the schema of today."""
    value = valid_record(contract).model_dump()
    body = io.BytesIO()
    schemaless_writer(body, parse(contract.schema), value)
    return Golden(contract.schema, body.getvalue(), jsonable(value))


def load(contract: Contract) -> dict[int, Golden]:
    """Every golden of a contract by schema version, oldest first."""
    pattern = re.compile(rf"{re.escape(contract.record)}\.v([1-9][0-9]*)\.json")
    matches = (pattern.fullmatch(path.name) for path in _folder(contract).glob("*.json"))
    versions = sorted(int(match[1]) for match in matches if match)
    return {version: _read(_path(contract, version)) for version in versions}


def is_current(contract: Contract) -> bool:
    """Whether the newest golden was written with the schema as it stands in the tree."""
    goldens = load(contract)
    return bool(goldens) and goldens[max(goldens)].schema == contract.schema


def add(contract: Contract) -> Path:
    """Writes the next version's golden; raises FileExistsError rather than touch a version that exists."""
    golden = take(contract)
    path = _path(contract, max(load(contract), default=0) + 1)
    path.parent.mkdir(exist_ok=True)
    content = {"hex": golden.body.hex(), "value": golden.value, "schema": golden.schema}
    with path.open("x", encoding="utf-8") as file:
        json.dump(content, file, ensure_ascii=False, indent=2)
        file.write("\n")
    return path


def _folder(contract: Contract) -> Path:
    return contract.folder / "golden"


def _path(contract: Contract, version: int) -> Path:
    return _folder(contract) / f"{contract.record}.v{version}.json"


def _read(path: Path) -> Golden:
    content = json.loads(path.read_text("utf-8"))
    return Golden(content["schema"], bytes.fromhex(content["hex"]), content["value"])
