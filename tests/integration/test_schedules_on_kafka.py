"""The alert set is a function of what was published, not of the order: two very different schedules, one answer.

The same records, with corrections that change keys and with withdrawals, go to two fresh buses: shuffled over all
topics, repeated, corrections before what they correct, a third of them late.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from producers.province.generate import generate
from producers.province.publication import Publication
from producers.province.publishing import publish_all
from tests.answers import Said, Standing, oracle, published_ids, said, stored
from tests.load import JURISDICTION, Published, load
from tests.running_bus import running_bus
from xiezhi.codec import Codec
from xiezhi.contracts.base import Record
from xiezhi.registry import ConfluentRegistry
from xiezhi.wall_clock import now_ms

PROVINCE_SEED, PROVINCE_RECORDS = 11, 2_000
LOAD_SEED, LOAD_GROUPS = 12, 400


@dataclass(frozen=True, slots=True)
class Answer:
    """What one bus said of one schedule."""

    topic: Said
    stored: Standing
    oracle: Standing
    records: int
    distinct: int


def publications() -> list[Publication]:
    """Everything that is published, once each, in the order in which departments would."""
    until_ms = now_ms()
    province = generate(PROVINCE_SEED, PROVINCE_RECORDS, until_ms=until_ms)
    matters = map(_publication, load(LOAD_SEED, LOAD_GROUPS, until_ms))
    return [*province.publications, *province.corrections, *matters]


def _publication(one: Published) -> Publication:
    record = None if one.fields is None else one.contract.model(record_id=one.record_id, **one.fields)
    assert record is None or isinstance(record, Record)
    return Publication(one.contract, record, one.record_id, one.occurred_ms, one.version, JURISDICTION)


def schedule(records: Sequence[Publication], seed: int) -> tuple[list[Publication], list[Publication]]:
    """All records in an order of chance, every eighth twice; the last third is for later."""
    chance = random.Random(seed)
    shuffled = [*records, *chance.sample(records, len(records) // 8)]
    chance.shuffle(shuffled)
    cut = 2 * len(shuffled) // 3
    return shuffled[:cut], shuffled[cut:]


def answer(home: Path, now: Sequence[Publication], later: Sequence[Publication], *, settle: bool) -> Answer:
    """What a fresh bus says of a schedule; `settle`: what comes later finds everything else said."""
    with running_bus(home) as bus:
        codec = Codec(ConfluentRegistry(bus.settings.registry_url))
        publish_all(now, bus.settings, codec)
        if settle:
            bus.settle()
        publish_all(later, bus.settings, codec)
        bus.settle()
        ids = published_ids(bus.settings)
        standing, repeated = stored(bus.settings)
        assert repeated == []
        assert bus.dead_letters() == []
        return Answer(said(bus.settings), standing, oracle(bus.settings), ids.total(), len(ids))


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Answer, Answer]:
    """Of two schedules, with other repeats and another third late; in the first it comes after alerts were said."""
    records = publications()
    first, second = schedule(records, seed=1), schedule(records[::-1], seed=2)
    return (
        answer(tmp_path_factory.mktemp("first") / "stack", *first, settle=True),
        answer(tmp_path_factory.mktemp("second") / "stack", *second, settle=False),
    )


def test_both_buses_say_what_the_oracle_says(answers: tuple[Answer, Answer]) -> None:
    for one in answers:
        assert one.topic.standing == one.stored == one.oracle
        assert one.topic.conflicts == []


def test_both_orders_lead_to_the_same_alerts(answers: tuple[Answer, Answer]) -> None:
    first, second = answers
    assert first.topic.standing == second.topic.standing
    rules = {rule for rule, _ in (first.topic.subjects[alert_id] for alert_id in first.topic.standing)}
    assert rules == {"A01", "A02", "C01", "C03", "C04", "F02", "H05", "P01", "P02", "P12", "P13", "S01"}
    assert len(first.topic.standing) > 100


def test_the_orders_differed_in_what_was_said_on_the_way(answers: tuple[Answer, Answer]) -> None:
    first, second = answers
    assert first.distinct == second.distinct
    assert min(first.records, second.records) > 1.1 * first.distinct, "repeats"
    assert len(first.topic.withdrawn) > 20, "taken back on the way"
    assert first.topic.withdrawn != second.topic.withdrawn
