"""Which generation is live is written once and read by everybody; a variable wins."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from xiezhi.cli.stack import _of_live_generation
from xiezhi.contracts.naming import fact_topic
from xiezhi.errors import ConfigurationError
from xiezhi.groups import inputs_of_groups, of_generation, service_of
from xiezhi.local.stack import LocalStack
from xiezhi.project import Project
from xiezhi.settings import GENERATION_FILE, Settings, live_generation


@pytest.fixture(autouse=True)
def _no_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XIEZHI_GENERATION", raising=False)


def test_the_file_says_which_generation_is_live_unless_a_variable_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Settings(data_dir=tmp_path).generation == 1
    (tmp_path / GENERATION_FILE).write_text("3\n", "ascii")
    assert Settings(data_dir=tmp_path).generation == 3
    monkeypatch.setenv("XIEZHI_GENERATION", "2")
    assert Settings(data_dir=tmp_path).generation == 2


def test_a_file_that_says_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / GENERATION_FILE).write_text("", "ascii")
    with pytest.raises(ConfigurationError, match="holds no number"):
        live_generation(tmp_path)


def test_generations_share_neither_groups_nor_facts() -> None:
    first, second = (inputs_of_groups(["tender.bid.v1"], generation) for generation in (1, 2))
    assert second["xiezhi-router.g2"] == first["xiezhi-router"]
    assert second["xiezhi-judge.g2"] == (fact_topic(2),)
    assert first["xiezhi-judge"] == (fact_topic(1),)
    assert second["xiezhi-alert-store"] == first["xiezhi-alert-store"]
    assert [service_of(of_generation("xiezhi-judge", number)) for number in (1, 2)] == ["judge", "judge"]


class Stack:
    """What is used of a stack: which generation its services were started with."""

    def __init__(self) -> None:
        self.started: list[int] = []

    def start_services(self, services: Any, settings: Settings, cwd: Path) -> None:
        self.started.append(settings.generation)


def test_up_starts_its_services_anew_once_another_generation_is_live(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack, project = Stack(), Project(tmp_path, cast(Any, type("Named", (), {"services": ""})))
    settings = Settings(data_dir=tmp_path)

    def look() -> Settings:
        return _of_live_generation(cast(LocalStack, stack), project, settings)

    settings = look()
    assert stack.started == []
    (tmp_path / GENERATION_FILE).write_text("2\n", "ascii")
    settings = look()
    settings = look()
    assert (stack.started, settings.generation) == ([2], 2)
    (tmp_path / GENERATION_FILE).write_text("3\n", "ascii")
    monkeypatch.setenv("XIEZHI_GENERATION", "2")
    assert look().generation == 2, "who sets the variable decides"
