"""The rules find everything that the synthetic province plants, nothing else, and every decoy without its excuse."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from deploy.demo import end_of_calendar_ms
from producers.province import Province, generate
from producers.province.generate import without_decisive_detail
from producers.province.labels import Label
from producers.province.publication import Publication
from streams.kernel import Statement
from tests.builders import judge, statement

UNTIL_MS = 1_790_000_000_000
PLANTED_ALONE = 0

Subject = tuple[str, frozenset[tuple[str, str]]]


def found(publications: Iterable[Publication], now_ms: int = UNTIL_MS) -> set[Subject]:
    verdict = judge(_standing(publications), pack="cn", now=now_ms)
    return {(one.owner, frozenset(one.content["subject"].items())) for one in verdict.alerts.values()}


def subjects(labels: Iterable[Label]) -> set[Subject]:
    return {(label.rule, frozenset(label.subject.items())) for label in labels}


def _standing(publications: Iterable[Publication]) -> list[Statement]:
    newest: dict[tuple[str, str], Publication] = {}
    for one in publications:
        held = newest.get((one.contract.topic, one.record_id))
        if held is None or one.version > held.version:
            newest[one.contract.topic, one.record_id] = one
    return [_statement(one) for one in newest.values() if one.record is not None]


def _statement(one: Publication) -> Statement:
    assert one.record is not None
    fields = one.record.model_dump(exclude={"record_id"})
    return statement(
        one.contract,
        one.record_id,
        version=one.version,
        occurred=one.occurred_ms,
        jurisdiction=one.jurisdiction,
        **fields,
    )


@pytest.fixture(scope="module", params=[1, 2, 3])
def province(request: pytest.FixtureRequest) -> Province:
    return generate(request.param, PLANTED_ALONE, until_ms=UNTIL_MS)


def test_what_is_planted_is_found_and_no_decoy_is(province: Province) -> None:
    expected = [label for label in province.labels if label.expected != "none"]
    assert expected
    assert found(province.publications) == subjects(expected)


def test_what_a_correction_takes_back_is_withdrawn(province: Province) -> None:
    expected = [label for label in province.labels if label.expected == "open"]
    assert found((*province.publications, *province.corrections)) == subjects(expected)


def test_every_decoy_fires_without_its_decisive_detail(province: Province) -> None:
    decoys = [label for label in province.labels if label.kind == "decoy"]
    exposed = without_decisive_detail(province, decoys)
    labels = [label for label in exposed.labels if label.scene in {decoy.scene for decoy in decoys}]
    assert subjects(decoys) <= subjects(labels)
    assert subjects(label for label in labels if label.expected == "open") <= found(exposed.publications)
    assert {label.expected for label in labels} == {"open"}


def test_a_province_that_ends_with_the_calendar_is_found_in_any_later_year() -> None:
    """As the demonstration makes it once the calendar of this release has ended."""
    until_ms = end_of_calendar_ms()
    made = generate(1, PLANTED_ALONE, until_ms=until_ms)
    expected = subjects(label for label in made.labels if label.expected != "none")
    for now_ms in (until_ms, until_ms + 3 * 365 * 86_400_000):
        assert found(made.publications, now_ms) == expected
