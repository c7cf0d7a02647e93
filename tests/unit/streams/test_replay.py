"""What was known at an instant and what was said at it, on a log in memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, cast

import pytest

from schemas import catalogue
from streams.cards import code_hash
from streams.evaluation import OutputKind, Proposal
from streams.facts import TICK_KEY
from streams.kernel import Statement
from streams.replay import Difference, Past, compare, known_at, of_rules, said_at
from streams.replay_cli import PROGRESS_EVERY_S, Progress
from tests.alert_statements import alert, envelope
from tests.builders import JURISDICTION, cards, instant
from tests.records import audited, rectified
from xiezhi.codec import Codec
from xiezhi.contracts.activation import Activation
from xiezhi.contracts.alert import Alert
from xiezhi.contracts.bus import ACTIVATION, ALERT
from xiezhi.contracts.naming import fact_topic
from xiezhi.envelope import Envelope
from xiezhi.errors import ActivationMismatchError
from xiezhi.log import LogReader, RawRecord
from xiezhi.registry import InMemoryRegistry
from xiezhi.settings import Settings

_CONTRACTS = (catalogue.FINDING, catalogue.RECTIFICATION)


class Log:
    """A broker's log in memory, with one partition of every topic: what a LogReader would read."""

    def __init__(self) -> None:
        registry = InMemoryRegistry()
        for contract in (*_CONTRACTS, ACTIVATION, ALERT):
            registry.register(contract.subject, json.dumps(contract.schema))
        self.codec = Codec(registry)
        self.topics: dict[str, list[RawRecord]] = {}

    def append(self, topic: str, at: str, key: bytes, value: bytes, headers: Any = ()) -> None:
        held = self.topics.setdefault(topic, [])
        held.append(RawRecord(topic, 0, len(held), instant(at), key, value, headers))

    def publish(self, one: Statement, at: str) -> None:
        contract = next(contract for contract in _CONTRACTS if contract.topic == one.record_type)
        said = Envelope.create(
            source="urn:test",
            type=contract.topic,
            subject=one.record_id,
            occurred_ms=one.occurred_ms,
            version=one.version,
            jurisdiction=JURISDICTION,
        )
        value = self.codec.encode(contract.subject, one.value)
        self.append(contract.topic, at, one.record_id.encode(), value, list(said.to_headers()))

    def tick(self, at: str) -> None:
        self.append(fact_topic(1), at, TICK_KEY, json.dumps({"now_ms": instant(at)}).encode())

    def activate(self, rule_id: str, at: str, *, enabled: bool = True, code: str = "") -> None:
        card = cards("cn")[rule_id]
        one = Activation(
            record_id=rule_id,
            rule_id=rule_id,
            rule_version=card.version,
            enabled=enabled,
            pack="cn",
            card=card.canonical_json(),
            code_hash=code or code_hash(rule_id),
            actor="test",
            reason="",
            activated_ms=instant(at),
        )
        self.append(
            ACTIVATION.topic, at, rule_id.encode(), self.codec.encode(ACTIVATION.subject, one.model_dump())
        )

    def say(self, one: Alert, at: str) -> None:
        value = self.codec.encode(ALERT.subject, one.model_dump())
        self.append(ALERT.topic, at, one.record_id.encode(), value, envelope(one).to_headers())

    # What is asked of a LogReader

    def partitions(self, topic: str) -> int:
        return 1 if topic in self.topics else 0

    def range(self, topic: str, partition: int) -> tuple[int, int]:
        return 0, len(self.topics.get(topic, ()))

    def offset_at(self, topic: str, partition: int, instant_ms: int) -> int:
        held = self.topics[topic]
        return next((raw.offset for raw in held if raw.ingested_ms >= instant_ms), len(held))

    def read(
        self, topic: str, partition: int, start: int, end: int | None = None
    ) -> Iterator[list[RawRecord]]:
        if chunk := self.topics.get(topic, [])[start:end]:
            yield chunk

    def at(self, text: str) -> Past:
        return Past(Settings(), cast(LogReader, self), self.codec, instant(text))


@pytest.fixture
def log() -> Log:
    """A finding of January that was closed in May, which became known in June; ticks every few weeks."""
    log = Log()
    log.activate("A01", "2026-01-01")
    log.publish(audited("f-1", "C04", "2026-01-15"), "2026-01-16")
    for day in ("2026-02-01", "2026-03-25", "2026-04-20"):
        log.tick(day)
    log.publish(rectified("r-1", "f-1", "C04", "2026-05-20"), "2026-06-01")
    log.tick("2026-06-15")
    return log


def known(log: Log, at: str) -> list[str]:
    return [one.owner for one in known_at(log.at(at), _CONTRACTS).alerts.values()]


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2025-12-01", []),  # no rule, no record, no tick
        ("2026-02-15", []),
        ("2026-03-24", []),  # overdue by the calendar, but no tick had said so
        ("2026-03-25", ["A01"]),
        ("2026-05-25", ["A01"]),  # closed by then, and nobody knew
        ("2026-05-31 23:59", ["A01"]),
        ("2026-06-01", []),
        ("2026-06-20", []),
    ],
)
def test_only_what_had_been_ingested_counts(log: Log, at: str, expected: list[str]) -> None:
    assert known(log, at) == expected


def test_a_tick_that_the_judge_refuses_is_no_time_here_either(log: Log) -> None:
    log.append(fact_topic(1), "2026-06-16", TICK_KEY, json.dumps({"now_ms": instant("2036-06-16")}).encode())
    assert known_at(log.at("2026-06-20"), _CONTRACTS).now_ms == instant("2026-06-15")


def test_the_answer_names_the_tick_and_the_rules(log: Log) -> None:
    answer = known_at(log.at("2026-04-01"), _CONTRACTS)
    assert (answer.now_ms, answer.rules, answer.failed) == (instant("2026-03-25"), ("A01",), {})
    assert known_at(log.at("2025-12-01"), _CONTRACTS).now_ms == 0


def test_a_rule_counts_while_it_was_active(log: Log) -> None:
    log.activate("A01", "2026-05-01", enabled=False)
    log.activate("A01", "2026-05-10")
    assert known(log, "2026-04-30") == ["A01"]
    assert known(log, "2026-05-05") == []
    assert known(log, "2026-05-15") == ["A01"]


def test_a_rule_whose_code_of_then_is_not_here_has_no_answer(log: Log) -> None:
    log.activate("A01", "2026-05-01", code="0" * 64)
    assert known(log, "2026-04-30") == ["A01"]
    with pytest.raises(ActivationMismatchError, match="install the version of then"):
        known(log, "2026-05-05")


def test_it_says_how_far_reading_got(log: Log) -> None:
    read: list[int] = []
    known_at(log.at("2026-06-20"), _CONTRACTS, read.append)
    assert read == [1, 2]


def test_what_was_said_is_folded_by_position_up_to_the_instant(log: Log) -> None:
    log.say(alert("al_1", 5, state="raised"), "2026-03-25")
    log.say(alert("al_1", 4, state="withdrawn"), "2026-04-01")  # a zombie's late write
    log.append(ALERT.topic, "2026-04-02", b"x", b"no alert")
    log.say(alert("al_1", 9, state="withdrawn"), "2026-06-01")

    def said(at: str) -> list[int]:
        return [one.position for one in said_at(log.at(at)).values()]

    assert said("2026-03-24") == []
    assert said("2026-03-25") == said("2026-05-01") == [5]
    assert said("2026-06-01") == []


def _proposal(alert_id: str, digest: str, rule_id: str = "C04") -> Proposal:
    return Proposal(alert_id, OutputKind.ALERT, rule_id, {}, digest, ())


def test_the_comparison_names_what_only_one_of_them_has_and_other_content() -> None:
    said = {
        one: alert(one, content_digest="d1", rule_id=rule)
        for one, rule in (("al_same", "C04"), ("al_other", "C04"), ("al_gone", "A01"))
    }
    known = {
        one.id: one
        for one in (_proposal("al_same", "d1"), _proposal("al_other", "d2"), _proposal("al_new", "d1", "C01"))
    }
    assert [(one.alert_id, one.rule_id, one.difference) for one in compare(said, known)] == [
        ("al_gone", "A01", Difference.SAID_ONLY),
        ("al_new", "C01", Difference.KNOWN_ONLY),
        ("al_other", "C04", Difference.CONTENT),
    ]
    assert compare({}, {}) == []


def test_alerts_are_shown_by_rule_and_id_and_narrowed_by_rule() -> None:
    some = [_proposal("b", "d", "C04"), _proposal("a", "d", "C04"), _proposal("c", "d", "A01")]
    assert [one.id for one in of_rules(some, ())] == ["c", "a", "b"]
    assert [one.id for one in of_rules(some, ("A01", "P01"))] == ["c"]


def test_progress_is_said_now_and_then_and_never_for_a_short_log() -> None:
    now, lines = [0.0], list[str]()
    progress = Progress(10_000, lambda: now[0], lines.append)
    progress.read(2_000)
    assert lines == []
    now[0] = PROGRESS_EVERY_S
    progress.read(4_000)
    progress.read(6_000)
    assert lines == ["4,000 of 10,000 records read 已读"]
