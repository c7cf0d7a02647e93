"""The province as files and as a command: what is written can be read back, mistakes are told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from click.testing import CliRunner

from producers import cli as producers_cli
from producers.province import Province, generate, read_labels
from producers.province.cli import province
from producers.province.files import CORRECTIONS, LABELS, WITHDRAWALS, write_province
from schemas.catalogue import CONTRACTS
from xiezhi.contracts.types import to_instant_ms

UNTIL = "2026-08-01T00:00:00+08:00"


@pytest.fixture(scope="module")
def made() -> Province:
    return generate(3, 2_500, until_ms=int(to_instant_ms(UNTIL)))


def test_files_hold_every_publication_as_departments_write_them(made: Province, tmp_path: Path) -> None:
    write_province(made, tmp_path)
    published = Counter(p.contract.name for p in made.publications if p.record is not None)
    for contract in CONTRACTS:
        lines = (tmp_path / f"{contract.name}.jsonl").read_text("utf-8").splitlines()
        assert len(lines) == published[contract.name]
        for line in lines[:50]:
            said = json.loads(line)
            assert len(said.pop("jurisdiction")) == 12
            assert said.pop("version") >= 0
            assert to_instant_ms(said.pop("occurred_at")) < made.until_ms
            contract.model(**said)


def test_withdrawals_and_corrections_have_files_of_their_own(made: Province, tmp_path: Path) -> None:
    write_province(made, tmp_path)
    taken_back = [json.loads(line) for line in (tmp_path / WITHDRAWALS).read_text("utf-8").splitlines()]
    assert len(taken_back) == sum(p.record is None for p in made.publications)
    assert {"contract", "record_id", "version", "occurred_at", "jurisdiction"} == set(taken_back[0])
    files = sorted(file.name for file in (tmp_path / CORRECTIONS).iterdir())
    assert files == ["audit.rectification.jsonl", "civil.death.jsonl"]


def test_labels_come_back_as_they_were(made: Province, tmp_path: Path) -> None:
    write_province(made, tmp_path)
    assert read_labels(tmp_path / LABELS) == made.labels


def test_the_command_writes_a_province_and_says_what_is_in_it(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        province, ["--seed", "3", "--records", "2500", "--until", UNTIL, "--out", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    assert "2,500 records" in done.output
    assert (tmp_path / LABELS).exists()


def test_the_command_runs_as_a_module(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "producers.province", "--records", "0", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[3])
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tender.notice.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "--out DIR"),
        (["--out", "x", "--until", "yesterday"], "--until"),
        (["--out", "x", "--until", "2026-08-01T00:00:00"], "time zone"),
        (["--out", "x", "--rate", "0"], "--rate"),
    ],
)
def test_the_command_says_what_is_wrong_with_its_arguments(arguments: list[str], says: str) -> None:
    done = CliRunner().invoke(province, arguments)
    assert done.exit_code == 2
    assert says in done.output


def test_it_is_one_of_the_commands_that_producers_add() -> None:
    assert province in producers_cli.COMMANDS


@pytest.mark.parametrize(
    ("arguments", "phase"),
    [
        (["--publish", "--rate", "5"], "main"),
        (["--publish=corrections"], "corrections"),
        (["--out", "x"], None),
    ],
)
def test_the_phase_to_publish_is_the_main_one_unless_named(arguments: list[str], phase: str | None) -> None:
    assert province.make_context("province", arguments).params["phase"] == phase
