"""Real open data through the whole bus: imported by the command, judged, and the one known pair of bidders found.

The data are third parties' and no part of this project, so these tests may skip; see test_uk_data.py.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import CONTRACTS
from streams import history
from tests.answers import oracle, said, stored
from tests.integration.test_uk_data import FOLDER, OWNED, OWNER, RELEASES, STATEMENTS, TENDERS
from tests.running_bus import RunningBus, running_bus
from xiezhi.log import LogReader

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"the UK data are not at {FOLDER}")

#: Rules of whose inputs the data have none, or not all: of P01 the day on which a notice was published.
WITHOUT_INPUTS = {"A01", "A02", "C01", "C03", "C04", "F02", "H05", "P01", "P13", "S01"}


@dataclass(frozen=True, slots=True)
class Imported:
    """A bus that holds all of the data, and what the importers said."""

    bus: RunningBus
    releases: dict[str, Any]
    statements: dict[str, Any]


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Imported]:
    home = tmp_path_factory.mktemp("uk")
    with running_bus(home / "stack") as bus:
        releases = _import(bus, home, "ocds", *sorted((FOLDER / "ocds").glob("*.jsonl")))
        token_key = ("--token-key", str(home / "token.key"))
        statements = _import(bus, home, "bods", FOLDER / "bods" / "statements.jsonl", options=token_key)
        bus.settle()
        yield Imported(bus, releases, statements)


def _import(
    bus: RunningBus, home: Path, form: str, *files: Path, options: tuple[str, ...] = ()
) -> dict[str, Any]:
    refused = ("--refused", str(home / f"{form}.refused.jsonl"))
    done = bus.cli("import", form, "--json", *refused, *options, *map(str, files))
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def test_every_usable_statement_is_on_the_bus_and_the_rest_counted_by_reason(imported: Imported) -> None:
    for summary, expected in ((imported.releases, RELEASES), (imported.statements, STATEMENTS)):
        assert {name: summary[name] for name in expected} == expected
        assert (summary["delivered"], summary["not_delivered"]) == (sum(expected["published"].values()), 0)
    with LogReader(imported.bus.settings.bootstrap_servers) as log:
        names = {contract.topic: contract.name for contract in CONTRACTS}
        on_the_log = Counter(names[raw.topic] for raw in history.records(log, CONTRACTS))
    assert on_the_log == {**RELEASES["published"], **STATEMENTS["published"]}
    assert imported.bus.dead_letters() == []


def test_the_known_pair_is_found_in_both_procedures_under_both_prefixes_and_no_other(
    imported: Imported,
) -> None:
    topic = said(imported.bus.settings)
    subjects = [topic.subjects[alert_id] for alert_id in topic.standing]
    linked = [subject for rule, subject in subjects if rule == "P12"]
    assert sorted(linked, key=lambda subject: subject["procedure_id"]) == [
        {"procedure_id": f"ocds-b5fd17{prefix}-{tender}", "bidder_a": OWNER, "bidder_b": OWNED}
        for prefix in ("bodsmatch", "suppliermatch")
        for tender in TENDERS
    ]
    assert {rule for rule, _ in subjects} & WITHOUT_INPUTS == set()


def test_the_stream_says_what_the_oracle_says(imported: Imported) -> None:
    standing, repeated = stored(imported.bus.settings)
    assert said(imported.bus.settings).standing == standing == oracle(imported.bus.settings)
    assert repeated == []


def test_the_page_of_the_alert_names_both(imported: Imported) -> None:
    listed = imported.bus.cli("alerts", "list", "--rule", "P12", "--json")
    first = json.loads(listed.stdout.splitlines()[0])
    page = imported.bus.cli("alerts", "show", first["alert"]["record_id"]).stdout
    assert page.count(OWNER) > 1
    assert page.count(OWNED) > 1


def test_rules_without_their_inputs_say_that_data_are_insufficient(imported: Imported) -> None:
    done = imported.bus.cli("rules", "readiness", "--json")
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    outcomes: dict[str, set[str]] = {}
    for row in rows:
        outcomes.setdefault(row["rule"], set()).add(row["outcome"])
    assert {rule for rule, seen in outcomes.items() if not seen & {"HIT", "CLEAR"}} == WITHOUT_INPUTS
    assert all("INSUFFICIENT_DATA" in outcomes[rule] for rule in WITHOUT_INPUTS)
    assert "HIT" in outcomes["P12"]
