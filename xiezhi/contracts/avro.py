"""Avro schemas as this product reads them: without logical types.

Instants and days stay the integers that were written, so that decoding is exact and a decoded value equals the
model dump that was encoded. The logical types remain in the registered schema for every other reader.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from fastavro import parse_schema

Parsed = dict[str, Any]


def without_logical_types(schema: Any) -> Any:
    """The same schema (JSON value) with every `logicalType` removed; the underlying types stay."""
    if isinstance(schema, Mapping):
        return {name: without_logical_types(part) for name, part in schema.items() if name != "logicalType"}
    if isinstance(schema, list):
        return [without_logical_types(part) for part in schema]
    return schema


def parse(schema: str | Mapping[str, Any]) -> Parsed:
    """A schema, as text or JSON object, ready for `fastavro.schemaless_reader` and `schemaless_writer`.

    Raises `fastavro.schema.SchemaParseException`, `UnknownType` or `json.JSONDecodeError` on a broken schema.
    """
    loaded = json.loads(schema) if isinstance(schema, str) else schema
    parsed: Parsed = parse_schema(without_logical_types(loaded))
    return parsed


def same_schema(one: str | Mapping[str, Any], other: str | Mapping[str, Any]) -> bool:
    """Whether two schemas say the same, docs and tags included.

    A registry may write a schema anew: other spacing, other order of properties, names short or in full.
    """
    return _with_full_names(one) == _with_full_names(other)


def _with_full_names(schema: str | Mapping[str, Any]) -> Parsed:
    full: Parsed = parse_schema(json.loads(schema) if isinstance(schema, str) else dict(schema))
    return full
