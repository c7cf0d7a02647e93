"""Schema registries: the interface, a client of the Confluent REST dialect and a double for tests.

Schemas and ids never change once registered, so callers may keep them for ever. Services only read;
registering is for `xiezhi contracts apply`. A registry that cannot be reached is a reason to wait, never to give
up a record: only its own definitive "not found" says that a schema does not exist.
"""

from __future__ import annotations

import json
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self, TypeVar

import avro.schema
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from xiezhi.errors import (
    ConfigurationError,
    IncompatibleSchemaError,
    RegistryUnavailableError,
    UnknownSchemaError,
)

Level = Literal[
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
]
Answer = TypeVar("Answer")

#: Error codes with which the dialect says that a subject, version, schema or subject level does not exist.
#: Any other 404 comes from a proxy or a wrong URL and must not condemn records.
_NOT_FOUND = {40401, 40402, 40403, 40408}
#: Ids are signed 32-bit integers there; asking for others would only provoke an unclear answer.
_ID_MAX = 2**31 - 1


@dataclass(frozen=True, slots=True)
class RegisteredSchema:
    """One version of a subject."""

    id: int
    subject: str
    version: int
    schema_text: str


class Registry(Protocol):
    """Where schemas live. Every call may block on the network for some seconds and may raise
    RegistryUnavailableError; nothing is cached here, see `Codec`."""

    def register(self, subject: str, schema_text: str) -> int:
        """The schema's id, new or the one it has. Raises IncompatibleSchemaError. Durable when it returns."""
        ...

    def latest(self, subject: str) -> RegisteredSchema:
        """The newest version. Raises UnknownSchemaError when the subject has none."""
        ...

    def schema(self, schema_id: int) -> str:
        """The schema with this id. Raises UnknownSchemaError only on the registry's own definitive answer."""
        ...

    def compatible(self, subject: str, schema_text: str) -> bool:
        """Whether the subject's level would let this schema in. True for a subject without versions."""
        ...

    def set_compatibility(self, subject: str | None, level: str) -> None:
        """Set the level of a subject, or the global one (None), which applies where a subject has none."""
        ...

    def compatibility(self, subject: str | None) -> str:
        """The level in force for a subject, or the global one (None)."""
        ...

    def subjects(self) -> list[str]:
        """All subjects with a version, sorted."""
        ...


class ConfluentRegistry:
    """A registry that speaks the Confluent REST dialect, e.g. Apicurio at `…/apis/ccompat/v7`."""

    def __init__(self, url: str, *, timeout_s: float = 5.0) -> None:
        self._url = url
        # Retries stay short: who waits for a registry knows better how long than this class.
        self._client = SchemaRegistryClient(
            {
                "url": url,
                "timeout": timeout_s,
                "max.retries": 2,
                "retries.wait.ms": 100,
                "retries.max.wait.ms": 1000,
            }
        )
        weakref.finalize(self, self._client.close)  # its connections end with this object

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back; the registry cannot be asked any more."""
        self._client.close()

    def register(self, subject: str, schema_text: str) -> int:
        schema = Schema(schema_text, "AVRO")
        return self._ask(
            f"register {subject}",
            lambda: int(self._client.register_schema(subject, schema, normalize_schemas=True)),
        )

    def latest(self, subject: str) -> RegisteredSchema:
        def ask() -> RegisteredSchema:
            self._client.clear_latest_caches()  # the client would remember the first answer for ever
            found = self._client.get_latest_version(subject)
            return RegisteredSchema(found.schema_id, subject, found.version, found.schema.schema_str)

        return self._ask(f"latest version of {subject}", ask)

    def schema(self, schema_id: int) -> str:
        if not 0 < schema_id <= _ID_MAX:
            raise UnknownSchemaError(f"schema id {schema_id} cannot exist")
        return self._ask(f"schema {schema_id}", lambda: str(self._client.get_schema(schema_id).schema_str))

    def compatible(self, subject: str, schema_text: str) -> bool:
        schema = Schema(schema_text, "AVRO")
        try:
            return self._ask(
                f"test {subject}",
                lambda: bool(self._client.test_compatibility_all_versions(subject, schema)),
            )
        except UnknownSchemaError:
            return True  # no versions: no reader can break

    def set_compatibility(self, subject: str | None, level: str) -> None:
        what = f"compatibility of {subject or 'all subjects'}"
        self._ask(what, lambda: self._client.set_compatibility(subject, level))

    def compatibility(self, subject: str | None) -> str:
        what = f"compatibility of {subject or 'all subjects'}"
        try:
            return self._ask(what, lambda: str(self._client.get_compatibility(subject)))
        except UnknownSchemaError:
            return self.compatibility(None)

    def subjects(self) -> list[str]:
        return self._ask("list subjects", lambda: sorted(self._client.get_subjects()))

    def _ask(self, what: str, ask: Callable[[], Answer]) -> Answer:
        try:
            return ask()
        except SchemaRegistryError as error:
            raise self._translated(what, error) from error
        except Exception as error:  # whatever the HTTP client raises, there was no answer
            raise RegistryUnavailableError(
                f"no answer from the schema registry {self._url} ({what}): {error or type(error).__name__}; "
                "start one (`make up`) or set XIEZHI_REGISTRY_URL"
            ) from error

    def _translated(self, what: str, error: SchemaRegistryError) -> Exception:
        message = (
            f"schema registry {self._url}, {what}: {error.error_message} (HTTP {error.http_status_code})"
        )
        if error.http_status_code == 404 and error.error_code in _NOT_FOUND:
            return UnknownSchemaError(message)
        if error.http_status_code in (409, 422):
            return IncompatibleSchemaError(message)
        if error.http_status_code in (401, 403):
            return ConfigurationError(message)
        return RegistryUnavailableError(message)


class InMemoryRegistry:
    """A registry in this process, for tests: same ids for same content, real compatibility checks."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}  # canonical text -> id
        self._texts: dict[int, str] = {}
        self._versions: dict[str, list[int]] = {}  # subject -> ids, oldest first
        self._levels: dict[str | None, str] = {None: "NONE"}

    def register(self, subject: str, schema_text: str) -> int:
        canonical = _canonical(schema_text)
        known = self._versions.get(subject, [])
        if self._ids.get(canonical) in known:
            return self._ids[canonical]
        if not self.compatible(subject, schema_text):
            raise IncompatibleSchemaError(f"{subject}: readers would break ({self.compatibility(subject)})")
        schema_id = self._ids.setdefault(canonical, len(self._ids) + 1)
        self._texts[schema_id] = schema_text
        self._versions.setdefault(subject, []).append(schema_id)
        return schema_id

    def latest(self, subject: str) -> RegisteredSchema:
        versions = self._versions.get(subject)
        if not versions:
            raise UnknownSchemaError(f"subject {subject} is not registered")
        return RegisteredSchema(versions[-1], subject, len(versions), self._texts[versions[-1]])

    def schema(self, schema_id: int) -> str:
        try:
            return self._texts[schema_id]
        except KeyError:
            raise UnknownSchemaError(f"schema id {schema_id} is not registered") from None

    def compatible(self, subject: str, schema_text: str) -> bool:
        level = self.compatibility(subject)
        new = _parsed(schema_text)
        old = [_parsed(self._texts[schema_id]) for schema_id in self._versions.get(subject, [])]
        if not level.endswith("_TRANSITIVE"):
            old = old[-1:]
        backward = level.startswith(("BACKWARD", "FULL"))
        forward = level.startswith(("FORWARD", "FULL"))
        return all(
            (not backward or _can_read(new, each)) and (not forward or _can_read(each, new)) for each in old
        )

    def set_compatibility(self, subject: str | None, level: str) -> None:
        if level not in Level.__args__:  # type: ignore[attr-defined]
            raise IncompatibleSchemaError(f"{level!r} is not a compatibility level")
        self._levels[subject] = level

    def compatibility(self, subject: str | None) -> str:
        return self._levels.get(subject, self._levels[None])

    def subjects(self) -> list[str]:
        return sorted(self._versions)


def _canonical(schema_text: str) -> str:
    _parsed(schema_text)
    return json.dumps(json.loads(schema_text), sort_keys=True, separators=(",", ":"))


def _parsed(schema_text: str) -> Any:
    try:
        return avro.schema.parse(schema_text)
    except (AvroException, ValueError) as error:
        raise IncompatibleSchemaError(f"not an Avro schema: {error}") from error


def _can_read(reader: Any, writer: Any) -> bool:
    checker: Any = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call]
    checked = checker.get_compatibility(reader, writer)
    return bool(checked.compatibility is SchemaCompatibilityType.compatible)
