"""The fuzz engine finds every kind of defect, in a process that may die of it, and keeps the input."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.runner import Run, run_target


@pytest.mark.parametrize(
    ("defect", "said"),
    [("raises", "KeyError"), ("hoards", "MB for"), ("dawdles", "s for"), ("dies", "ended with -6")],
)
def test_a_planted_defect_is_found_and_its_input_kept(defect: str, said: str, tmp_path: Path) -> None:
    name = f"planted-{defect}"
    outcome = run_target(Run(name, 20.0), corpus=tmp_path / "corpus")
    assert said in outcome.found
    (kept,) = (tmp_path / "corpus" / name).iterdir()
    assert b"\xff" in kept.read_bytes()


def test_a_sound_reader_is_left_alone(tmp_path: Path) -> None:
    outcome = run_target(Run("planted-sound", 1.0), corpus=tmp_path / "corpus")
    assert outcome.found == ""
    assert outcome.inputs >= 100
