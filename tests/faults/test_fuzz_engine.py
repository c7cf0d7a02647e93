"""The fuzz engine finds every kind of defect, in a process that may die of it, and keeps the input."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.fuzz.child import Run
from tests.fuzz.inputs import mutilated
from tests.fuzz.runner import Runner, runner


@pytest.fixture(scope="module")
def warm() -> Iterator[Runner]:
    with runner() as running:
        yield running


@pytest.mark.parametrize(
    ("defect", "said"),
    [("raises", "KeyError"), ("hoards", "MB for"), ("dawdles", "s for"), ("dies", "ended with -6")],
)
def test_a_planted_defect_is_found_and_its_input_kept(
    defect: str, said: str, tmp_path: Path, warm: Runner
) -> None:
    name = f"planted-{defect}"
    outcome = warm.run(Run(name, 20.0), corpus=tmp_path / "corpus")
    assert said in outcome.found
    (kept,) = (tmp_path / "corpus" / name).iterdir()
    assert b"\xff" in kept.read_bytes()


def test_what_is_found_is_made_small(tmp_path: Path, warm: Runner) -> None:
    warm.run(Run("planted-raises", 20.0), corpus=tmp_path / "corpus")
    (kept,) = (tmp_path / "corpus" / "planted-raises").iterdir()
    assert kept.read_bytes() == b"\xff"


def test_a_sound_reader_is_left_alone(tmp_path: Path, warm: Runner) -> None:
    outcome = warm.run(Run("planted-sound", 1.0), corpus=tmp_path / "corpus")
    assert outcome.found == ""
    assert outcome.inputs >= 1_000


def test_the_same_seed_tries_the_same_inputs() -> None:
    first, again, other = ([mutilated(Random(seed), [b"plain"]) for _ in range(20)] for seed in (1, 1, 2))
    assert first == again != other
