"""The registry interface on the real registry."""

from __future__ import annotations

import pytest

from tests.contract.registry_suite import RegistrySuite, schema
from xiezhi.errors import RegistryUnavailableError
from xiezhi.local.stack import LocalStack
from xiezhi.registry import ConfluentRegistry, Registry


class TestConfluentRegistry(RegistrySuite):
    @pytest.fixture
    def registry(self, stack: LocalStack) -> Registry:
        return ConfluentRegistry(stack.registry_url)


def test_a_stopped_registry_is_unavailable_and_then_answers_again(stack: LocalStack) -> None:
    registry = ConfluentRegistry(stack.registry_url, timeout_s=2)
    schema_id = registry.register("stopped-registry-value", schema())
    stack.stop_registry()
    try:
        with pytest.raises(RegistryUnavailableError):
            ConfluentRegistry(stack.registry_url, timeout_s=2).schema(schema_id)
    finally:
        stack.start_registry()
    assert registry.latest("stopped-registry-value").id == schema_id
