"""Every plot is a case when told plainly, silent with its decisive fact, and a case again when that is removed.

What should be seen is decided by the inspector, who knows the definitions but neither province nor streams.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from producers.province import Label, Province, without_decisive_detail
from producers.province.cases import PLOTS
from producers.province.texts import texts
from tests.properties.province.inspector import Hit, hit, inspect
from tests.properties.province.provinces import SEEDS, province

RULES = ("P01", "P02", "P12", "P13", "C01", "C03", "C04", "F02", "S01", "H05", "A01", "A02")
SUBJECTS = {
    "P01": {"procedure_id"},
    "P02": {"procedure_id"},
    "P12": {"procedure_id", "bidder_a", "bidder_b"},
    "P13": {"procedure_id", "bidder_id", "person"},
    "C01": {"contract_id"},
    "C03": {"contract_id"},
    "C04": {"contract_id"},
    "F02": {"payer_id", "payee_id", "purpose"},
    "S01": {"person", "scheme"},
    "H05": {"person"},
    "A01": {"finding_id"},
    "A02": {"finding_id"},
}
NO_DECOY = "none: it is withdrawn in the second phase"


@cache
def exposed(seed: int) -> Province:
    return without_decisive_detail(province(seed), decoys(province(seed)))


def decoys(made: Province) -> list[Label]:
    return [label for label in made.labels if label.kind == "decoy"]


def expected(made: Province, *kinds: str) -> set[Hit]:
    return {hit(label.rule, **label.subject) for label in made.labels if label.expected in kinds}


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_planted_is_seen_and_nothing_else(seed: int) -> None:
    assert inspect(province(seed).publications) == expected(province(seed), "open", "withdrawn")


@pytest.mark.parametrize("seed", SEEDS)
def test_after_the_corrections_what_rested_on_a_mistake_is_seen_no_more(seed: int) -> None:
    made = province(seed)
    assert expected(made, "withdrawn")
    assert inspect(made.publications + made.corrections) == expected(made, "open")


@pytest.mark.parametrize("seed", SEEDS)
def test_every_decoy_is_seen_without_its_decisive_detail(seed: int) -> None:
    everything = expected(province(seed), "open", "withdrawn", "none")
    assert inspect(exposed(seed).publications) == everything
    assert expected(exposed(seed), "open", "withdrawn") == everything


@pytest.mark.parametrize("seed", SEEDS)
def test_a_decoy_differs_from_its_exposed_self_in_a_few_statements_only(seed: int) -> None:
    planted = province(seed, 0)
    innocent = Counter(map(repr, planted.publications))
    for label in decoys(planted)[seed::9]:
        guilty = Counter(map(repr, without_decisive_detail(planted, [label]).publications))
        assert 0 < sum(((innocent - guilty) + (guilty - innocent)).values()) <= 8, label


def test_every_seed_has_three_cases_and_three_decoys_of_every_rule_at_least() -> None:
    for seed in SEEDS:
        kinds = Counter((label.rule, label.kind) for label in province(seed).labels)
        for rule in RULES:
            assert min(kinds[rule, "case"], kinds[rule, "decoy"]) >= 3, (seed, rule)


def test_the_labels_name_their_subject_as_the_alerts_do() -> None:
    assert {label.rule for label in province(1).labels} == set(RULES)
    for label in province(1).labels:
        assert set(label.subject) == SUBJECTS[label.rule]


def test_what_a_label_names_is_in_the_records() -> None:
    made = province(1)
    values = {
        value
        for publication in made.publications
        if publication.record is not None
        for value in chain.from_iterable(
            entry if isinstance(entry, list) else [entry]
            for entry in publication.record.model_dump().values()
        )
        if isinstance(value, str)
    }
    for label in made.labels:
        assert set(label.subject.values()) <= values, label


def test_no_subject_is_labelled_twice() -> None:
    subjects = Counter(hit(label.rule, **label.subject) for label in province(1).labels)
    assert max(subjects.values()) == 1


def test_no_two_scenes_share_a_record_and_labels_of_a_scene_stay_together() -> None:
    scenes = defaultdict(set)
    for label in province(1).labels:
        for key in ("procedure_id", "contract_id", "finding_id"):
            if key in label.subject:
                scenes[label.subject[key]].add(label.scene)
    assert scenes
    assert all(len(names) == 1 for names in scenes.values())


def test_every_scene_is_explained_in_both_languages() -> None:
    for label in province(1).labels:
        assert label.note_zh
        assert label.note_en
        assert ("；" in label.note_zh) == (label.scene.endswith("/decoy"))


def test_plots_have_names_of_their_own() -> None:
    assert len({plot.key for plot in PLOTS}) == len(PLOTS)
    assert {plot.rule for plot in PLOTS} == set(RULES)


def test_the_reference_page_lists_every_plot_with_its_notes() -> None:
    page = (Path(__file__).parents[3] / "docs" / "reference" / "province.md").read_text("utf-8")
    for plot in PLOTS:
        note = texts().notes[plot.key]
        excuse = (
            f"{note.excuse_en} · {note.excuse_zh}"
            if plot.has_decoy
            else "none: it is withdrawn in the second phase"
        )
        assert f"| {plot.rule} | `{plot.name}` | {note.en} · {note.zh} | {excuse} |" in page
    assert len(re.findall(r"^\| [PCFSHA]\d\d \|", page, re.MULTILINE)) == len(PLOTS)


def test_notes_belong_to_plots_and_decoys_have_an_excuse() -> None:
    assert set(texts().notes) == {plot.key for plot in PLOTS}
    for plot in PLOTS:
        assert bool(texts().notes[plot.key].excuse_zh) == plot.has_decoy
