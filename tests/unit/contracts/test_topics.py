"""The topic plan, and the plan beside what a broker has."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from schemas.catalogue import CONTRACTS
from xiezhi import topics
from xiezhi.contracts.bus import BUS_CONTRACTS
from xiezhi.contracts.naming import (
    ACTIVATION,
    ALERT,
    CHECKPOINT,
    DEAD_LETTER,
    RELATION,
    fact_topic,
    topic_name,
)
from xiezhi.errors import BrokerUnavailableError
from xiezhi.settings import Settings
from xiezhi.topics import ActualTopic, PlannedTopic, Topics, compare, topic_plan

SETTINGS = Settings(partitions=3, generation=7)
PLAN = {topic.name: topic for topic in topic_plan((*CONTRACTS, *BUS_CONTRACTS), SETTINGS)}


def as_planned(topic: PlannedTopic) -> ActualTopic:
    return ActualTopic(topic.name, topic.partitions, {**topic.settings, "segment.ms": "604800000"})


def test_every_contract_and_the_live_generation_have_a_topic() -> None:
    expected = {contract.topic for contract in (*CONTRACTS, *BUS_CONTRACTS)} | {fact_topic(7)}
    assert set(PLAN) == expected


def test_fact_alert_and_relation_topics_have_one_partition_count() -> None:
    assert {PLAN[name].partitions for name in (fact_topic(7), ALERT, RELATION)} == {3}


def test_activations_and_checkpoints_are_in_one_order() -> None:
    assert [name for name, topic in PLAN.items() if topic.partitions == 1] == [ACTIVATION, CHECKPOINT]


def test_nothing_is_ever_compacted_or_deleted_and_the_broker_dates_every_record() -> None:
    for topic in PLAN.values():
        assert topic.settings["cleanup.policy"] == "delete"
        assert topic.settings["retention.ms"] == "-1"
        assert topic.settings["message.timestamp.type"] == "LogAppendTime"


def test_topics_that_wrap_a_record_have_room_for_the_wrapping() -> None:
    roomy = {name for name, topic in PLAN.items() if "max.message.bytes" in topic.settings}
    assert roomy == {fact_topic(7), ALERT, RELATION, DEAD_LETTER}
    assert all(PLAN[name].settings["max.message.bytes"] == str(8 * 1024 * 1024) for name in roomy)


def test_a_broker_that_has_the_plan_differs_in_nothing() -> None:
    found = compare(PLAN.values(), {name: as_planned(topic) for name, topic in PLAN.items()})
    assert found == topics.Comparison((), ())


def test_missing_topics_are_named_and_strangers_ignored() -> None:
    actual = {name: as_planned(topic) for name, topic in PLAN.items() if name != ALERT}
    actual["somebody.else.v1"] = ActualTopic("somebody.else.v1", 9, {})
    assert compare(PLAN.values(), actual) == topics.Comparison((PLAN[ALERT],), ())


def test_a_wrong_partition_count_is_reported_with_both_numbers() -> None:
    actual = {ALERT: replace(as_planned(PLAN[ALERT]), partitions=4)}
    (difference,) = compare([PLAN[ALERT]], actual).differences
    assert f"{ALERT} has 4 partitions, planned are 3" in difference


@pytest.mark.parametrize("setting", ["cleanup.policy", "retention.ms", "message.timestamp.type"])
def test_a_changed_setting_is_reported(setting: str) -> None:
    planned = as_planned(PLAN[ALERT])
    actual = replace(planned, settings={**planned.settings, setting: "other"})
    (difference,) = compare([PLAN[ALERT]], {ALERT: actual}).differences
    assert f"{setting}=other" in difference


def test_a_broker_that_does_not_answer_is_said_to_be_unavailable() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        servers = f"127.0.0.1:{closed.getsockname()[1]}"
        with pytest.raises(BrokerUnavailableError, match=servers):
            Topics(servers, timeout_s=0.5).compare(PLAN.values())


@pytest.mark.parametrize(
    "parts", [("Finance", "payment", 1), ("finance", "pay.ment", 1), ("finance", "payment", 0)]
)
def test_a_name_outside_the_naming_rule_is_refused(parts: tuple[str, str, int]) -> None:
    with pytest.raises(ValueError, match="not a topic name"):
        topic_name(*parts)
