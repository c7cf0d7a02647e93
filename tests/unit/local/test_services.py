"""The services file and the environment that services get."""

from __future__ import annotations

from pathlib import Path

import pytest

from xiezhi.errors import ConfigurationError
from xiezhi.local.services import Zone, environment, load_services
from xiezhi.settings import Settings


def services_file(folder: Path, text: str) -> Path:
    file = folder / "services.toml"
    file.write_text(text, "utf-8")
    return file


def test_services_are_read_in_order(tmp_path: Path) -> None:
    text = """
[[service]]
name = "router"
command = ["-m", "streams.app", "router"]
zone = "extranet"
[[service]]
name = "cases"
command = ["-m", "consumers.cases"]
zone = "sealed"
stop_grace_s = 5
before = ["cases", "init"]
"""
    router, cases = load_services(services_file(tmp_path, text))
    assert (router.name, router.command, router.stop_grace_s) == (
        "router",
        ("-m", "streams.app", "router"),
        20.0,
    )
    assert (cases.zone, cases.stop_grace_s) == (Zone.SEALED, 5.0)
    assert (router.before, cases.before) == ((), ("cases", "init"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[service]\n", "is not TOML"),
        ('[[service]]\nname = "a"\ncommand = ["x"]\n', r"service\.0\.zone: Field required"),
        ('[[service]]\nname = "a"\ncommand = []\nzone = "sealed"\n', r"service\.0\.command"),
        ('[[service]]\nname = "A b"\ncommand = ["x"]\nzone = "sealed"\n', r"service\.0\.name"),
        ('[[service]]\nname = "a"\ncommand = ["x"]\nzone = "moon"\n', r"service\.0\.zone"),
        ('[[service]]\nname = "a"\ncommand = ["x"]\nzone = "sealed"\nzoom = 1\n', r"service\.0\.zoom"),
        ('[[service]]\nname = "a"\ncommand = ["x"]\nzone = "sealed"\n' * 2, "two services are called 'a'"),
    ],
)
def test_a_wrong_file_is_refused_with_the_place(tmp_path: Path, text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        load_services(services_file(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cannot read the services file .*services.toml"):
        load_services(tmp_path / "services.toml")


def test_a_service_reads_the_very_settings_it_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = Settings(data_dir=Path("data"), partitions=7, tick_interval_s=0.5, worker="9", log_level="DEBUG")
    for name, value in environment(given).items():
        monkeypatch.setenv(name, value)
    assert Settings() == given.model_copy(update={"data_dir": tmp_path / "data"})


def test_a_file_of_working_days_reaches_a_service_whatever_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "XIEZHI_WORKING_DAYS" not in environment(Settings())
    given = environment(Settings(working_days=Path("days.yaml")))
    assert given["XIEZHI_WORKING_DAYS"] == str(tmp_path / "days.yaml")
