"""Finding and loading the project around the wheel, and the commands it adds."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

import pytest

from xiezhi.errors import ConfigurationError
from xiezhi.project import load_project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def project_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project; the path and the modules it brings are taken back after the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    write(
        tmp_path / "xiezhi.toml",
        """
        [project]
        contracts = "county_schemas"
        commands = ["county_commands"]
        services = "services.toml"
        """,
    )
    write(
        tmp_path / "county_schemas.py",
        """
        from pathlib import Path
        from xiezhi.contracts.base import Classification, Contract, Record
        CONTRACTS = (Contract("county", "permit", Record, Path("."), Classification.INTERNAL),)
        """,
    )
    write(
        tmp_path / "county_commands.py",
        """
        import click
        @click.command()
        def greet() -> None:
            "Say hello."
            click.echo("hello from the county")
        COMMANDS = (greet,)
        """,
    )
    write(
        tmp_path / "services.toml",
        """
        [[service]]
        name = "router"
        command = ["-m", "county"]
        zone = "extranet"
        """,
    )
    for name in ("county_schemas", "county_commands"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def write(file: Path, text: str) -> None:
    file.write_text(textwrap.dedent(text), "utf-8")


def test_the_project_is_found_from_a_folder_below_it(project_folder: Path) -> None:
    below = project_folder / "some" / "folder"
    below.mkdir(parents=True)
    assert load_project(below).root == project_folder
    assert str(project_folder) in sys.path


def test_without_a_project_the_error_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=rf"no xiezhi.toml in {tmp_path} or above"):
        load_project(tmp_path)


def test_contracts_are_the_departments_then_the_bus_ones(project_folder: Path) -> None:
    contracts = load_project(project_folder).contracts()
    assert contracts[0].name == "county.permit"
    assert {contract.owner for contract in contracts[1:]} == {"xiezhi"}


@pytest.mark.parametrize("name", ["county.permit", "county.permit.v1"])
def test_a_contract_goes_by_its_name_and_by_its_topic(project_folder: Path, name: str) -> None:
    assert load_project(project_folder).contract(name).topic == "county.permit.v1"


def test_a_misspelt_contract_is_answered_with_the_nearest(project_folder: Path) -> None:
    with pytest.raises(
        ConfigurationError, match=r"no contract called 'county.premit'; did you mean county.permit"
    ):
        load_project(project_folder).contract("county.premit")


def test_commands_and_services_are_those_the_file_names(project_folder: Path) -> None:
    project = load_project(project_folder)
    assert [command.name for command in project.commands()] == ["greet"]
    assert [service.name for service in project.services] == ["router"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[project", "cannot read"),
        ("", r"project: Field required"),
        ('[project]\ncontracts = "x"\ncolour = "red"\n', r"project\.colour"),
        ("[project]\ncommands = []\n", r"project\.contracts: Field required"),
    ],
)
def test_a_wrong_project_file_is_refused_with_the_place(
    project_folder: Path, text: str, complaint: str
) -> None:
    write(project_folder / "xiezhi.toml", text)
    with pytest.raises(ConfigurationError, match=complaint):
        load_project(project_folder)


def test_a_module_that_does_not_exist_is_named(project_folder: Path) -> None:
    write(project_folder / "xiezhi.toml", '[project]\ncontracts = "nowhere.catalogue"\n')
    with pytest.raises(ConfigurationError, match=r"names nowhere.catalogue, and there is no module nowhere"):
        load_project(project_folder).contracts()


def test_a_module_without_contracts_is_named(project_folder: Path) -> None:
    write(project_folder / "xiezhi.toml", '[project]\ncontracts = "county_commands"\n')
    with pytest.raises(ConfigurationError, match="names county_commands, which has no tuple CONTRACTS"):
        load_project(project_folder).contracts()


def test_a_missing_package_is_told_from_a_missing_module(project_folder: Path) -> None:
    write(project_folder / "county_commands.py", "import package_nobody_has\n")
    with pytest.raises(ConfigurationError, match=r"county_commands needs the package package_nobody_has"):
        load_project(project_folder).commands()


def test_this_project_loads() -> None:
    project = load_project(ROOT)
    names = [service.name for service in project.services]
    assert names == ["router", "clock", "judge", "alert-store", "audit", "monitor"]
    assert project.contract("finance.payment").topic == "finance.payment.v1"
