"""Brings registry and broker to what the tree's contracts say, or says where they differ.

Refusals come first: nothing is registered or created while a schema would break readers or an existing topic
differs from the plan. Run again after an interruption, it does what is left.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from xiezhi.contracts.avro import same_schema
from xiezhi.contracts.base import Compatibility, Contract
from xiezhi.errors import ConfigurationError, IncompatibleSchemaError, UnknownSchemaError
from xiezhi.registry import RegisteredSchema, Registry
from xiezhi.topics import Comparison, PlannedTopic

#: Before a global level is set the registry lets every schema in, so the strictest goes first.
GLOBAL_COMPATIBILITY = Compatibility.FULL_TRANSITIVE


class TopicAdmin(Protocol):
    """What a rollout asks of the broker; see `xiezhi.topics.Topics`."""

    def compare(self, plan: Iterable[PlannedTopic]) -> Comparison: ...
    def create(self, missing: Iterable[PlannedTopic]) -> None: ...


@dataclass(frozen=True)
class Rollout:
    """The contracts and topics of a project, and where they go."""

    contracts: tuple[Contract, ...]
    plan: tuple[PlannedTopic, ...]
    registry: Registry
    topics: TopicAdmin

    def apply(self, say: Callable[[str], None]) -> int:
        """Returns the number of changes made, each told to `say` (one line) once it is durable.

        Raises IncompatibleSchemaError or ConfigurationError (an existing topic differs) before anything is
        registered or created; RegistryUnavailableError and BrokerUnavailableError at any point.
        """
        changes = 0
        for change in self._changes():
            say(change)
            changes += 1
        return changes

    def check(self) -> list[str]:
        """One line for every difference; changes nothing."""
        return [*self._registry_differences(), *self._topic_differences()]

    def _changes(self) -> Iterator[str]:
        yield from self._set_level(None, GLOBAL_COMPATIBILITY)
        changed = []
        for contract in self.contracts:
            registered = self._latest(contract)
            if registered is not None:
                yield from self._set_level(contract.subject, contract.compatibility)
            if not _same(contract, registered):
                changed.append((contract, registered))
        self._refuse_incompatible(contract for contract, _ in changed)
        missing = self._missing_topics()
        for contract, registered in changed:
            yield self._register(contract, is_new=registered is None)
        self.topics.create(missing)
        for topic in missing:
            yield f"created topic {topic.name} with {_partitions(topic)}"

    def _set_level(self, subject: str | None, level: Compatibility) -> Iterator[str]:
        if self.registry.compatibility(subject) != level:
            self.registry.set_compatibility(subject, level.value)
            yield f"set compatibility of {subject or 'all subjects'} to {level.value}"

    def _latest(self, contract: Contract) -> RegisteredSchema | None:
        try:
            return self.registry.latest(contract.subject)
        except UnknownSchemaError:
            return None

    def _refuse_incompatible(self, changed: Iterable[Contract]) -> None:
        broken = [c for c in changed if not self.registry.compatible(c.subject, _text(c))]
        if broken:
            raise IncompatibleSchemaError(
                "; ".join(_would_break(contract) for contract in broken)
                + ". Nothing was registered. Add optional fields only, or start a new major version of the record"
            )

    def _missing_topics(self) -> tuple[PlannedTopic, ...]:
        compared = self.topics.compare(self.plan)
        if compared.differences:
            raise ConfigurationError("; ".join(compared.differences))
        return compared.missing

    def _register(self, contract: Contract, *, is_new: bool) -> str:
        schema_id = self.registry.register(contract.subject, _text(contract))
        if is_new:  # the subject's own level, so that a later change of the global one does not open it
            self.registry.set_compatibility(contract.subject, contract.compatibility.value)
        latest = self.registry.latest(contract.subject)
        if latest.id != schema_id:
            raise ConfigurationError(
                f"{contract.subject}: the tree holds an older version (id {schema_id}) than the registry "
                f"(version {latest.version}, id {latest.id}); take the newer contracts"
            )
        return f"registered {contract.subject} version {latest.version} as id {schema_id}"

    def _registry_differences(self) -> Iterator[str]:
        yield from self._level_difference(None, GLOBAL_COMPATIBILITY)
        for contract in self.contracts:
            registered = self._latest(contract)
            if registered is None:
                yield f"{contract.subject} is not registered"
                continue
            yield from self._level_difference(contract.subject, contract.compatibility)
            if not _same(contract, registered):
                yield self._schema_difference(contract, registered)

    def _level_difference(self, subject: str | None, level: Compatibility) -> Iterator[str]:
        actual = self.registry.compatibility(subject)
        if actual != level:
            yield f"compatibility of {subject or 'all subjects'} is {actual}, it must be {level.value}"

    def _schema_difference(self, contract: Contract, registered: RegisteredSchema) -> str:
        if not self.registry.compatible(contract.subject, _text(contract)):
            return _would_break(contract)
        return f"{contract.subject} differs from version {registered.version}; `xiezhi contracts apply` registers it"

    def _topic_differences(self) -> Iterator[str]:
        compared = self.topics.compare(self.plan)
        for topic in compared.missing:
            yield f"topic {topic.name} does not exist"
        yield from compared.differences


def _text(contract: Contract) -> str:
    return json.dumps(contract.schema, ensure_ascii=False)


def _same(contract: Contract, registered: RegisteredSchema | None) -> bool:
    return registered is not None and same_schema(registered.schema_text, contract.schema)


def _would_break(contract: Contract) -> str:
    return f"{contract.subject}: the schema in the tree would break readers ({contract.compatibility.value})"


def _partitions(topic: PlannedTopic) -> str:
    return "1 partition" if topic.partitions == 1 else f"{topic.partitions} partitions"
