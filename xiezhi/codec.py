"""Between values and bytes: Avro in the Confluent wire format (magic 0, schema id in 4 bytes, Avro binary).

Reading takes untrusted bytes and costs little more than fastavro alone. Logical types are left aside, so
instants and days are integers in both directions. A codec keeps every schema it has seen.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any

from fastavro import schemaless_reader, schemaless_writer
from fastavro.schema import SchemaParseException, UnknownType

from xiezhi.contracts.avro import Parsed, parse
from xiezhi.errors import (
    BadRecordError,
    ConfigurationError,
    RecordRefusedError,
    UnknownSchemaError,
    UnregisteredSubjectError,
)

if TYPE_CHECKING:
    from xiezhi.registry import Registry  # loads an HTTP client, which decoding alone does not need

_PREFIX = struct.Struct(">BI")
_WIDTHS = {"null": 0, "boolean": 1, "int": 1, "long": 1, "string": 1, "bytes": 1, "float": 4, "double": 8}


@dataclass(frozen=True, slots=True)
class _Readable:
    """A schema that was found safe to decode with, and what decoding needs to know about it."""

    name: str  # full name of the record
    parsed: Parsed
    has_floats: bool


class Codec:
    """Encodes with the latest schema of a subject, decodes with whatever schema the bytes name.

    The first use of a subject or schema id asks the registry and may block; later ones never do. Threads may
    share a codec: the worst that happens is a question asked twice.
    """

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        # By the five bytes that start a frame. Never more entries than the registry has schemas.
        self._schemas: dict[bytes, _Readable | BadRecordError] = {}
        self._writers: dict[str, tuple[bytes, _Readable]] = {}  # by subject
        self._names: dict[str, str] = {}  # topic -> full record name

    def prepare(self, subject: str) -> None:
        """Ask the registry now for what `encode` will need, so that it never asks later. Raises as `encode` does."""
        if subject not in self._writers:
            self._load_writer(subject)

    def encode(self, subject: str, value: Mapping[str, Any]) -> bytes:
        """Bytes of `value` under the latest schema of `subject`.

        Raises RecordRefusedError when the value does not fit it, UnregisteredSubjectError,
        RegistryUnavailableError.
        """
        prefix, schema = self._writers.get(subject) or self._load_writer(subject)
        buffer = BytesIO()
        buffer.write(prefix)
        try:
            schemaless_writer(buffer, schema.parsed, value, strict_allow_default=True)
        except (ValueError, TypeError, KeyError, OverflowError, AttributeError) as error:
            record_id = str(value.get("record_id", ""))
            reason = f"does not fit the registered schema {schema.name}: {error}"
            raise RecordRefusedError(reason, record_id=record_id) from error
        return buffer.getvalue()

    def decode(self, data: bytes) -> dict[str, Any]:
        """The value in `data`, by the schema that it names.

        Raises BadRecordError (truncated_frame, wrong_magic, undecodable_avro, trailing_bytes),
        UnknownSchemaError or RegistryUnavailableError. Time and memory are bounded by the length of `data`.
        """
        return self._read(self._schema_of(data), data)

    def decode_as(self, topic: str, data: bytes) -> dict[str, Any]:
        """Like `decode`, and BadRecordError wrong_type unless it is a record of that topic's contract.

        Raises UnregisteredSubjectError when the topic's subject has no schema.
        """
        schema = self._schema_of(data)
        expected = self._names.get(topic) or self._load_name(topic)
        if schema.name != expected:
            raise BadRecordError("wrong_type", f"{schema.name} on a topic of {expected}")
        return self._read(schema, data)

    @staticmethod
    def schema_id(data: bytes) -> int:
        """The schema id that `data` names. Raises BadRecordError (truncated_frame, wrong_magic)."""
        if len(data) < 5:
            raise BadRecordError("truncated_frame", f"{len(data)} bytes; a frame starts with 5")
        magic, schema_id = _PREFIX.unpack_from(data)
        if magic != 0:
            raise BadRecordError("wrong_magic", f"first byte is {magic}, expected 0")
        return int(schema_id)

    def _schema_of(self, data: bytes) -> _Readable:
        schema = self._schemas.get(data[:5])
        if schema is None:
            schema_id = self.schema_id(data)
            schema = self._load(schema_id, self._registry.schema(schema_id))
        if isinstance(schema, BadRecordError):
            raise BadRecordError(schema.reason, schema.detail)
        return schema

    def _read(self, schema: _Readable, data: bytes) -> dict[str, Any]:
        stream = BytesIO(data)
        stream.seek(5)
        try:
            value: dict[str, Any] = schemaless_reader(stream, schema.parsed)
        except Exception as error:  # whatever the decoder raises, the bytes are at fault
            raise BadRecordError("undecodable_avro", f"{schema.name}: {type(error).__name__}") from error
        if stream.tell() != len(data):
            raise BadRecordError(
                "trailing_bytes", f"{schema.name}: {len(data) - stream.tell()} bytes too many"
            )
        if schema.has_floats and not _is_finite(value):
            raise BadRecordError("undecodable_avro", f"{schema.name}: a number is not finite")
        return value

    def _load(self, schema_id: int, schema_text: str) -> _Readable | BadRecordError:
        try:
            loaded: _Readable | BadRecordError = _readable(schema_text)
        except (SchemaParseException, UnknownType, ValueError, KeyError, TypeError, RecursionError) as error:
            loaded = BadRecordError("undecodable_avro", f"schema {schema_id} is not one we read: {error}")
        self._schemas[_PREFIX.pack(0, schema_id)] = loaded
        return loaded

    def _load_writer(self, subject: str) -> tuple[bytes, _Readable]:
        try:
            latest = self._registry.latest(subject)
        except UnknownSchemaError as error:
            raise UnregisteredSubjectError(
                f"subject {subject} is not in the schema registry; run `xiezhi contracts apply` first"
            ) from error
        schema = self._load(latest.id, latest.schema_text)
        if isinstance(schema, BadRecordError):
            raise ConfigurationError(f"subject {subject}: {schema.detail}")
        self._writers[subject] = writer = (_PREFIX.pack(0, latest.id), schema)
        return writer

    def _load_name(self, topic: str) -> str:
        subject = f"{topic}-value"
        _, schema = self._writers.get(subject) or self._load_writer(subject)
        self._names[topic] = schema.name
        return schema.name


def _readable(schema_text: str) -> _Readable:
    """Parse a schema and refuse, as ValueError, what hostile bytes could turn into a hang or a crash."""
    parsed = parse(schema_text)
    if not isinstance(parsed, dict) or parsed.get("type") != "record":
        raise ValueError("expected a record")
    _narrowest(parsed, {})
    return _Readable(parsed["name"], parsed, has_floats=_has_floats(parsed))


def _narrowest(schema: Any, named: dict[str, int | None]) -> int:
    """Least bytes that a value of `schema` takes.

    Raises ValueError for a recursive type (fastavro's compiled reader has no depth limit: deep nesting ends
    the process) and for an array of values that take no bytes (ten bytes could declare 2**60 of them).
    """
    if isinstance(schema, list):
        return 1 + min((_narrowest(branch, named) for branch in schema), default=0)
    if isinstance(schema, str):
        width = _WIDTHS.get(schema, named.get(schema))
        if width is None:
            raise ValueError(f"type {schema} contains itself")
        return width
    kind = schema["type"]
    if kind in ("record", "error"):
        named[schema["name"]] = None  # open until its fields are known
        width = sum(_narrowest(field["type"], named) for field in schema["fields"])
    elif kind == "array":
        if _narrowest(schema["items"], named) == 0:
            raise ValueError("an array of values without bytes")
        return 1
    elif kind == "map":
        _narrowest(schema["values"], named)
        return 1  # every entry has a key, which takes at least one byte
    elif kind == "enum":
        width = 1
    elif kind == "fixed":
        width = int(schema["size"])
    else:
        return _narrowest(kind, named)
    named[schema["name"]] = width
    return width


def _has_floats(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(map(_has_floats, schema))
    if isinstance(schema, dict):
        parts = [schema.get("items"), schema.get("values"), schema.get("type")]
        return any(map(_has_floats, [*parts, *(field["type"] for field in schema.get("fields", ()))]))
    return schema in ("float", "double")


def _is_finite(value: Any) -> bool:
    """NaN differs from itself, so that a record holding one could never be told from its own repeat."""
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)
