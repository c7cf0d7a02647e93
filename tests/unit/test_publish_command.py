"""`xiezhi publish --dry-run` and the mistakes that are told before anything is sent. No broker, no registry."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from schemas.catalogue import PAYMENT
from xiezhi.cli.main import cli
from xiezhi.contracts.examples import valid_example
from xiezhi.errors import ConfigurationError

ROOT = Path(__file__).parents[2]


def row(**changes: Any) -> str:
    about = {"occurred_at": "2026-04-20T14:03:11+08:00", "jurisdiction": "110000000000"}
    return json.dumps({**valid_example(PAYMENT), **about, **changes}, ensure_ascii=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "payments.jsonl"
    path.write_text(
        "\n".join([row(record_id="a"), row(record_id="b", kind="gift"), row(record_id="c")]), "utf-8"
    )
    return path


@pytest.fixture(autouse=True)
def project(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("XIEZHI_BOOTSTRAP_SERVERS", "127.0.0.1:1")  # whoever would send, could not
    monkeypatch.setenv("XIEZHI_REGISTRY_URL", "http://127.0.0.1:1")


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(cli, arguments, input=stdin)


def test_a_dry_run_counts_writes_the_refused_rows_and_sends_nothing(file: Path) -> None:
    result = run("publish", "finance.payment", str(file), "--dry-run")
    assert result.stdout == "finance.payment: 2 accepted, 1 refused, nothing sent (dry run)\n"
    assert result.exit_code == 1
    refused = Path(f"{file}.refused.jsonl")
    assert str(refused) in result.stderr
    [entry] = [json.loads(line) for line in refused.read_text("utf-8").splitlines()]
    assert (entry["line"], entry["record_id"], entry["field"]) == (2, "b", "kind")


def test_without_refused_rows_the_exit_code_is_0_and_no_file_stays(file: Path) -> None:
    file.write_text(row())
    result = run("publish", "finance.payment.v1", str(file), "--dry-run")
    assert (result.exit_code, result.stderr) == (0, "")
    assert list(file.parent.iterdir()) == [file]


def test_standard_input_is_json_lines_and_another_file_needs_a_suffix_or_its_format(tmp_path: Path) -> None:
    refused, unnamed = ("--refused", str(tmp_path / "refused")), tmp_path / "records"
    unnamed.write_text(row())
    assert run("publish", "finance.payment", str(unnamed), "--dry-run", *refused).exit_code == 2
    result = run("publish", "finance.payment", "-", "--dry-run", *refused, stdin=row())
    assert (result.exit_code, result.stdout[:28]) == (0, "finance.payment: 1 accepted,")


def test_a_table_is_mapped_and_its_persons_become_tokens(tmp_path: Path) -> None:
    table, mapping, key = tmp_path / "payments.CSV", tmp_path / "map.yaml", tmp_path / "keys" / "token.key"
    table.write_bytes('流水号,金额(元),收款人\n1,"1,000.50",made-up-1\n2,一千,made-up-1\n'.encode("gb18030"))
    fields = {name: f"{{constant: '{value}'}}" for name, value in valid_example(PAYMENT).items()}
    fields |= {
        "record_id": "{column: 流水号}",
        "amount_minor": "{column: 金额(元), yuan: true}",
        "payee_id": "{column: 收款人, token: synthetic}",
        "occurred_at": "{constant: 2026-04-20T14:03:11+08:00}",
    }
    mapping.write_text("fields:\n" + "".join(f"  {name}: {rule}\n" for name, rule in fields.items()), "utf-8")
    options = ("--map", str(mapping), "--token-key", str(key), "--jurisdiction", "110000000000")
    result = run("publish", "finance.payment", str(table), "--dry-run", *options)
    assert (result.exit_code, result.stdout) == (
        1,
        "finance.payment: 1 accepted, 1 refused, nothing sent (dry run)\n",
    )
    refused = Path(f"{table}.refused.jsonl").read_text("utf-8")
    assert json.loads(refused)["field"] == "amount_minor"
    assert "made-up" not in refused
    assert key.exists()


def test_an_envelope_that_would_be_refused_is_refused_in_a_dry_run_too(file: Path) -> None:
    result = run("publish", "finance.payment", str(file), "--dry-run", "--source", "urn:a\x01")
    assert "0 accepted, 3 refused" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["publish", "finance.paymet"], "did you mean finance.payment"),
        (["publish", "xiezhi.alert"], "written by the bus itself"),
        (["publish", "finance.payment", "--map", "nowhere.yaml"], r"nowhere\.yaml"),
        (["publish", "finance.payment", "--refused", "nowhere/refused"], "nowhere/refused"),
    ],
)
def test_a_mistake_is_one_sentence_and_the_next_step(file: Path, arguments: list[str], message: str) -> None:
    command, name, *options = arguments
    result = run(command, name, str(file), "--dry-run", *options)
    assert isinstance(result.exception, ConfigurationError)
    with pytest.raises(ConfigurationError, match=message):
        raise result.exception


def test_a_registry_that_is_away_ends_the_run_with_exit_code_2(file: Path) -> None:
    result = run("publish", "finance.payment", str(file))
    assert result.exit_code == 2
    assert "0 accepted, 0 refused, 0 sent" in result.stdout
    assert "schema registry http://127.0.0.1:1" in result.stderr


@pytest.mark.parametrize("instant", ["yesterday", "2026-03-01", "2026-03-01T09:00:00"])
def test_a_withdrawal_needs_an_instant_with_a_time_zone(instant: str) -> None:
    result = run(
        *("withdraw", "finance.payment", "a", "--version", "1"),
        *("--occurred-at", instant, "--jurisdiction", "110000000000"),
    )
    assert result.exit_code == 2
    assert "--occurred-at" in result.stderr
