"""`xiezhi import …`: summaries, exit codes, the file of refusals, and a bus that goes away."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from producers.importers_cli import COMMANDS, EXIT_NOT_DELIVERED, Options, Run, summary
from producers.ocds.reader import read_ocds
from xiezhi.errors import DeliveryError, RecordRefusedError
from xiezhi.files.refused import RefusedRecords

RELEASE = {
    "ocid": "ocds-x-1",
    "date": "2021-03-01T10:00:00Z",
    "parties": [{"id": "s", "name": "Some Body", "identifier": {"scheme": "GB-COH", "id": "1"}}],
    "tender": {"id": "t", "tenderers": [{"id": "s"}], "items": [{}]},
    "awards": [{"id": "a", "status": "active", "suppliers": [{"id": "s"}]}],
}
PERSON = {
    "statementID": "p",
    "statementType": "personStatement",
    "names": [{"fullName": "Some Body"}],
}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str, **files: list[Any]) -> Result:
        for name, elements in files.items():
            lines = (each if isinstance(each, str) else json.dumps(each) for each in elements)
            Path(f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
        return CliRunner().invoke(COMMANDS[0], arguments)

    return command


def test_a_dry_run_accounts_for_everything_and_leaves_no_file(run: Any, tmp_path: Path) -> None:
    result = run("ocds", "--dry-run", "--json", "data.jsonl", data=[RELEASE, RELEASE | {"ocid": "ocds-x-2"}])
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "format": "ocds",
        "files": ["data.jsonl"],
        "dry_run": True,
        "read": 2,
        "published": {"tender.award": 2, "tender.bid": 2},
        "withdrawn": {},
        "left_aside": {"tender without buyer": 2, "section tender.items": 2},
        "remarks": {},
        "refused": 0,
        "refused_file": None,
        "delivered": 0,
        "not_delivered": 0,
    }
    assert [path.name for path in tmp_path.iterdir()] == ["data.jsonl"]


def test_the_table_says_the_same_for_people(run: Any) -> None:
    result = run("ocds", "--dry-run", "data.jsonl", data=[RELEASE])
    lines = [line.split("  ") for line in result.stdout.splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert ["would publish 可发布", "tender.bid", "1"] in cells
    assert ["left aside 未采用", "section tender.items", "1"] in cells


def test_refusals_go_to_a_file_with_their_place_and_without_the_data(run: Any, tmp_path: Path) -> None:
    bad = RELEASE | {"awards": [{"id": "a", "status": "Some Body"}]}
    result = run("ocds", "--dry-run", "--refused", "no.jsonl", "data.jsonl", data=[RELEASE, "", "{", bad])
    assert result.exit_code == 1
    text = (tmp_path / "no.jsonl").read_text("utf-8")
    refusals = [json.loads(line) for line in text.splitlines()]
    assert [(each["line"], each["field"], each["record_id"]) for each in refusals] == [
        (3, "", ""),
        (4, "status", "ocds-x-1:award:a"),
    ]
    assert refusals[0]["row"]["file"] == "data.jsonl"
    assert "no.jsonl" in result.stderr
    assert "Some Body" not in text + result.output


def test_several_files_are_one_import(run: Any) -> None:
    statements = {
        "entity": {"statementID": "e", "statementType": "entityStatement"},
        "owns": {
            "statementID": "o",
            "statementType": "ownershipOrControlStatement",
            "subject": {"describedByEntityStatement": "e"},
            "interestedParty": {"describedByPersonStatement": "p"},
            "interests": [{"type": "shareholding"}],
        },
    }
    files = {name: [statement] for name, statement in statements.items()}
    result = run(
        "bods", "--dry-run", "--json", "owns.jsonl", "person.jsonl", "entity.jsonl", person=[PERSON], **files
    )
    assert json.loads(result.stdout)["published"] == {"registry.company": 1, "registry.ownership": 1}
    assert "Some Body" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("ocds",),
        ("ocds", "absent.jsonl"),
        ("ocds", "--jurisdiction", "33", "data.jsonl"),
        ("bods", "--colour"),
    ],
)
def test_wrong_use_is_explained(run: Any, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, data=[])
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


class Bus:
    """A publisher that refuses some records and goes away at some point."""

    delivered = failed = 0

    def __init__(self, *, refuses: str = "", lasts: int = 100) -> None:
        self.sent: list[tuple[str, str]] = []
        self._refuses, self._lasts = refuses, lasts

    def publish(
        self, contract: Any, record: Any, *, occurred_ms: int, jurisdiction: str, version: int = 0
    ) -> None:
        assert (jurisdiction, occurred_ms) == ("330100000000", version)
        if len(self.sent) == self._lasts:
            raise DeliveryError("the broker has accepted nothing")
        if record.record_id == self._refuses:
            raise RecordRefusedError("larger than allowed", record_id=record.record_id)
        self.sent.append((contract.name, record.record_id))

    def flush(self) -> None:
        self.delivered = len(self.sent)


def import_to(bus: Bus, folder: Path) -> Run:
    (folder / "data.json").write_text(json.dumps(RELEASE))
    path = str(folder / "data.json")
    options = Options("ocds", (path,), False, "urn:test", "330100000000", folder / "refused", as_json=True)
    with RefusedRecords(options.refused_file) as refused:
        done = Run(options, refused, bus)  # type: ignore[arg-type]  # a double of Publisher
        done.import_all(lambda progress: read_ocds(path, progress=progress))
    return done


def test_records_are_sent_with_the_jurisdiction_and_the_release_date(tmp_path: Path) -> None:
    bus = Bus()
    done = import_to(bus, tmp_path)
    assert bus.sent == [
        ("tender.bid", "ocds-x-1:tenderer:GB-COH-00000001"),
        ("tender.award", "ocds-x-1:award:a"),
    ]
    assert (done.exit_code, summary(done)["delivered"]) == (0, 2)


def test_a_record_that_the_publisher_refuses_is_counted_as_refused_alone(tmp_path: Path) -> None:
    done = import_to(Bus(refuses="ocds-x-1:tenderer:GB-COH-00000001"), tmp_path)
    assert summary(done)["published"] == {"tender.award": 1}
    assert (done.exit_code, done.tally.refused) == (1, 1)


def test_a_bus_that_goes_away_ends_the_import(tmp_path: Path) -> None:
    done = import_to(Bus(lasts=1), tmp_path)
    assert done.exit_code == EXIT_NOT_DELIVERED
    assert summary(done)["published"] == {"tender.bid": 1}
