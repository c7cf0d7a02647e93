"""The ordinary life of the province is far from suspicious, at its end and on the way there, and yet alive."""

from __future__ import annotations

import random
from collections import Counter, defaultdict

from schemas import catalogue
from tests.properties.province.inspector import Limits, inspect, standing
from tests.properties.province.provinces import background, province

#: Lines drawn well inside the law's: a background record that only just passes would be luck.
STRICT = Limits(
    window_days=25,
    controlling_permille=101,
    changes=2,
    rises_within_days=400,
    tolerance_permille=0,
    grace_days=0,
    rectification_days=50,
    approval_minor=100_000_00,
    parts_within_days=14,
)


def test_nothing_is_suspicious_even_by_stricter_rules() -> None:
    assert inspect(background().publications, STRICT) == set()


def test_the_strict_limits_would_notice() -> None:
    looser = Limits(
        rectification_days=30, window_days=60, bidders=7, changes=1, controlling_permille=20, projects=1
    )
    assert {rule for rule, _ in inspect(background().publications, looser)} >= {
        "P01",
        "P02",
        "C01",
        "P12",
        "H05",
    }


def test_nothing_looks_suspicious_on_the_way_either() -> None:
    rng = random.Random(3)
    publications = background().publications
    for _ in range(8):
        assert inspect(publications[: rng.randrange(len(publications))]) == set()


def test_the_silence_of_a_decoy_never_rests_on_something_still_to_come() -> None:
    made = province(1, 0)
    silent = {
        (label.rule, frozenset(label.subject.items())) for label in made.labels if label.expected == "none"
    }
    for end in range(30, len(made.publications), 30):
        assert not inspect(made.publications[:end]) & silent


def test_benefits_end_with_their_recipient_though_many_die() -> None:
    entries = standing(background().publications)
    deaths = {death["person"] for death in entries[catalogue.DEATH]}
    kinds = Counter(a["kind"] for a in entries[catalogue.ALLOWANCE] if a["person"] in deaths)
    assert len(deaths) > 20
    assert kinds["funeral"] == len(deaths)
    assert sum(kinds.values()) > 5 * len(deaths)


def test_companies_have_owners_over_several_levels_and_small_holders_in_common() -> None:
    owned_by = defaultdict(set)
    for interest in standing(background().publications)[catalogue.OWNERSHIP]:
        owned_by[interest["company_id"]].add(interest["holder_id"])
    deep = [
        company
        for company, holders in owned_by.items()
        if any(above in owned_by for holder in holders for above in owned_by.get(holder, ()))
    ]
    held = Counter(holder for holders in owned_by.values() for holder in holders)
    assert len(deep) > 10
    assert held.most_common(1)[0][1] > 10


def test_procedures_end_in_every_way_and_contracts_are_at_every_stage() -> None:
    entries = standing(background().publications)
    assert {n["status"] for n in entries[catalogue.NOTICE]} == {"complete", "cancelled"}
    assert {n["method"] for n in entries[catalogue.NOTICE]} == {"open", "selective", "limited", "direct"}
    accepted = {a["contract_id"] for a in entries[catalogue.ACCEPTANCE] if a["outcome"] == "accepted"}
    contracts = {c["contract_id"] for c in entries[catalogue.CONTRACT]}
    assert 0 < len(contracts - accepted) < len(contracts) / 2
