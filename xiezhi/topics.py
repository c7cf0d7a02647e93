"""The topic plan: which topics the bus has, with how many partitions and which settings, and whether the broker agrees.

Missing topics are created; an existing one that differs is reported and never changed, since a partition count is
fixed for life and a shorter retention would already have cost records. No topic is compacted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException, TopicCollection
from confluent_kafka.admin import ConfigResource, NewTopic, ResourceType

from xiezhi.admin_client import Admin
from xiezhi.contracts.base import Contract
from xiezhi.contracts.bus import ACTIVATION, ALERT, CHECKPOINT, DEAD_LETTER, RELATION
from xiezhi.contracts.naming import fact_topic
from xiezhi.errors import BrokerUnavailableError, ConfigurationError
from xiezhi.settings import Settings

_TIMEOUT_S = 30.0
_UNREACHABLE = (KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN)
#: A fact carries a whole record and its address, a dead letter a whole record and more headers than it came with;
#: an alert or relation that rests on thousands of records names each of them.
ENVELOPING_BYTES_MAX = 8 * 1024 * 1024
_KEEP_FOR_EVER = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "message.timestamp.type": "LogAppendTime",
}


@dataclass(frozen=True)
class PlannedTopic:
    """A topic as it must be. Settings not named here are the broker's business."""

    name: str
    partitions: int
    settings: Mapping[str, str] = field(default_factory=lambda: dict(_KEEP_FOR_EVER))


@dataclass(frozen=True)
class ActualTopic:
    """A topic as the broker has it, with every setting in force."""

    name: str
    partitions: int
    settings: Mapping[str, str]


@dataclass(frozen=True)
class Comparison:
    """What is missing on the broker, and one sentence for each thing that differs from the plan."""

    missing: tuple[PlannedTopic, ...]
    differences: tuple[str, ...]


def topic_plan(contracts: Iterable[Contract], settings: Settings) -> tuple[PlannedTopic, ...]:
    """Every contract's topic and the fact topic of the live generation, in order of name.

    Fact, alert and relation topics have one partition count, because a statement goes to the partition with the
    number of the fact partition that caused it. Activations and checkpoints have one partition: their order is their
    meaning.
    """
    planned = [_planned(contract, settings) for contract in contracts]
    facts = PlannedTopic(fact_topic(settings.generation), settings.partitions, _enveloping())
    return tuple(sorted([*planned, facts], key=lambda topic: topic.name))


def _planned(contract: Contract, settings: Settings) -> PlannedTopic:
    partitions = 1 if contract.topic in (ACTIVATION.topic, CHECKPOINT.topic) else settings.partitions
    if contract.topic in (ALERT.topic, RELATION.topic, DEAD_LETTER.topic):
        return PlannedTopic(contract.topic, partitions, _enveloping())
    return PlannedTopic(contract.topic, partitions)


def _enveloping() -> dict[str, str]:
    return {**_KEEP_FOR_EVER, "max.message.bytes": str(ENVELOPING_BYTES_MAX)}


def compare(plan: Iterable[PlannedTopic], actual: Mapping[str, ActualTopic]) -> Comparison:
    """The plan beside what the broker has (by topic name). Topics that are not in the plan are not looked at."""
    missing, differences = [], []
    for planned in plan:
        if planned.name in actual:
            differences += _differences(planned, actual[planned.name])
        else:
            missing.append(planned)
    return Comparison(tuple(missing), tuple(differences))


def _differences(planned: PlannedTopic, actual: ActualTopic) -> list[str]:
    found = []
    if actual.partitions != planned.partitions:
        found.append(
            f"topic {planned.name} has {actual.partitions} partitions, planned are {planned.partitions}; the "
            "count is fixed for life, so set XIEZHI_PARTITIONS to what the broker has or use another broker; a topic "
            "that grew: docs/how-to/operate.md"
        )
    for name, value in planned.settings.items():
        if actual.settings.get(name) != value:
            found.append(
                f"topic {planned.name} has {name}={actual.settings.get(name)}, planned is {value}; find out "
                "who changed it and what it cost, then set it back with your Kafka tools"
            )
    return found


class Topics:
    """The broker's topics. Every call blocks, at most about 30 s, and raises BrokerUnavailableError."""

    def __init__(self, bootstrap_servers: str, *, timeout_s: float = _TIMEOUT_S) -> None:
        self._servers, self._timeout_s = bootstrap_servers, timeout_s
        self._admin = Admin({"bootstrap.servers": bootstrap_servers, "log_level": 0})

    def compare(self, plan: Iterable[PlannedTopic]) -> Comparison:
        planned = tuple(plan)
        return compare(planned, self.describe(topic.name for topic in planned))

    def describe(self, names: Iterable[str]) -> dict[str, ActualTopic]:
        """Those of `names` that exist."""
        partitions = self._partitions(list(names))
        return {
            name: ActualTopic(name, partitions[name], settings)
            for name, settings in self._settings(partitions).items()
        }

    def create(self, missing: Iterable[PlannedTopic]) -> None:
        """Returns when every topic exists, whoever created it; raises ConfigurationError when one is refused."""
        new = [NewTopic(t.name, num_partitions=t.partitions, config=dict(t.settings)) for t in missing]
        if not new:
            return
        futures = self._admin.create_topics(
            new, operation_timeout=self._timeout_s, request_timeout=self._timeout_s
        )
        for name, future in futures.items():
            try:
                self._result(future)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise ConfigurationError(f"topic {name} was refused: {error.args[0].str()}") from error

    def _partitions(self, names: list[str]) -> dict[str, int]:
        counts: dict[str, int] = {}
        futures = self._admin.describe_topics(TopicCollection(names), request_timeout=self._timeout_s)
        for name, future in futures.items():
            try:
                counts[name] = len(self._result(future).partitions)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise ConfigurationError(f"topic {name} cannot be described: {error}") from error
        return counts

    def _settings(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        resources = [ConfigResource(ResourceType.TOPIC, name) for name in names]
        if not resources:
            return {}
        futures = self._admin.describe_configs(resources, request_timeout=self._timeout_s)
        return {
            resource.name: {name: entry.value for name, entry in self._result(future).items()}
            for resource, future in futures.items()
        }

    def _result(self, future: Any) -> Any:
        try:
            return future.result(timeout=2 * self._timeout_s)
        except TimeoutError as error:
            raise BrokerUnavailableError(self._unavailable()) from error
        except KafkaException as error:
            if error.args[0].code() in _UNREACHABLE:
                raise BrokerUnavailableError(self._unavailable()) from error
            raise

    def _unavailable(self) -> str:
        return f"no Kafka broker answers at {self._servers}; start one (`make up`) or set XIEZHI_BOOTSTRAP_SERVERS"
