"""Poison on a real bus: every bad record becomes a dead letter with its own reason, and everything else goes on."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest

from schemas import catalogue
from streams import history
from streams.cards import load_pack
from tests import poison
from tests.answers import oracle, said, stored
from tests.integration.conftest import DEAD_LETTERS_PER_MINUTE_MAX
from tests.load import DAY_MS, organisation, person
from tests.running_bus import PACK, RunningBus, wait_for
from tests.wire import Stranger, Wire, send_with_header_name
from xiezhi.contracts.naming import ACTIVATION, ALERT, RELATION, fact_topic
from xiezhi.dead_letter_log import DeadRecord
from xiezhi.errors import EXIT_WILL_NOT_HELP_TO_RESTART
from xiezhi.log import UNREADABLE_HEADERS, LogReader, RawRecord
from xiezhi.wall_clock import now_ms

SEED = 77
#: How far in the future a record claims to be that is sent again once its time has come.
AHEAD_MS = 15_000
REASONS = {
    "duplicate_header",
    "malformed_fact",
    "malformed_header",
    "malformed_tick",
    "missing_header",
    "not_a_fact",
    "null_key",
    "oversized_text",
    "tick_ahead",
    "time_ahead",
    "trailing_bytes",
    "truncated_frame",
    "undecodable_avro",
    "unknown_schema",
    "wrong_key",
    "wrong_magic",
    "wrong_partition",
    "wrong_type",
}
#: Numbers of people, beside those of whom an alert stands from the start.
EARLY, BROKEN, BEHIND_THE_FLOOD = 700, 800, 900
TOPIC = catalogue.ALLOWANCE.topic
PARTITION = 0
FACTS = fact_topic(1)


@dataclass(frozen=True, slots=True)
class Planted:
    """What was planted where. `poison` maps an address to the record and to who must refuse it, and why."""

    poison: dict[str, tuple[Wire, frozenset[tuple[str, str]]]]
    people: list[str]  # of whom an alert must stand, since the records about them are good
    future: str  # address of the record that is only early
    future_ms: int
    pids: dict[str, int]


class Planter:
    """Plants good records about people who were paid after their death, and bad ones between them."""

    def __init__(self, bus: RunningBus) -> None:
        self.bus, self.stranger = bus, Stranger(bus.settings)
        self.poison: dict[str, tuple[Wire, frozenset[tuple[str, str]]]] = {}
        self.people: list[str] = []

    def death(self, number: int, version: int = 0) -> Wire:
        occurred = now_ms() - 60_000
        today = occurred // DAY_MS
        fields = {"person": person(SEED, number), "died_on": today - 200, "registered_on": today - 190}
        return self.stranger.good(
            catalogue.DEATH, self._id(f"poison-death-{number}"), fields, occurred_ms=occurred, version=version
        )

    def _id(self, name: str) -> str:
        """All of the good and all of the bad stand between each other, in one partition."""
        return self.stranger.named(name, PARTITION)

    def allowance(self, number: int, ahead_ms: int = -60_000) -> Wire:
        occurred = now_ms() + ahead_ms
        today = occurred // DAY_MS
        fields = {
            "person": person(SEED, number),
            "scheme": "living",
            "kind": "living",
            "period_from": today - 30,
            "period_to": today,
            "amount_minor": 100,
            "currency": "CNY",
            "paid_at": occurred,
        }
        return self.stranger.good(
            catalogue.ALLOWANCE, self._id(f"poison-{number}"), fields, occurred_ms=occurred
        )

    def good(self) -> Wire:
        """One more person of whom an alert will stand; returns the payment, the death is sent."""
        number = len(self.people)
        self.people.append(person(SEED, number))
        self.stranger.send([self.death(number)])
        return self.allowance(number)

    def interleaved(self, goods: Sequence[Wire], bad: Sequence[tuple[Wire, poison.Poison]]) -> None:
        """Good before, between and after bad, all in one partition, in one go."""
        wires = [one for pair in zip(goods, (wire for wire, _ in bad), strict=False) for one in pair]
        addresses = self.stranger.send([*wires, *goods[len(bad) :]])
        for (wire, what), address in zip(bad, addresses[1::2], strict=False):
            self.poison[address] = (wire, what.reasons)

    def each(self, bad: Sequence[tuple[Wire, poison.Poison]]) -> None:
        addresses = self.stranger.send([wire for wire, _ in bad])
        for (wire, what), address in zip(bad, addresses, strict=True):
            self.poison[address] = (wire, what.reasons)

    def named_in_gb18030(self) -> None:
        """A good record with one header more, whose name no client of Python's can read."""
        wire = self.allowance(BROKEN + 50)
        address = send_with_header_name(self.bus.settings, wire, "来源".encode("gb18030"))
        reasons = frozenset({("router", "missing_header")})
        self.poison[address] = (replace(wire, headers=UNREADABLE_HEADERS), reasons)

    def last_of(self, topic: str) -> RawRecord:
        """The newest record of a topic of the bus that is about one of our people."""
        with LogReader(self.bus.settings.bootstrap_servers) as log:
            found = [
                raw
                for partition in range(log.partitions(topic))
                for chunk in log.read(topic, partition, 0)
                for raw in chunk
                if raw.value and len(raw.value) < 50_000 and b"poison-" in raw.value
            ]
        return max(found, key=lambda raw: raw.ingested_ms)


@pytest.fixture(scope="module")
def planted(bus: RunningBus) -> Planted:
    """All poison, with good records around it, settled."""
    bus.quiet()
    pids = bus.pids()
    planter = Planter(bus)
    broken = [
        (one.broken(planter.allowance(BROKEN + n)), one) for n, one in enumerate(poison.departments_records())
    ]
    assert len(broken) < DEAD_LETTERS_PER_MINUTE_MAX
    broken += _of_other_contracts(planter)
    planter.interleaved([planter.good() for _ in range(len(broken) + 1)], broken)
    (early,) = planter.stranger.send([planter.allowance(EARLY, AHEAD_MS)])
    future_ms = now_ms() + AHEAD_MS
    planter.named_in_gb18030()
    planter.stranger.send([planter.death(EARLY), planter.death(BROKEN), *_large(planter)])
    bus.quiet()
    for topic, ways in ((FACTS, poison.facts()), (ALERT, poison.statements())):
        original = Wire.of(planter.last_of(topic))
        for partition in range(bus.settings.partitions):
            planter.each([(replace(one.broken(original), partition=partition), one) for one in ways])
    planter.each([_on_the_relation_topic(), *_astray(planter)])
    planter.stranger.send([planter.good(), planter.good()])
    bus.settle()
    return Planted(planter.poison, planter.people, early, future_ms, pids)


def _of_other_contracts(planter: Planter) -> list[tuple[Wire, poison.Poison]]:
    """Right wire format, wrong contract: in the value, and in values that break what Avro cannot say."""
    codec, death = planter.stranger.codec, planter.death(BROKEN)

    def encoded(number: int, **changes: str) -> Wire:
        good = planter.allowance(BROKEN + number)
        value = {**codec.decode(good.value or b""), **changes}
        return replace(good, value=codec.encode(catalogue.ALLOWANCE.subject, value))

    def by_router(name: str, reason: str) -> poison.Poison:
        return poison.Poison(name, frozenset({("router", reason)}), lambda wire: wire)

    return [
        (
            replace(planter.allowance(BROKEN), value=death.value),
            by_router("another contract's value", "wrong_type"),
        ),
        (
            encoded(0, scheme=poison.NOISE[:400_000].hex()),
            by_router("a scheme of 800,000 letters", "oversized_text"),
        ),
        (encoded(1, person="a|b"), by_router("a key with a bar", "wrong_key")),
        (encoded(2, person=""), by_router("an empty key", "wrong_key")),
    ]


def _large(planter: Planter) -> list[Wire]:
    """A contract as large as the broker takes a record, and a payment of more than it is worth."""
    at = now_ms() - 60_000
    suppliers = [organisation(number) for number in range((poison.RECORD_BYTES - 300) // 27)]
    money = {"amount_minor": 100, "currency": "CNY", "contract_id": "poison-large"}
    who = {"buyer_id": suppliers[0], "supplier_ids": suppliers, "status": "active", "signed_at": at}
    paid = {"payer_id": suppliers[0], "payee_id": suppliers[1], "kind": "payment", "purpose": "contract"}
    good = planter.stranger.good
    contract = good(catalogue.CONTRACT, "poison-large", {**money, **who}, occurred_ms=at)
    assert len(contract.value or b"") > 0.99 * poison.RECORD_BYTES
    fields = {**money, **paid, "amount_minor": 200, "paid_at": at}
    return [contract, good(catalogue.PAYMENT, "poison-large-payment", fields, occurred_ms=at)]


def _astray(planter: Planter) -> list[tuple[Wire, poison.Poison]]:
    """A correction and a withdrawal by a client with another partitioner; what is said of these people stands."""
    reasons = frozenset({("router", "wrong_partition")})
    corrected, withdrawn = planter.death(0, version=1), planter.death(1, version=1)
    astray = [corrected, replace(withdrawn, value=None)]
    what = poison.Poison("a newer version in another partition", reasons, lambda wire: wire)
    return [(replace(wire, partition=PARTITION + 1), what) for wire in astray]


def _on_the_relation_topic() -> tuple[Wire, poison.Poison]:
    reasons = frozenset({("router", "missing_header"), ("judge", "malformed_header")})
    return Wire(RELATION, 0, b"x", b"nonsense", ()), poison.Poison("a relation", reasons, lambda wire: wire)


def by_address(records: Sequence[DeadRecord]) -> dict[str, DeadRecord]:
    return {record.origin: record for record in records}


def test_each_bad_record_is_dead_lettered_with_its_own_reason_and_nothing_else_is(
    bus: RunningBus, planted: Planted
) -> None:
    found = {
        origin: frozenset((letter.content.stage, letter.content.reason) for letter in record.letters)
        for origin, record in by_address(bus.dead_letters()).items()
    }
    expected = {address: reasons for address, (_, reasons) in planted.poison.items()}
    assert found == {**expected, planted.future: frozenset({("router", "time_ahead")})}
    assert {reason for reasons in expected.values() for _, reason in reasons} == REASONS


def test_a_dead_letter_holds_the_original_bytes_and_headers(bus: RunningBus, planted: Planted) -> None:
    letters = by_address(bus.dead_letters())
    for address, (wire, _) in planted.poison.items():
        for letter in letters[address].letters:
            content = letter.content
            assert (content.key, content.value) == (wire.key, wire.value), address
            assert [(h.name, h.value) for h in content.headers] == list(wire.headers), address
            assert content.attempts == 1
    assert (
        sum(
            len(letter.content.value or b"") == poison.RECORD_BYTES
            for one in letters.values()
            for letter in one.letters
        )
        == 4
    )


def test_good_records_before_between_and_after_are_judged(bus: RunningBus, planted: Planted) -> None:
    topic, expected = said(bus.settings), oracle(bus.settings)
    standing, repeated = stored(bus.settings)
    subjects = [topic.subjects[alert_id] for alert_id in topic.standing]
    assert {subject["person"] for rule, subject in subjects if rule == "S01"} >= set(planted.people)
    assert ("C03", {"contract_id": "poison-large"}) in subjects
    assert topic.standing == standing == expected
    assert repeated == []


def test_the_oracle_refuses_the_same_records_for_the_same_reasons(bus: RunningBus, planted: Planted) -> None:
    routed = [
        reason
        for address, (_, reasons) in planted.poison.items()
        for stage, reason in reasons
        if stage == "router" and not address.startswith(RELATION)
    ]
    refused = history.oracle(bus.settings, catalogue.CONTRACTS).refused
    assert refused == Counter([*routed, "time_ahead"])


def test_no_process_ended_because_of_a_record(bus: RunningBus, planted: Planted) -> None:
    assert bus.pids() == planted.pids


def test_a_user_lists_and_shows_what_failed(bus: RunningBus, planted: Planted) -> None:
    listed = bus.cli("dead-letters", "list", "--json", "--topic", TOPIC, "--limit", "1000")
    assert listed.returncode == 0, listed.stderr
    entries = {entry["id"]: entry for entry in map(json.loads, listed.stdout.splitlines())}
    ours = {address for address in planted.poison if address.startswith(f"{TOPIC}/")}
    assert set(entries) == ours | {planted.future}
    assert "value" not in entries[planted.future], "a list shows no content"
    twice = next(a for a in ours if ("router", "duplicate_header") in planted.poison[a][1])
    page = bus.cli("dead-letters", "show", twice).stdout
    assert "duplicate_header" in page
    assert page.count("ce_subject") >= 2
    assert "again" in page


def test_a_user_sends_a_record_again_once_its_time_has_come(bus: RunningBus, planted: Planted) -> None:
    before = _end(bus, TOPIC)
    dry = bus.cli("dead-letters", "replay", planted.future, "--dry-run")
    assert f"would send: 1 to {TOPIC}" in dry.stdout
    assert planted.future in dry.stdout
    assert _end(bus, TOPIC) == before, "a dry run sends nothing"
    wait_for(lambda: now_ms() > planted.future_ms, AHEAD_MS / 1000 + 1, "the time that the record names")
    sent = bus.cli("dead-letters", "replay", planted.future, answer="y\n")
    assert sent.returncode == 0, sent.stderr
    assert "sent 1, not sent 0" in sent.stdout
    bus.quiet()
    assert ("S01", {"person": person(SEED, EARLY), "scheme": "living"}) in said(
        bus.settings
    ).subjects.values()
    assert planted.future not in bus.cli("dead-letters", "list", "--topic", TOPIC, "--limit", "1000").stdout
    assert said(bus.settings).standing == oracle(bus.settings)


def test_what_no_replay_can_mend_comes_back_until_it_is_refused(bus: RunningBus, planted: Planted) -> None:
    hopeless = {a for a, (_, reasons) in planted.poison.items() if ("router", "wrong_magic") in reasons}
    assert len(hopeless) == 2
    for attempt in (2, 3):
        sent = bus.cli("dead-letters", "replay", "--topic", TOPIC, "--reason", "wrong_magic", "--yes")
        assert "sent 2, not sent 0" in sent.stdout, sent.stderr
        wait_for(lambda: _attempts(bus, hopeless) == {attempt}, 60.0, f"attempt {attempt} failed")  # noqa: B023
    refused = bus.cli("dead-letters", "replay", "--topic", TOPIC, "--reason", "wrong_magic", "--yes")
    assert refused.returncode == 1
    assert refused.stderr.count("failed 3 times") == 2
    assert "nothing to send" in refused.stdout


def _attempts(bus: RunningBus, origins: set[str]) -> set[int]:
    letters = by_address(bus.dead_letters())
    return {letters[origin].newest.content.attempts if letters[origin].waits else 0 for origin in origins}


def _end(bus: RunningBus, topic: str) -> list[tuple[int, int]]:
    with LogReader(bus.settings.bootstrap_servers) as log:
        return [log.range(topic, partition) for partition in range(log.partitions(topic))]


def test_nonsense_on_the_activation_topic_changes_no_rule(bus: RunningBus, planted: Planted) -> None:
    before = bus.cli("rules", "list").stdout
    assert len(before.splitlines()) == len(load_pack(PACK))
    nonsense = os.urandom(16)
    Stranger(bus.settings).send([Wire(ACTIVATION, 0, b"S01", b"\x01" + nonsense, ())])
    wait_for(lambda: len(_letters_with(bus, nonsense)) >= bus.settings.partitions, 60.0, "dead letters of it")
    assert {
        (one.newest.content.stage, one.newest.content.reason) for one in _letters_with(bus, nonsense)
    } == {("judge", "wrong_magic")}
    assert bus.cli("rules", "list").stdout == before


def _letters_with(bus: RunningBus, value: bytes) -> list[DeadRecord]:
    return [one for one in bus.dead_letters() if value in (one.newest.content.value or b"")]


def test_more_bad_records_a_minute_than_the_limit_stop_the_router_for_good(
    bus: RunningBus, planted: Planted
) -> None:
    planter = Planter(bus)
    topic, flood = catalogue.DEATH.topic, DEAD_LETTERS_PER_MINUTE_MAX + 20
    number, restarts = BEHIND_THE_FLOOD, bus.member("router").restarts
    bad = [replace(planter.death(number), key=None) for _ in range(flood)]
    places = planter.stranger.send([*bad, planter.death(number), planter.allowance(number)])[:flood]
    router = bus.member("router")
    wait_for(lambda: router.given_up, 60.0, "the router gives up")
    assert router.process.exit_code == EXIT_WILL_NOT_HELP_TO_RESTART
    assert topic in router.given_up
    assert any("router stopped and is not restarted" in line and topic in line for line in bus.said)

    told = bus.cli(
        "dead-letters", "list", "--json", "--topic", topic, "--limit", "1000"
    )  # as the message advises
    ids = {json.loads(line)["id"] for line in told.stdout.splitlines()}
    earlier = ids - set(places)  # of tests before this one: those of the same minute count, too
    assert DEAD_LETTERS_PER_MINUTE_MAX - len(earlier) <= len(ids & set(places)) <= DEAD_LETTERS_PER_MINUTE_MAX
    assert (router.process.is_running, router.restarts) == (False, restarts)

    bus.serve(dead_letters_per_minute_max=10 * flood)
    bus.quiet()
    letters = by_address(bus.dead_letters())
    assert {address: letters[address].newest.content.reason for address in places} == dict.fromkeys(
        places, "null_key"
    )
    assert all(len(letters[address].letters) == 1 for address in places), "a repeat is recognised"
    alerts = said(bus.settings)
    assert ("S01", {"person": person(SEED, number), "scheme": "living"}) in alerts.subjects.values()
    assert alerts.standing == oracle(bus.settings)
