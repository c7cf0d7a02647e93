"""What every registry must do. Run on the double in tests/contract and on the real one in tests/integration.

Subject names are new for each test, since a real registry keeps what it was told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from xiezhi.errors import IncompatibleSchemaError, UnknownSchemaError
from xiezhi.registry import Registry

_numbers = count()


def schema(*fields: dict[str, Any], name: str = "Thing") -> str:
    return json.dumps(
        {
            "type": "record",
            "name": name,
            "namespace": "xiezhi.test",
            "doc": "A thing of tests.",
            "fields": [{"name": "record_id", "type": "string", "doc": "key"}, *fields],
        }
    )


def optional(name: str) -> dict[str, Any]:
    return {"name": name, "type": ["null", "long"], "default": None, "doc": name, "confluent:tags": ["PII"]}


def required(name: str) -> dict[str, Any]:
    return {"name": name, "type": "long", "doc": name}


class RegistrySuite:
    """Mix into a test class that has a `registry` fixture."""

    @pytest.fixture
    def subject(self, request: pytest.FixtureRequest) -> str:
        return f"suite-{type(self).__name__}.{request.node.name[:40]}.n{next(_numbers)}-value"

    @pytest.fixture
    def full(self, registry: Registry) -> Iterator[None]:
        """The global level of the bus, as `contracts apply` sets it."""
        before = registry.compatibility(None)
        registry.set_compatibility(None, "FULL_TRANSITIVE")
        yield
        registry.set_compatibility(None, before)

    def test_a_registered_schema_is_found_by_id_and_as_the_latest(
        self, registry: Registry, subject: str
    ) -> None:
        text = schema(optional("a"))
        schema_id = registry.register(subject, text)
        latest = registry.latest(subject)
        assert (latest.id, latest.subject, latest.version) == (schema_id, subject, 1)
        assert json.loads(latest.schema_text) == json.loads(text)
        assert json.loads(registry.schema(schema_id)) == json.loads(text)
        assert subject in registry.subjects()

    def test_registering_again_in_another_layout_gives_the_same_id_and_no_new_version(
        self, registry: Registry, subject: str
    ) -> None:
        text = schema(optional("a"))
        first = registry.register(subject, text)
        assert registry.register(subject, json.dumps(json.loads(text), indent=4)) == first
        assert registry.latest(subject).version == 1

    def test_one_schema_under_two_subjects_has_one_id(self, registry: Registry, subject: str) -> None:
        text = schema(optional(f"only_{next(_numbers)}"))
        assert registry.register(subject, text) == registry.register(f"other-{subject}", text)

    def test_an_unknown_subject_is_a_definitive_answer(self, registry: Registry, subject: str) -> None:
        with pytest.raises(UnknownSchemaError):
            registry.latest(subject)

    @pytest.mark.parametrize("schema_id", [0, 2_000_000_000, 2**31, 2**32 - 1])
    def test_an_unknown_id_is_a_definitive_answer(self, registry: Registry, schema_id: int) -> None:
        with pytest.raises(UnknownSchemaError):
            registry.schema(schema_id)

    def test_a_compatible_schema_becomes_the_next_version(
        self, registry: Registry, subject: str, full: None
    ) -> None:
        first = registry.register(subject, schema())
        newer = schema(optional("a"))
        assert registry.compatible(subject, newer)
        second = registry.register(subject, newer)
        assert second != first
        assert (registry.latest(subject).id, registry.latest(subject).version) == (second, 2)
        assert json.loads(registry.schema(first)) == json.loads(schema())

    @pytest.mark.parametrize("breaking", [required("a"), {**required("record_id_2")}])
    def test_a_schema_that_breaks_readers_is_refused(
        self, registry: Registry, subject: str, full: None, breaking: dict[str, Any]
    ) -> None:
        registry.register(subject, schema())
        assert not registry.compatible(subject, schema(breaking))
        with pytest.raises(IncompatibleSchemaError):
            registry.register(subject, schema(breaking))
        assert registry.latest(subject).version == 1

    def test_a_schema_is_held_against_every_earlier_version(
        self, registry: Registry, subject: str, full: None
    ) -> None:
        registry.register(subject, schema(optional("a")))
        registry.register(subject, schema())
        changed_type = schema(
            {"name": "a", "type": ["null", "string"], "default": None, "doc": "a, but text"}
        )
        assert not registry.compatible(subject, changed_type)

    def test_an_internal_subject_may_change_backwards_only(
        self, registry: Registry, subject: str, full: None
    ) -> None:
        registry.register(subject, schema(required("a")))
        assert not registry.compatible(subject, schema())  # FULL: old readers need the field
        registry.set_compatibility(subject, "BACKWARD_TRANSITIVE")
        assert registry.compatibility(subject) == "BACKWARD_TRANSITIVE"
        assert registry.compatible(subject, schema())

    def test_without_a_level_of_its_own_the_global_one_counts(
        self, registry: Registry, subject: str, full: None
    ) -> None:
        assert registry.compatibility(None) == "FULL_TRANSITIVE"
        assert registry.compatibility(subject) == "FULL_TRANSITIVE"

    def test_nothing_breaks_where_nothing_is_registered(
        self, registry: Registry, subject: str, full: None
    ) -> None:
        assert registry.compatible(subject, schema())

    def test_what_is_not_avro_is_refused(self, registry: Registry, subject: str) -> None:
        with pytest.raises(IncompatibleSchemaError):
            registry.register(subject, '{"type": "no such type"}')
        with pytest.raises(UnknownSchemaError):
            registry.latest(subject)
