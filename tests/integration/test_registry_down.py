"""The schema registry is away: what is known goes on, what is not is waited for, and no record pays for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from schemas.catalogue import ALLOWANCE, CONTRACTS, DEATH
from tests.answers import oracle, said, stored, stored_subjects
from tests.load import DAY_MS, JURISDICTION, load, person
from tests.running_bus import RunningBus, wait_for
from xiezhi.codec import Codec
from xiezhi.contracts.naming import DEAD_LETTER
from xiezhi.log import LogReader
from xiezhi.publish import Publisher
from xiezhi.registry import ConfluentRegistry
from xiezhi.wall_clock import now_ms

SOURCE = "urn:xiezhi:synthetic:registry-down"
WAITING = "waiting for the schema registry"
#: Looks at a registry that is away; one would not show that the service goes on waiting.
LOOKS = 3


@contextmanager
def registry_away(bus: RunningBus) -> Iterator[None]:
    """The registry is stopped and nobody restarts it; nor anything else, so nothing may end meanwhile."""
    with bus.held() as stack:
        stack.stop_registry()
        try:
            yield
        finally:
            stack.start_registry()


class Outage:
    """What must not happen while the registry is away: dead letters, and services that end."""

    def __init__(self, bus: RunningBus) -> None:
        self._bus = bus
        self._dead, self._pids = self._dead_letters(), self._services()
        self._waited = {name: self._waits(name) for name in self._pids}

    def wait_until_waiting(self, *names: str) -> None:
        for name in names:
            wait_for(lambda: self._waits(name) >= self._waited[name] + LOOKS, 90.0, f"{name} waits")  # noqa: B023

    def check(self) -> None:
        """Nothing was dead-lettered, and every service that ran still does."""
        assert self._dead_letters() == self._dead
        assert self._services() == self._pids
        assert all(self._bus.member(name).process.is_running for name in self._pids)

    def _waits(self, name: str) -> int:
        return self._bus.log_of(name).count(WAITING)

    def _services(self) -> dict[str, int]:
        return {name: pid for name, pid in self._bus.pids().items() if name not in ("kafka", "registry")}

    def _dead_letters(self) -> set[bytes]:
        """Addresses of the departments' records that were dead-lettered.

        A clock that starts anew broadcasts again what an earlier test planted among the activations.
        """
        with LogReader(self._bus.settings.bootstrap_servers) as log:
            numbers = range(log.partitions(DEAD_LETTER))
            keys = {
                raw.key for number in numbers for chunk in log.read(DEAD_LETTER, number, 0) for raw in chunk
            }
        return {key for key in keys if key is not None and not key.startswith(b"xiezhi.")}


def codec_that_knows_all(bus: RunningBus) -> Codec:
    """A publisher's codec that needs no registry any more."""
    codec = Codec(ConfluentRegistry(bus.settings.registry_url))
    for contract in CONTRACTS:
        codec.prepare(contract.subject)
    return codec


def publish_benefits(bus: RunningBus, codec: Codec, seed: int) -> set[str]:
    """A death and a benefit after it for ten people; the people."""
    occurred = now_ms() - 60_000
    today = occurred // DAY_MS
    people = {person(seed, number) for number in range(10)}
    with Publisher(bus.settings, source=SOURCE, codec=codec) as publisher:
        for who in people:
            death = {"person": who, "died_on": today - 200, "registered_on": today - 190}
            paid = {"kind": "living", "amount_minor": 1, "currency": "CNY", "paid_at": occurred}
            period = {"person": who, "scheme": "living", "period_from": today - 30, "period_to": today}
            for contract, fields in ((DEATH, death), (ALLOWANCE, {**paid, **period})):
                record = contract.model(record_id=f"away-{contract.record}-{who}", **fields)
                publisher.publish(contract, record, occurred_ms=occurred, jurisdiction=JURISDICTION)
    return people


def accused(bus: RunningBus) -> set[str]:
    """The people in S01 alerts that stand, by the alert store."""
    return {subject["person"] for rule, subject in stored_subjects(bus.settings) if rule == "S01"}


def test_services_that_start_without_a_registry_wait_for_it(bus: RunningBus) -> None:
    bus.quiet()
    codec = codec_that_knows_all(bus)
    with registry_away(bus):
        bus.serve()  # processes that have decoded nothing yet
        outage = Outage(bus)
        people = publish_benefits(bus, codec, seed=901)
        with Publisher(bus.settings, source=SOURCE, codec=codec) as publisher:
            for record in load(91, 40, now_ms()):
                record.send(publisher)
        outage.wait_until_waiting("router", "judge")
        outage.check()
        assert not accused(bus) & people
    bus.quiet()
    outage.check()
    assert accused(bus) >= people


def test_a_bus_that_runs_needs_no_registry_for_what_it_knows_and_waits_for_the_rest(bus: RunningBus) -> None:
    known = codec_that_knows_all(bus)
    newer = _with_a_field_more(bus)
    publish_benefits(bus, known, seed=902)
    bus.quiet()  # every service has met every schema that the known codec writes
    with registry_away(bus):
        outage = Outage(bus)
        people = publish_benefits(bus, known, seed=903)
        wait_for(lambda: accused(bus) >= people, 60.0, "alerts while the registry is away")
        late = publish_benefits(bus, newer, seed=904)
        outage.wait_until_waiting("router")
        outage.check()
        assert not accused(bus) & late
    bus.settle()
    outage.check()
    standing, repeated = stored(bus.settings)
    assert accused(bus) >= late
    assert said(bus.settings).standing == standing == oracle(bus.settings)
    assert repeated == []


def _with_a_field_more(bus: RunningBus) -> Codec:
    """A codec of a department that already writes the next version of a contract, which no service has seen."""
    field = {"name": "remark", "type": ["null", "string"], "default": None, "doc": "A remark."}
    schema = {**ALLOWANCE.schema, "fields": [*ALLOWANCE.schema["fields"], field]}
    registry = ConfluentRegistry(bus.settings.registry_url)
    before = registry.latest(ALLOWANCE.subject).id
    assert registry.register(ALLOWANCE.subject, json.dumps(schema)) != before
    return codec_that_knows_all(bus)
