"""Rolling contracts out: refusals first, then only what differs, and a check that changes nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import CONTRACTS
from xiezhi.contracts.base import Compatibility, Contract, Record
from xiezhi.contracts.bus import BUS_CONTRACTS
from xiezhi.contracts.rollout import Rollout
from xiezhi.errors import ConfigurationError, IncompatibleSchemaError
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings
from xiezhi.topics import ActualTopic, Comparison, PlannedTopic, compare, topic_plan

ALL = (*CONTRACTS, *BUS_CONTRACTS)
BID = {"name": "record_id", "type": "string", "doc": "Identifier."}


class TopicsInMemory:
    """A broker's topics as a dictionary."""

    def __init__(self) -> None:
        self.actual: dict[str, ActualTopic] = {}

    def compare(self, plan: Iterable[PlannedTopic]) -> Comparison:
        return compare(plan, self.actual)

    def create(self, missing: Iterable[PlannedTopic]) -> None:
        for topic in missing:
            self.actual[topic.name] = ActualTopic(topic.name, topic.partitions, topic.settings)


def contract_of(
    folder: Path, *fields: dict[str, Any], level: Compatibility = Compatibility.FULL_TRANSITIVE
) -> Contract:
    """A contract of one string field and `fields`, in `folder`."""
    schema = {"type": "record", "name": "Sample", "namespace": "xiezhi.test", "fields": [BID, *fields]}
    (folder / "sample.avsc").write_text(json.dumps(schema), "utf-8")
    return replace(
        CONTRACTS[0], owner="test", record="sample", model=Record, folder=folder, compatibility=level
    )


def rollout_of(*contracts: Contract, onto: Rollout | None = None) -> Rollout:
    plan = topic_plan(contracts, Settings(partitions=2))
    if onto is None:
        return Rollout(contracts, plan, InMemoryRegistry(), TopicsInMemory())
    return replace(onto, contracts=contracts, plan=plan)


def applied(rollout: Rollout) -> list[str]:
    said: list[str] = []
    assert rollout.apply(said.append) == len(said)
    return said


def test_the_first_rollout_registers_and_creates_everything_and_the_second_nothing() -> None:
    rollout = rollout_of(*ALL)
    said = applied(rollout)
    assert said[0] == "set compatibility of all subjects to FULL_TRANSITIVE"
    assert sum(line.startswith("registered ") for line in said) == len(ALL)
    assert sum(line.startswith("created topic ") for line in said) == len(ALL) + 1
    assert applied(rollout) == []
    assert rollout.check() == []


def test_every_subject_gets_its_contracts_own_level() -> None:
    rollout = rollout_of(*ALL)
    applied(rollout)
    rollout.registry.set_compatibility(None, "NONE")
    for contract in ALL:
        assert rollout.registry.compatibility(contract.subject) == contract.compatibility.value


def test_checking_an_empty_registry_names_every_subject_and_topic_and_changes_nothing() -> None:
    rollout = rollout_of(*ALL)
    differences = rollout.check()
    assert len(differences) == 1 + len(ALL) + len(ALL) + 1
    assert rollout.registry.subjects() == []
    assert rollout.check() == differences


def test_a_compatible_change_is_reported_by_check_and_registered_by_apply(tmp_path: Path) -> None:
    before = rollout_of(contract_of(tmp_path))
    applied(before)
    added = {"name": "note", "type": ["null", "string"], "default": None, "doc": "A note."}
    after = rollout_of(contract_of(tmp_path, added), onto=before)
    (difference,) = after.check()
    assert "test.sample.v1-value differs from version 1" in difference
    (said,) = applied(after)
    assert said.startswith("registered test.sample.v1-value version 2")
    assert after.check() == []


def test_a_change_that_breaks_readers_is_refused_before_anything_else_is_registered(tmp_path: Path) -> None:
    before = rollout_of(contract_of(tmp_path))
    applied(before)
    added = {"name": "amount", "type": "long", "doc": "Required, so older records cannot be read."}
    after = rollout_of(contract_of(tmp_path, added), *ALL, onto=before)
    with pytest.raises(IncompatibleSchemaError, match=r"test\.sample\.v1-value"):
        applied(after)
    assert after.registry.subjects() == ["test.sample.v1-value"]
    assert any("would break readers" in difference for difference in after.check())


def test_an_internal_contract_may_grow_a_required_field_with_a_default_only_for_newer_readers(
    tmp_path: Path,
) -> None:
    """BACKWARD_TRANSITIVE lets a field go that FULL_TRANSITIVE keeps."""
    required = {"name": "amount", "type": "long", "doc": "An amount."}
    for level, may_go in ((Compatibility.BACKWARD_TRANSITIVE, True), (Compatibility.FULL_TRANSITIVE, False)):
        before = rollout_of(contract_of(tmp_path, required, level=level))
        applied(before)
        after = rollout_of(contract_of(tmp_path, level=level), onto=before)
        assert any("would break readers" in difference for difference in after.check()) is not may_go


def test_a_topic_that_differs_stops_the_rollout_before_anything_is_registered() -> None:
    rollout = rollout_of(*ALL)
    other = replace(rollout.plan[0], partitions=5)
    rollout.topics.create([other])
    with pytest.raises(ConfigurationError, match="has 5 partitions"):
        applied(rollout)
    assert rollout.registry.subjects() == []
    assert any("has 5 partitions" in difference for difference in rollout.check())


def test_a_loosened_level_is_reported_and_set_back() -> None:
    rollout = rollout_of(*ALL)
    applied(rollout)
    subject = CONTRACTS[0].subject
    rollout.registry.set_compatibility(None, "NONE")
    rollout.registry.set_compatibility(subject, "BACKWARD")
    assert rollout.check() == [
        "compatibility of all subjects is NONE, it must be FULL_TRANSITIVE",
        f"compatibility of {subject} is BACKWARD, it must be FULL_TRANSITIVE",
    ]
    assert len(applied(rollout)) == 2
    assert rollout.check() == []


def test_a_tree_older_than_the_registry_is_not_taken_for_a_change(tmp_path: Path) -> None:
    older = rollout_of(contract_of(tmp_path))
    applied(older)
    added = {"name": "note", "type": ["null", "string"], "default": None, "doc": "A note."}
    applied(rollout_of(contract_of(tmp_path, added), onto=older))
    with pytest.raises(ConfigurationError, match="older version"):
        applied(rollout_of(contract_of(tmp_path), onto=older))


def test_an_interrupted_rollout_is_finished_by_the_next() -> None:
    rollout = rollout_of(*ALL)

    def stop_at_third(line: str) -> None:
        if line.startswith("registered") and len(rollout.registry.subjects()) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rollout.apply(stop_at_third)
    assert len(rollout.registry.subjects()) == 3
    applied(rollout)
    assert rollout.check() == []
