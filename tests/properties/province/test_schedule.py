"""Records arrive late, twice, corrected, out of order and are taken back; all of it can be found in a province."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

import pytest

from producers.province import DEFAULT_SIZE, Province, Publication
from producers.province.days import DAY_MS
from schemas.catalogue import ALLOWANCE, ASSIGNMENT, BID, DEATH, OWNERSHIP, PANEL, PAYMENT, RECTIFICATION
from tests.properties.province.provinces import province


@pytest.fixture(scope="module")
def made() -> Province:
    return province(1, DEFAULT_SIZE)


def _versions(made: Province) -> Iterator[list[tuple[int, Publication]]]:
    """Places and publications of each record that has several, in the order of arrival."""
    grouped: dict[tuple[str, str], list[tuple[int, Publication]]] = defaultdict(list)
    for place, publication in enumerate(made.publications):
        grouped[publication.contract.name, publication.record_id].append((place, publication))
    return (group for group in grouped.values() if len(group) > 1)


def test_one_record_and_version_always_says_the_same(made: Province) -> None:
    for group in _versions(made):
        said = {publication.version: publication for _, publication in group}
        assert all(publication == said[publication.version] for _, publication in group)
        assert sorted(said) == list(range(len(said)))


def test_some_records_are_published_again_exactly_as_they_were(made: Province) -> None:
    copies = [group for group in _versions(made) if len({p.version for _, p in group}) < len(group)]
    share = len(copies) / len(made.publications)
    assert 0.01 < share < 0.04


def test_some_records_arrive_months_after_their_neighbours(made: Province) -> None:
    reached, late = 0, Counter[str]()
    for publication in made.publications:
        if reached - publication.occurred_ms > 60 * DAY_MS:
            late[publication.contract.name] += 1
        reached = max(reached, publication.occurred_ms)
    assert sum(late.values()) > 50
    assert len(late) > 8


def test_some_corrections_arrive_before_what_they_correct(made: Province) -> None:
    overtaken = [
        group for group in _versions(made) if any(b.version < a.version for (_, a), (_, b) in pairwise(group))
    ]
    assert len(overtaken) > 20


@pytest.mark.parametrize(
    ("contract", "key"),
    [
        (PAYMENT, "contract_id"),
        (OWNERSHIP, "company_id"),
        (ALLOWANCE, "person"),
        (PANEL, "person"),
        (DEATH, "person"),
    ],
)
def test_corrections_change_keys(made: Province, contract: object, key: str) -> None:
    keys = defaultdict(set)
    for publication in made.publications:
        if publication.contract is contract and publication.record is not None:
            keys[publication.record_id].add(getattr(publication.record, key))
    assert max(map(len, keys.values())) > 1


def test_records_of_several_kinds_are_withdrawn_and_a_withdrawal_can_come_first(made: Province) -> None:
    withdrawn = Counter(p.contract for p in made.publications if p.record is None)
    assert {PAYMENT, BID, ALLOWANCE, ASSIGNMENT} <= set(withdrawn)
    assert [group for group in _versions(made) if group[0][1].record is None]


def test_a_withdrawal_is_never_the_first_version(made: Province) -> None:
    assert all(p.version > 0 for p in made.publications if p.record is None)


def test_one_death_turns_out_to_be_another_persons_after_the_alert(made: Province) -> None:
    (correction,) = (one for one in made.corrections if one.contract is DEATH)
    (label,) = [label for label in made.labels if label.expected == "withdrawn" and label.rule == "S01"]
    (death,) = {p for p in made.publications if p.record_id == correction.record_id}
    assert correction.version == death.version + 1
    assert getattr(death.record, "person", "") == label.subject["person"]
    assert getattr(correction.record, "person", "") != label.subject["person"]


def test_one_finding_is_closed_after_the_alert_about_its_deadline(made: Province) -> None:
    (closure,) = (one for one in made.corrections if one.contract is RECTIFICATION)
    (label,) = [label for label in made.labels if label.expected == "withdrawn" and label.rule == "A01"]
    assert getattr(closure.record, "finding_id", "") == label.subject["finding_id"]
    assert getattr(closure.record, "status", "") == "accepted"
    assert len(made.corrections) == 2
