"""A province is a function of seed, size and end; every record in it keeps its contract and says it is made up."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from producers.province import DEFAULT_SIZE, Province, Publication, generate
from producers.province.days import DAY_MS, YEARS_DAYS, months_from, to_date
from producers.province.units import COUNTIES, company, dice, person
from schemas.catalogue import CONTRACTS
from tests.properties.province.provinces import UNTIL_MS, province
from xiezhi.codec import Codec
from xiezhi.contracts.types import credit_code_check
from xiezhi.envelope import Envelope
from xiezhi.registry import InMemoryRegistry

ROOT = Path(__file__).parents[3]


def records(made: Province) -> set[tuple[str, str]]:
    return {(p.contract.name, p.record_id) for p in made.publications}


def test_the_same_seed_gives_the_same_province() -> None:
    assert generate(1, 2_500, until_ms=UNTIL_MS) == province()


def test_another_seed_gives_other_records_and_other_labels() -> None:
    other = province(2)
    assert not records(other) & records(province())
    assert not {str(label.subject) for label in other.labels} & {
        str(label.subject) for label in province().labels
    }


def test_another_end_moves_everything() -> None:
    later = generate(1, 2_500, until_ms=UNTIL_MS + 100 * DAY_MS)
    assert later.publications[0].occurred_ms == province().publications[0].occurred_ms + 100 * DAY_MS


def test_the_default_is_twenty_thousand_records_of_every_type() -> None:
    made = province(1, DEFAULT_SIZE)
    by_type = Counter(contract for contract, _ in records(made))
    assert sum(by_type.values()) == DEFAULT_SIZE
    assert set(by_type) == {contract.name for contract in CONTRACTS}
    assert min(by_type.values()) > 100


@pytest.mark.parametrize("size", [2_500, 3_333])
def test_a_size_is_met_exactly(size: int) -> None:
    assert len(records(province(1, size))) == size


def test_a_size_too_small_for_a_society_leaves_the_planted_scenes_alone() -> None:
    alone = province(1, 0)
    assert 500 < len(records(alone)) < 2_000
    assert alone.labels == province().labels
    assert records(alone) < records(province())


def test_everything_happened_in_the_two_years_before_the_end() -> None:
    made = province(1, DEFAULT_SIZE)
    instants = [p.occurred_ms for p in made.publications + made.corrections]
    assert max(instants) < UNTIL_MS
    assert min(instants) > UNTIL_MS - (YEARS_DAYS + 2) * DAY_MS
    assert max(instants) - min(instants) > 700 * DAY_MS


def test_no_instant_within_a_record_lies_after_the_end_except_the_end_of_a_contract() -> None:
    for publication in province(1, DEFAULT_SIZE).publications:
        for name, value in (publication.record.model_dump() if publication.record else {}).items():
            if (
                name.endswith("_at")
                and name not in ("starts_at", "ends_at", "bid_deadline")
                and value is not None
            ):
                assert value < UNTIL_MS, (publication.contract.name, name)


def test_every_record_keeps_its_contract_in_model_and_schema() -> None:
    registry = InMemoryRegistry()
    for contract in CONTRACTS:
        registry.register(contract.subject, (contract.folder / f"{contract.record}.avsc").read_text("utf-8"))
    codec = Codec(registry)
    for publication in province().publications + province().corrections:
        if publication.record is not None:
            assert type(publication.record) is publication.contract.model
            value = publication.record.model_dump()
            assert publication.contract.model(**value) == publication.record
            assert codec.decode(codec.encode(publication.contract.subject, value)) == value


def test_every_envelope_can_be_made_and_says_that_the_record_is_synthetic() -> None:
    for publication in province().publications + province().corrections:
        envelope = _envelope(publication)
        assert envelope.source == f"urn:xiezhi:synthetic:province:{publication.contract.owner}"
        assert envelope.jurisdiction.startswith("99")


def _envelope(publication: Publication) -> Envelope:
    return Envelope.create(
        source=publication.source,
        type=publication.contract.topic,
        subject=publication.record_id,
        occurred_ms=publication.occurred_ms,
        version=publication.version,
        jurisdiction=publication.jurisdiction,
    )


def test_record_ids_say_nothing_about_what_was_planted() -> None:
    said = {part.lower() for label in province().labels for part in label.scene.split("/")}
    ids = " ".join(p.record_id for p in province().publications).lower()
    assert not [word for word in said if len(word) > 3 and word in ids]


def test_organisations_and_persons_are_nobody() -> None:
    rng = dice("somebody")
    code = company(rng, COUNTIES[0]).removeprefix("CN-USCC-")
    assert len(code) == 18
    assert code[2:4] == "99"
    assert credit_code_check(code) == code[17]
    assert person(rng).startswith("pt1_")
    assert person(rng) != person(rng)


def test_months_are_whole_and_begin_on_or_after_a_day() -> None:
    day = 20_000
    months = months_from(day, 14)
    assert months[0][0] >= day
    assert all(to_date(first).day == 1 for first, _ in months)
    assert all(last + 1 == following for (_, last), (following, _) in pairwise(months))
    assert months_from(months[3][0], 1) == [months[3]]


def _imports(folder: Path) -> Iterator[tuple[Path, str]]:
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield file, node.module or ""


def test_the_province_knows_neither_joins_nor_rules_and_they_know_nothing_of_it() -> None:
    inside = list(_imports(ROOT / "producers" / "province"))
    assert ("producers.province.scene" in {name for _, name in inside}) is True
    assert not [place for place in inside if place[1].split(".")[0] in ("streams", "consumers", "deploy")]
    others = [*_imports(ROOT / "streams"), *_imports(ROOT / "consumers"), *_imports(ROOT / "xiezhi")]
    assert not [place for place in others if place[1].startswith("producers")]
