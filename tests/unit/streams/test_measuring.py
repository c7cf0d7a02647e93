"""What router and judge measure of a batch, as a scrape would see it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from streams.evaluation import OutputKind
from streams.judge import Output, Said
from streams.kernel import Outcome
from streams.measuring import StageMeasure
from streams.pipeline import Outgoing
from tests.scrape import Scraped, scrape
from xiezhi.envelope import Envelope
from xiezhi.local.ports import free_port
from xiezhi.log import RawRecord
from xiezhi.telemetry import catalogue
from xiezhi.telemetry.endpoint import Endpoint, serve_metrics

OCCURRED_MS = 1_700_000_000_000
TOPIC = "any.topic.v1"


class Measured:
    """A stage's measure and what is scraped of it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.measure = StageMeasure("router", "xiezhi-router", endpoint.meters)
        self._port = endpoint.port

    @property
    def seen(self) -> Scraped:
        return scrape([self._port])


@pytest.fixture
def measured() -> Iterator[Measured]:
    endpoint = serve_metrics("router", free_port())
    yield Measured(endpoint)
    endpoint.close()


def record(offset: int = 0, late_s: int = 0, topic: str = TOPIC) -> RawRecord:
    envelope = Envelope.create(
        source="urn:xiezhi:test",
        type=topic,
        subject=f"r{offset}",
        occurred_ms=OCCURRED_MS,
        version=0,
        jurisdiction="110000000000",
    )
    return RawRecord(topic, 0, offset, OCCURRED_MS + late_s * 1000, b"k", b"v", envelope.to_headers())


def fact(topic: str) -> Outgoing:
    return Outgoing(topic, b"k", b"v", [])


def output(kind: OutputKind = OutputKind.ALERT) -> Output:
    return Output(
        id="id",
        view="join|key",
        said=Said(kind, "C04", 1, "d", ""),
        state="raised",
        digest="d",
        content={"severity": "red"},
        evidence=(),
        occurred_ms=OCCURRED_MS,
        ingested_ms=OCCURRED_MS + 4_000,
        routed_ms=OCCURRED_MS + 4_100,
        traceparent="",
    )


def test_a_batch_counts_its_records_its_output_and_its_time(measured: Measured) -> None:
    measured.measure.batch([record(0), record(1), record(2)], [fact("f"), fact("f"), fact("g")], 0.25)
    measured.measure.batch([record(3)], [], 0.25)
    seen = measured.seen
    assert seen.total(catalogue.CONSUMED.exposed, messaging_destination_name=TOPIC) == 4
    assert seen.total(catalogue.BATCHES.exposed, stage="router", topic=TOPIC) == 2
    assert seen.total(catalogue.BUSY.exposed, topic=TOPIC) == 0.5
    assert seen.total(catalogue.SENT.exposed, messaging_destination_name="f") == 2
    assert seen.total(catalogue.SENT.exposed, messaging_destination_name="g") == 1


def test_outcomes_are_added_up_until_the_batch_ends(measured: Measured) -> None:
    for _ in range(3):
        measured.measure.outcome("C04", Outcome.HIT, "paid_early")
    assert measured.seen.total(catalogue.OUTCOMES.exposed) == 0
    measured.measure.batch([record()], [], 0.1)
    measured.measure.batch([record()], [], 0.1)
    assert measured.seen.total(catalogue.OUTCOMES.exposed, rule="C04", outcome="HIT") == 3


def test_what_is_known_at_the_start_begins_at_0(measured: Measured) -> None:
    measured.measure.started(["C04"], ["chain"])
    samples = [one for one in measured.seen.samples if one.name == catalogue.OUTCOMES.exposed]
    assert {one.labels["outcome"] for one in samples} == set(Outcome)
    failures = [
        one.labels["rule"] for one in measured.seen.samples if one.name == catalogue.RULE_FAILURES.exposed
    ]
    assert sorted(failures) == ["C04", "chain"]
    measured.measure.failed("chain")
    assert measured.seen.total(catalogue.RULE_FAILURES.exposed, rule="chain") == 1


def test_lateness_is_from_occurred_to_ingested_of_one_record_per_topic_and_second(measured: Measured) -> None:
    for offset in range(100):
        measured.measure.lateness(record(offset, late_s=30))
    measured.measure.lateness(record(1, late_s=90, topic="other.topic.v1"))
    name = catalogue.LATENESS.exposed
    seen = measured.seen
    assert seen.total(f"{name}_count", owner="any", topic=TOPIC) == 1
    assert seen.total(f"{name}_sum", topic=TOPIC) == 30
    assert seen.total(f"{name}_sum", owner="other") == 90


def test_a_record_without_a_readable_envelope_is_not_measured(measured: Measured) -> None:
    measured.measure.lateness(RawRecord(TOPIC, 0, 0, 0, b"k", b"v", [("ce_time", b"yesterday")]))
    assert measured.seen.total(f"{catalogue.LATENESS.exposed}_count") == 0


def test_an_alert_is_counted_with_what_it_took_and_a_relation_is_not(measured: Measured) -> None:
    measured.measure.said([output(), output(OutputKind.RELATION)], judged_ms=OCCURRED_MS + 6_500)
    seen, name = measured.seen, catalogue.ALERT_LATENCY.exposed
    assert seen.total(catalogue.SAID.exposed, rule="C04", severity="red", state="raised") == 1
    assert seen.total(catalogue.SAID.exposed) == 1
    assert seen.total(f"{name}_sum", segment="occurred_ingested") == 4
    assert seen.total(f"{name}_sum", segment="ingested_said") == 2.5


def test_dead_letters_and_waits_are_counted_by_cause(measured: Measured) -> None:
    measured.measure.buried(record(), "wrong_key")
    measured.measure.waited("registry", 1.5)
    seen = measured.seen
    assert seen.total(catalogue.DEAD_LETTERS.exposed, stage="router", topic=TOPIC, reason="wrong_key") == 1
    assert seen.total(catalogue.WAITED.exposed, stage="router", on="registry") == 1.5
