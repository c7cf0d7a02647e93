"""The clock broadcasts what is due, and starts over when the broker was away in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME

from streams.clock import Clock
from streams.facts import ACTIVATION_KEY, TAKE_OVER_KEY, TICK_AHEAD_MAX_MS, TICK_KEY
from xiezhi.contracts.naming import ACTIVATION
from xiezhi.errors import BrokerUnavailableError, ClockAheadError
from xiezhi.log import RawRecord
from xiezhi.settings import Settings

RULES = (b"C01", b"C03", b"P12")


class Log:
    """Three activations; the broker is away when asked for partitions after `answers` answers, once."""

    def __init__(self, answers: int) -> None:
        self._answers = answers

    def read(self, topic: str, partition: int, start: int) -> Iterator[list[RawRecord]]:
        if start < len(RULES):
            yield [
                RawRecord(ACTIVATION, 0, offset, 0, rule_id, b"activation of " + rule_id)
                for offset, rule_id in enumerate(RULES)
                if offset >= start
            ]

    def partitions(self, topic: str) -> int:
        self._answers -= 1
        if self._answers == -1:
            raise BrokerUnavailableError("away")
        return 2


@dataclass(frozen=True)
class Delivered:
    name: bytes
    appended_ms: int

    def key(self) -> bytes:
        return self.name

    def timestamp(self) -> tuple[int, int]:
        return TIMESTAMP_LOG_APPEND_TIME, self.appended_ms


class Producer:
    """Delivers at once; the broker's clock is `behind_ms` behind what a tick says."""

    def __init__(self, behind_ms: int = 0) -> None:
        self.sent: list[tuple[bytes, bytes, int]] = []
        self._behind_ms = behind_ms

    def produce(
        self, topic: str, *, key: bytes, value: bytes, partition: int, on_delivery: Any, **_: Any
    ) -> None:
        self.sent.append((key, value, partition))
        said_ms = json.loads(value)["now_ms"] if key == TICK_KEY else 0
        on_delivery(None, Delivered(key, max(0, said_ms - self._behind_ms)))

    def flush(self, timeout_s: float) -> int:
        return 0


class Watermark:
    def __init__(self) -> None:
        self.looks = 0

    def read(self) -> int:
        self.looks += 1
        return 1_000 * self.looks


def clock(answers: int = 99) -> tuple[Clock, Producer]:
    producer = Producer()
    settings = Settings(tick_interval_s=3600.0)
    return Clock(settings, Log(answers), Watermark(), producer, lambda: 5_000), producer  # type: ignore[arg-type]


def activations(producer: Producer) -> set[tuple[bytes, int]]:
    return {(value, partition) for key, value, partition in producer.sent if key == ACTIVATION_KEY}


EVERYWHERE = {(b"activation of " + rule_id, partition) for rule_id in RULES for partition in (0, 1)}


def test_activations_and_a_tick_go_to_every_partition_once() -> None:
    one, producer = clock()
    for _ in range(3):
        one.step()
    assert activations(producer) == EVERYWHERE
    assert len(producer.sent) == len(EVERYWHERE) + 2
    assert [(json.loads(value), at) for key, value, at in producer.sent if key == TICK_KEY] == [
        ({"now_ms": 1_000}, 0),
        ({"now_ms": 1_000}, 1),
    ]


@pytest.mark.parametrize("answers", [0, 1, 2])
def test_no_activation_is_forgotten_when_the_broker_is_away_between_two(answers: int) -> None:
    one, producer = clock(answers)
    with pytest.raises(BrokerUnavailableError):
        one.step()
    one.step()
    assert activations(producer) == EVERYWHERE


# -- the next generation -----------------------------------------------------------------------------------------


class Instants:
    """A watermark and a wall clock that a test moves."""

    def __init__(self) -> None:
        self.now_ms, self.passed_ms = 10_000, 0

    def read(self) -> int:
        return self.passed_ms


def second_clock(instants: Instants, speaking: list[bool], behind_ms: int = 0) -> tuple[Clock, Producer]:
    """The clock of the second generation; `speaking` says whether anybody works for the first."""
    producer, settings = Producer(behind_ms), Settings(tick_interval_s=3600.0, generation=2)
    clock = Clock(
        settings,
        Log(99),  # type: ignore[arg-type]
        instants,  # type: ignore[arg-type]
        producer,
        lambda: instants.now_ms,
        earlier_speak=lambda: speaking[-1],
    )
    return clock, producer


def take_overs(producer: Producer) -> int:
    return sum(key == TAKE_OVER_KEY for key, _, _ in producer.sent)


def test_the_take_over_comes_once_all_is_filed_that_was_said_before_the_earlier_generation_ended() -> None:
    instants, speaking = Instants(), [True]
    clock, producer = second_clock(instants, speaking)
    instants.passed_ms = 9_000
    clock.step()
    instants.now_ms, instants.passed_ms = 20_000, 19_000
    clock.step()
    assert take_overs(producer) == 0, "somebody speaks"
    speaking.append(False)
    clock.step()
    instants.now_ms, instants.passed_ms = 22_000, 20_000
    clock.step()
    assert take_overs(producer) == 0, "not all is filed that was said until then"
    instants.now_ms, instants.passed_ms = 23_000, 20_001
    clock.step()
    assert take_overs(producer) == 2, "one on each partition"
    assert producer.sent[-4:-2] == [(TICK_KEY, b'{"now_ms": 20001}', 0), (TICK_KEY, b'{"now_ms": 20001}', 1)]
    clock.step()
    assert take_overs(producer) == 2


def test_an_earlier_generation_that_comes_back_is_waited_for_again() -> None:
    instants, speaking = Instants(), [False]
    clock, producer = second_clock(instants, speaking)
    clock.step()
    speaking.append(True)
    clock.step()
    speaking.append(False)
    instants.now_ms, instants.passed_ms = 30_000, 20_000
    clock.step()
    clock.step()
    assert take_overs(producer) == 0
    instants.passed_ms = 30_001
    clock.step()
    assert take_overs(producer) == 2


def test_a_clock_whose_ticks_are_refused_ends_and_does_not_let_a_generation_take_over() -> None:
    instants = Instants()
    barely, _ = second_clock(instants, [False], behind_ms=TICK_AHEAD_MAX_MS)
    clock, producer = second_clock(instants, [False], behind_ms=TICK_AHEAD_MAX_MS + 1)
    for one in (barely, clock):
        one.step()  # a watermark begins with 0, and the next tick that is due is far away
    instants.passed_ms = 2 * TICK_AHEAD_MAX_MS
    barely.step()
    with pytest.raises(ClockAheadError, match="this machine's clock is 60 s ahead"):
        clock.step()
    with pytest.raises(ClockAheadError):
        clock.step()
    assert take_overs(producer) == 0


def test_the_first_generation_waits_for_nobody() -> None:
    one, producer = clock()
    for _ in range(3):
        one.step()
    assert take_overs(producer) == 0
