"""What fuzzing once found stays mended, and every target understands what it should."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fuzz.catalogue import target_of
from tests.fuzz.probe import FindingError, probe
from tests.fuzz.runner import CORPUS
from tests.fuzz.targets import TARGETS

FOUND = sorted(CORPUS.glob("*/*.bin"))


@pytest.fixture(autouse=True)
def _traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("file", FOUND, ids=lambda file: f"{file.parent.name}/{file.stem}")
def test_what_was_found_once_is_found_no_more(file: Path) -> None:
    target = TARGETS[file.parent.name]
    target.read(target.seeds[0])  # what is loaded once is nobody's finding
    probe(target, file.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_every_target_understands_what_an_honest_writer_sends(name: str) -> None:
    for data in TARGETS[name].seeds:
        TARGETS[name].read(data)


def test_an_error_of_the_family_is_no_finding() -> None:
    probe(target_of("planted-sound"), b"\xff")
    with pytest.raises(FindingError):
        probe(target_of("planted-raises"), b"\xff")
