"""What was said and what was known, asked of a real bus about every instant in the life of two alerts."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from schemas import catalogue
from streams.cards import load_pack
from tests.load import organisation, person
from tests.running_bus import RunningBus, running_bus
from xiezhi.contracts.base import Contract
from xiezhi.envelope import format_instant
from xiezhi.publish import Publisher
from xiezhi.wall_clock import now_ms

JURISDICTION = "990100000000"
DAY_MS = 86_400_000
FOUND_MS = int(datetime(2025, 3, 3, tzinfo=UTC).timestamp()) * 1000
WHO = person(1, 1)
#: Longer than any clocks of one machine differ, so that an instant lies clearly before or after an append.
APART_S = 0.3


@dataclass
class Life:
    """The bus after everything has happened, and an instant after each event."""

    bus: RunningBus
    instants: dict[str, str] = field(default_factory=dict)

    def happened(self, name: str) -> None:
        """Note an instant that lies after everything up to now and before everything that follows."""
        time.sleep(APART_S)
        self.instants[name] = format_instant(now_ms())
        time.sleep(APART_S)

    def said(self, name: str, *options: str) -> set[str]:
        """Rules whose alerts stood then, according to what had been said."""
        done = self.bus.cli("alerts", "list", "--json", "--said-at", self.instants[name], *options)
        assert done.returncode == 0, done.stderr
        alerts = [json.loads(line)["alert"] for line in done.stdout.splitlines()]
        return {alert["rule_id"] for alert in alerts if alert["state"] != "withdrawn"}

    def known(self, name: str, *options: str) -> set[str]:
        """Rules whose alerts would have stood, according to what had been ingested."""
        done = self.bus.cli("replay", "--json", "--known-at", self.instants[name], *options)
        assert done.returncode == 0, done.stderr
        return {json.loads(line)["content"]["rule_id"] for line in done.stdout.splitlines()}

    def difference(self, name: str) -> set[tuple[str, str]]:
        """(rule, how the two disagree) about that instant."""
        done = self.bus.cli("replay", "--json", "--diff", "--known-at", self.instants[name])
        found = [json.loads(line) for line in done.stdout.splitlines()]
        assert done.returncode == bool(found), done.stderr
        return {(one["rule_id"], one["difference"]) for one in found}


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    with running_bus(tmp_path_factory.mktemp("questions") / "stack") as bus:
        life = Life(bus)
        _an_overdue_finding_is_closed(life)
        _a_death_is_judged_late(life)
        yield life


def _an_overdue_finding_is_closed(life: Life) -> None:
    """A01 by time alone: published, said after its settle time, closed by a record that comes late."""
    life.happened("nothing")
    _publish(life, catalogue.FINDING, "f-1", FOUND_MS, _FINDING)
    life.happened("found")
    life.bus.settle()
    life.happened("overdue")
    closed_ms = FOUND_MS + 90 * DAY_MS
    _publish(life, catalogue.RECTIFICATION, "r-1", closed_ms, {**_CLOSURE, "closed_at": closed_ms})
    life.bus.quiet()
    life.happened("closed")


def _a_death_is_judged_late(life: Life) -> None:
    """S01 while the judge is away: known before it is said, and said longer than it is known."""
    with life.bus.held():
        life.bus.member("judge").process.kill()
        _publish(life, catalogue.DEATH, "d-1", FOUND_MS, _DEATH)
        _publish(life, catalogue.ALLOWANCE, "a-1", FOUND_MS + 90 * DAY_MS, _ALLOWANCE)
        life.happened("died, not judged")
    life.bus.quiet()
    life.happened("died, judged")
    with life.bus.held():
        life.bus.member("judge").process.kill()
        with Publisher(life.bus.settings, source="urn:test") as publisher:
            publisher.withdraw(
                catalogue.DEATH, "d-1", occurred_ms=FOUND_MS, jurisdiction=JURISDICTION, version=1
            )
        life.happened("alive, not judged")
    life.bus.quiet()
    life.happened("alive, judged")


def _publish(
    life: Life, contract: Contract, record_id: str, occurred_ms: int, fields: Mapping[str, Any]
) -> None:
    """Returns when the broker has it."""
    with Publisher(life.bus.settings, source="urn:test") as publisher:
        record = contract.model(record_id=record_id, **fields)
        publisher.publish(contract, record, occurred_ms=occurred_ms, version=0, jurisdiction=JURISDICTION)


_FINDING = {"unit_id": organisation(1), "violation": "C04", "found_at": FOUND_MS, "title": "审计发现"}
_CLOSURE = {"finding_id": "f-1", "unit_id": organisation(1), "violation": "C04", "status": "accepted"}
_DEATH = {"person": WHO, "died_on": FOUND_MS // DAY_MS, "registered_on": FOUND_MS // DAY_MS + 1}
_ALLOWANCE = {
    "person": WHO,
    "scheme": "pension",
    "kind": "pension",
    "period_from": FOUND_MS // DAY_MS + 60,
    "period_to": FOUND_MS // DAY_MS + 89,
    "amount_minor": 50_000,
    "currency": "CNY",
    "paid_at": FOUND_MS + 90 * DAY_MS,
}


QUESTIONS = {
    # instant: what had been said, what was known
    "nothing": (set(), set()),
    "found": (set(), set()),  # known and overdue, but it must stand for its settle time
    "overdue": ({"A01"}, {"A01"}),
    "closed": (set(), set()),
    "died, not judged": (set(), {"S01"}),
    "died, judged": ({"S01"}, {"S01"}),
    "alive, not judged": ({"S01"}, set()),
    "alive, judged": (set(), set()),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_both_questions_have_the_answer_of_their_instant(life: Life, name: str) -> None:
    assert (life.said(name), life.known(name)) == QUESTIONS[name]


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_comparison_shows_where_they_disagree(life: Life, name: str) -> None:
    said, known = QUESTIONS[name]
    expected = {(rule, "said only") for rule in said - known} | {
        (rule, "known only") for rule in known - said
    }
    assert life.difference(name) == expected


def test_both_are_narrowed_by_rule(life: Life) -> None:
    assert life.said("overdue", "--rule", "A01") == life.known("overdue", "--rule", "A01") == {"A01"}
    assert life.said("overdue", "--rule", "S01") == life.known("overdue", "--rule", "S01") == set()


def test_for_people_it_says_what_it_rests_on_and_that_these_are_suspicions(life: Life) -> None:
    shown = life.bus.cli("replay", "--known-at", life.instants["overdue"])
    assert f"{len(load_pack('drill'))} rules active" in shown.stdout
    assert "疑似整改逾期" in shown.stdout
    assert "nobody is found guilty" in shown.stdout
    agreed = life.bus.cli("replay", "--diff", "--known-at", life.instants["overdue"])
    assert (agreed.returncode, "agree 两者一致" in agreed.stdout) == (0, True)
    other = life.bus.cli("replay", "--diff", "--known-at", life.instants["died, not judged"])
    assert (other.returncode, "known only" in other.stdout) == (1, True)
