"""Rolling contracts out to a real broker and a real registry.

Every test has an owner of its own, hence topics and subjects that nothing else uses, and a generation of its own.
"""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import (
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    ResourceType,
)

from schemas.catalogue import CONTRACTS
from streams.stage import Stage
from tests.running_bus import wait_for
from xiezhi.admin_client import Admin
from xiezhi.cli.contracts import contracts as contracts_command
from xiezhi.codec import Codec
from xiezhi.contracts.avro import same_schema
from xiezhi.contracts.base import Compatibility, Contract
from xiezhi.contracts.bus import ALERT, BUS_CONTRACTS
from xiezhi.contracts.rollout import Rollout
from xiezhi.doctor.finding import Patient
from xiezhi.doctor.parts import examine_topics
from xiezhi.errors import ConfigurationError, IncompatibleSchemaError
from xiezhi.local.stack import LocalStack
from xiezhi.registry import ConfluentRegistry
from xiezhi.store import KeyedStore
from xiezhi.topics import Topics, topic_plan

PROJECT = Path(__file__).parents[2]
_numbers = itertools.count(1)


def copied(
    contract: Contract, owner: str, folder: Path, change: Callable[[dict[str, Any]], None]
) -> Contract:
    """The contract under another owner, its schema changed in place by `change`."""
    schema = json.loads(json.dumps(contract.schema))
    change(schema)
    (folder / f"{contract.record}.avsc").write_text(json.dumps(schema, ensure_ascii=False), "utf-8")
    return replace(contract, owner=owner, folder=folder)


def as_it_is(schema: dict[str, Any]) -> None:
    """Changes nothing."""


def add_optional_field(schema: dict[str, Any]) -> None:
    schema["fields"].append({"name": "note", "type": ["null", "string"], "default": None, "doc": "A note."})


def add_required_field(schema: dict[str, Any]) -> None:
    schema["fields"].append({"name": "note", "type": "string", "doc": "Old records have none."})


def drop_last_field(schema: dict[str, Any]) -> None:
    schema["fields"].pop()


class Place:
    """A corner of the stack: one owner name and one generation that nothing else uses."""

    def __init__(self, stack: LocalStack, registry: ConfluentRegistry, folder: Path) -> None:
        number = next(_numbers)
        self.owner, self.folder, self.registry = f"rollout{number}", folder, registry
        self.settings = stack.settings(partitions=2, generation=9000 + number)
        self.admin = Admin({"bootstrap.servers": stack.bootstrap_servers})

    def rollout(self, *contracts: Contract) -> Rollout:
        return Rollout(
            contracts,
            topic_plan(contracts, self.settings),
            self.registry,
            Topics(self.settings.bootstrap_servers),
        )

    def contract(
        self, change: Callable[[dict[str, Any]], None] = as_it_is, *, of: Contract = CONTRACTS[0]
    ) -> Contract:
        return copied(of, self.owner, self.folder, change)


@pytest.fixture
def place(stack: LocalStack, tmp_path: Path) -> Iterator[Place]:
    with ConfluentRegistry(stack.registry_url) as registry:
        yield Place(stack, registry, tmp_path)


def applied(rollout: Rollout) -> list[str]:
    said: list[str] = []
    rollout.apply(said.append)
    return said


def test_the_second_apply_of_every_contract_finds_nothing_to_do(place: Place) -> None:
    (place.folder / "bus").mkdir()
    everything = [copied(c, f"{place.owner}-{c.owner}", place.folder, as_it_is) for c in CONTRACTS]
    everything += [copied(c, place.owner, place.folder / "bus", as_it_is) for c in BUS_CONTRACTS]
    rollout = place.rollout(*everything)
    said = applied(rollout)
    assert sum(line.startswith("registered ") for line in said) == len(everything)
    assert sum(line.startswith("created topic ") for line in said) == len(everything) + 1
    assert applied(rollout) == []
    assert rollout.check() == []
    for contract in everything:
        assert rollout.registry.compatibility(contract.subject) == contract.compatibility.value


def test_docs_and_tags_come_back_from_the_registry_as_they_went(place: Place) -> None:
    contract = place.contract(of=ALERT)
    rollout = place.rollout(contract)
    applied(rollout)
    assert same_schema(rollout.registry.latest(contract.subject).schema_text, ALERT.schema)


def test_an_incompatible_change_is_refused_and_nothing_is_registered_or_created(place: Place) -> None:
    rollout = place.rollout(place.contract())
    applied(rollout)
    before = rollout.registry.latest(place.contract().subject)
    newcomer = copied(CONTRACTS[1], place.owner, place.folder, as_it_is)
    broken = place.rollout(place.contract(add_required_field), newcomer)
    with pytest.raises(IncompatibleSchemaError, match=before.subject):
        applied(broken)
    assert rollout.registry.latest(before.subject) == before
    assert newcomer.subject not in rollout.registry.subjects()
    assert [difference.split(" ", 1)[1] for difference in broken.check() if newcomer.topic in difference] == [
        "is not registered",
        f"{newcomer.topic} does not exist",
    ]
    with pytest.raises(IncompatibleSchemaError):  # and the registry itself refuses whoever does not ask
        rollout.registry.register(before.subject, json.dumps(place.contract(add_required_field).schema))


def test_a_compatible_change_is_reported_by_check_and_registered_by_apply(place: Place) -> None:
    applied(place.rollout(place.contract()))
    grown = place.rollout(place.contract(add_optional_field))
    (difference,) = grown.check()
    assert "differs from version 1" in difference
    (said,) = applied(grown)
    assert "version 2" in said
    assert grown.check() == []


def test_only_an_internal_contract_may_drop_a_required_field(place: Place) -> None:
    applied(place.rollout(place.contract(of=ALERT)))
    assert len(applied(place.rollout(place.contract(drop_last_field, of=ALERT)))) == 1
    strict = replace(ALERT, record="strict", compatibility=Compatibility.FULL_TRANSITIVE)
    (place.folder / "strict.avsc").write_text(json.dumps(ALERT.schema), "utf-8")
    strict = replace(strict, owner=place.owner, folder=place.folder)
    applied(place.rollout(strict))
    shorter = {**ALERT.schema, "fields": ALERT.schema["fields"][:-1]}
    (place.folder / "strict.avsc").write_text(json.dumps(shorter), "utf-8")
    with pytest.raises(IncompatibleSchemaError):
        applied(place.rollout(replace(strict)))


def test_a_topic_with_other_partitions_is_reported_and_left_alone(place: Place) -> None:
    contract = place.contract()
    place.admin.create_topics([NewTopic(contract.topic, num_partitions=3)])[contract.topic].result(timeout=30)
    rollout = place.rollout(contract)
    with pytest.raises(ConfigurationError, match=f"{contract.topic} has 3 partitions, planned are 2"):
        applied(rollout)
    assert contract.subject not in rollout.registry.subjects()
    assert len(place.admin.list_topics(contract.topic, timeout=30).topics[contract.topic].partitions) == 3


def test_a_topic_that_grew_is_found_by_the_doctor_and_refused_by_a_stage_that_knew_it_smaller(
    place: Place, tmp_path: Path
) -> None:
    contract = place.contract()
    applied(place.rollout(contract))
    settings = place.settings.model_copy(update={"data_dir": tmp_path})

    def opened() -> KeyedStore:
        router = Stage("router", settings, Codec(place.registry), "selectors")
        return router._open_store(contract.topic, 0, router._look(contract.topic, 0))

    def differences() -> str:
        seen = examine_topics(Patient(settings, (contract,), (), now_ms=0)).findings
        return " ".join(str(one.facts["what"]) for one in seen if one.text == "topic_differs")

    opened().close()
    opened().close()  # as after a restart
    assert differences() == ""
    place.admin.create_partitions([NewPartitions(contract.topic, 3)])[contract.topic].result(timeout=30)
    wait_for(differences, 30.0, "the doctor sees it")
    assert f"topic {contract.topic} has 3 partitions, planned are 2" in differences()
    with pytest.raises(ConfigurationError, match=f"{contract.topic} had 2 partitions and has 3 now"):
        opened()


def test_a_setting_changed_behind_our_back_is_reported(place: Place) -> None:
    contract = place.contract()
    rollout = place.rollout(contract)
    applied(rollout)
    entry = ConfigEntry("retention.ms", "1000", incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ResourceType.TOPIC, contract.topic, incremental_configs=[entry])
    place.admin.incremental_alter_configs([changed])[changed].result(timeout=30)
    deadline = time.monotonic() + 30.0
    while not (found := rollout.check()) and time.monotonic() < deadline:
        time.sleep(0.2)  # the controller has it; the broker that answers hears of it a moment later
    (difference,) = found
    assert f"topic {contract.topic} has retention.ms=1000, planned is -1" in difference


def test_a_level_loosened_behind_our_back_is_reported_and_set_back(place: Place) -> None:
    contract = place.contract()
    rollout = place.rollout(contract)
    applied(rollout)
    rollout.registry.set_compatibility(contract.subject, "NONE")
    assert rollout.check() == [f"compatibility of {contract.subject} is NONE, it must be FULL_TRANSITIVE"]
    assert len(applied(rollout)) == 1
    assert rollout.check() == []


def test_the_commands_apply_and_check_say_what_they_did_and_exit_by_it(
    stack: LocalStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(PROJECT)
    monkeypatch.setenv("XIEZHI_BOOTSTRAP_SERVERS", stack.bootstrap_servers)
    monkeypatch.setenv("XIEZHI_REGISTRY_URL", stack.registry_url)

    def run(command: str, partitions: int = 2) -> tuple[int, str]:
        monkeypatch.setenv("XIEZHI_PARTITIONS", str(partitions))
        result = CliRunner().invoke(contracts_command, [command])
        return result.exit_code, result.stdout

    assert run("apply")[0] == 0
    assert run("apply") == (0, "nothing to change: registry and topics are as the contracts say\n")
    assert run("check") == (0, "registry and topics are as the contracts say\n")
    exit_code, differences = run("check", partitions=5)
    assert exit_code == 1
    assert f"topic {ALERT.topic} has 2 partitions, planned are 5" in differences
