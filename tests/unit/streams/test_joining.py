"""A worker joins its group once it can work: until the registry has answered, its partitions are others'."""

from __future__ import annotations

from pathlib import Path

import pytest

from streams.app import router_app
from streams.stage import Stage
from xiezhi.settings import Settings
from xiezhi.telemetry.meters import Meters


def test_the_registry_is_asked_before_there_is_an_application_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    async def writers_known(stage: Stage) -> None:
        asked.append(len(stage.subjects))

    monkeypatch.setattr(Stage, "writers_known", writers_known)
    router_app(Settings(data_dir=tmp_path), Meters())
    assert len(asked) == 1
    assert asked[0] > 10
