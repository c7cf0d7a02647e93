"""`xiezhi contracts list | show | example` need no broker and no registry."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from schemas.catalogue import CONTRACTS, PAYMENT
from xiezhi.cli.contracts import contracts
from xiezhi.contracts.bus import ALERT, BUS_CONTRACTS
from xiezhi.contracts.types import to_instant_ms
from xiezhi.errors import ConfigurationError

PROJECT = Path(__file__).parents[3]


@pytest.fixture(autouse=True)
def _in_the_project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(PROJECT)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(contracts, arguments)


def test_list_names_every_contract_with_its_topic() -> None:
    lines = run("list").stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[c.name, c.topic] for c in (*CONTRACTS, *BUS_CONTRACTS)]


def test_show_explains_every_field_by_name_and_by_topic() -> None:
    shown = run("show", "finance.payment").stdout
    assert shown == run("show", "finance.payment.v1").stdout
    assert all(field["doc"] in shown for field in PAYMENT.schema["fields"])


def test_show_all_is_the_reference_page() -> None:
    assert run("show", "--all").stdout == (PROJECT / "docs/reference/contracts.md").read_text("utf-8")


def test_show_avro_is_the_schema() -> None:
    assert json.loads(run("show", "xiezhi.alert", "--avro").stdout) == ALERT.schema


def test_show_without_a_name_says_what_to_give() -> None:
    result = run("show")
    assert result.exit_code == 2
    assert "NAME" in result.stderr


def test_an_unknown_name_is_an_error_with_a_suggestion() -> None:
    assert isinstance(run("show", "finance.paymnt").exception, ConfigurationError)


def test_an_example_is_one_line_ready_to_be_published() -> None:
    (line,) = run("example", "finance.payment").stdout.splitlines()
    fields = json.loads(line)
    assert fields.pop("version") == 0
    assert to_instant_ms(fields.pop("occurred_at")) > 0
    assert len(fields.pop("jurisdiction")) == 12
    PAYMENT.model.model_validate(fields)


def test_an_invalid_example_says_on_standard_error_what_is_wrong() -> None:
    result = run("example", "finance.payment", "--invalid")
    assert json.loads(result.stdout)["amount_minor"] < 0
    assert "amount_minor" in result.stderr
