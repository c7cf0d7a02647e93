"""The doctor, judged by breaking each thing that it watches on a real bus; and the metrics of that bus."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from schemas.catalogue import PAYMENT
from streams.clock import Clock
from tests.load import load
from tests.running_bus import ROOT, RunningBus, running_bus, wait_for
from tests.scrape import Scraped, scrape
from xiezhi.audit.files import CHECKPOINT
from xiezhi.doctor.checks import CHECKS
from xiezhi.doctor.examine import Report, examine
from xiezhi.doctor.finding import Check, Patient
from xiezhi.errors import ClockAheadError
from xiezhi.local.state import read_state
from xiezhi.local.supervisor import Supervised
from xiezhi.log import LogReader
from xiezhi.project import load_project
from xiezhi.publish import Publisher
from xiezhi.service import producer_options
from xiezhi.telemetry import catalogue
from xiezhi.wall_clock import now_ms

SOURCE = "urn:xiezhi:synthetic:doctor"
#: Three seconds on an idle machine, Python's start included; this one may run much beside it.
ANSWER_S = 40.0


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningBus]:
    """A bus with some records and alerts, that nobody else breaks."""
    with running_bus(tmp_path_factory.mktemp("watched") / "stack", monitor_interval_s=0.5) as bus:
        publish(bus, seed=71)
        bus.settle()
        yield bus


def publish(bus: RunningBus, seed: int, groups: int = 20) -> None:
    with Publisher(bus.settings, source=SOURCE) as publisher:
        for record in load(seed, groups, now_ms()):
            record.send(publisher)


def told(bus: RunningBus) -> tuple[int, dict[str, Any]]:
    """Exit code and report of `xiezhi doctor --json`."""
    begun = time.monotonic()
    done = bus.cli("doctor", "--json")
    assert time.monotonic() - begun < ANSWER_S
    assert done.stderr == ""
    return done.returncode, json.loads(done.stdout)


def report(bus: RunningBus, **changes: Any) -> Report:
    """As the command, with other settings, contracts or services."""
    project = load_project(ROOT)
    patient = Patient(bus.settings, project.contracts(), [one.name for one in project.services], now_ms())
    checks: tuple[Check, ...] = (*CHECKS, *project.checks())
    return examine(replace(patient, **changes), checks)


def found(bus: RunningBus, **changes: Any) -> dict[str, dict[str, str | int]]:
    """Findings by name, with their facts."""
    return {one.text: dict(one.facts) for one in report(bus, **changes).findings}


def wait_until_found(
    bus: RunningBus, text: str, timeout_s: float = 60.0, **changes: Any
) -> dict[str, str | int]:
    seen: dict[str, dict[str, str | int]] = {}

    def look() -> bool:
        seen.clear()
        seen.update(found(bus, **changes))
        return text in seen

    wait_for(look, timeout_s, f"the doctor finds {text}")
    return seen[text]


def wait_until_healthy(bus: RunningBus) -> None:
    wait_for(lambda: report(bus).is_healthy, 90.0, "the bus is well again")


@contextmanager
def stopped(member: Supervised) -> Iterator[None]:
    """A process that neither ends nor answers."""
    os.kill(member.process.pid or 0, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(member.process.pid or 0, signal.SIGCONT)


def test_a_healthy_bus_is_called_healthy(watched: RunningBus) -> None:
    wait_until_healthy(watched)
    code, answer = told(watched)
    assert code == 0, answer["findings"]
    assert answer["healthy"] is True
    states = {one["part"]: one["state"] for one in answer["parts"]}
    assert set(states) == {
        *("services", "broker", "registry", "topics", "lag", "dead_letters", "departments", "disk"),
        *("clock", "rules", "rejudging", "alert_store", "audit_log"),
    }
    assert set(states.values()) <= {"well", "note"}
    (services,) = (one["seen"] for one in answer["parts"] if one["part"] == "services")
    assert services == "alert-store, audit, clock, judge, kafka, monitor, registry, router"
    notes = {one["finding"] for one in answer["findings"]}
    assert notes == {"never_published", "without_records"}, "budgets never came, nor did tenders"


def test_the_page_says_the_same_in_both_languages(watched: RunningBus) -> None:
    wait_until_healthy(watched)
    done = watched.cli("doctor", "--lang", "both")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "健康 healthy"
    assert "服务 services" in done.stdout
    assert watched.cli("doctor", "--lang", "en").stdout.splitlines()[-1] == "healthy"


def test_without_the_local_stack_it_asks_the_broker_who_consumes(watched: RunningBus, tmp_path: Path) -> None:
    elsewhere = watched.settings.model_copy(update={"data_dir": tmp_path})
    (services,) = (one for one in report(watched, settings=elsewhere).parts if one.check.part == "services")
    assert services.examined is not None
    assert (
        services.examined.summary == "xiezhi-router 1, xiezhi-judge 1, xiezhi-alert-store 1, xiezhi-audit 1"
    )
    assert found(watched, settings=elsewhere, contracts=(), services=()).keys() == {"without_records"}


def test_a_service_that_was_killed_is_found_and_so_is_its_return(watched: RunningBus) -> None:
    with watched.held() as stack:
        judge = watched.member("judge")
        os.kill(judge.process.pid or 0, signal.SIGKILL)
        wait_for(lambda: not judge.process.is_running, 10.0, "the judge is dead")
        code, answer = told(watched)
        assert code == 1
        (critical,) = (one for one in answer["findings"] if one["severity"] == "critical")
        assert (critical["finding"], critical["facts"]["service"]) == ("not_running", "judge")
        assert stack.home == Path(critical["facts"]["log"]).parents[1]
        elsewhere = watched.settings.model_copy(update={"data_dir": ROOT / "no-such-folder"})
        gone = wait_until_found(watched, "nobody_consumes", settings=elsewhere)
        assert gone["service"] == "judge"
    wait_until_healthy(watched)


def test_a_stage_that_hangs_is_found_by_its_silence_and_by_what_waits_for_it(watched: RunningBus) -> None:
    with watched.held(), stopped(watched.member("router")), stopped(watched.member("clock")):
        publish(watched, seed=72, groups=4)
        hung = wait_until_found(watched, "stands_still")
        assert hung["group"] == "xiezhi-router"
        assert int(hung["records"]) > 0
        assert int(hung["seconds"]) > 10
        assert found(watched)["no_answer"]["service"] in ("router", "clock")
        assert int(wait_until_found(watched, "clock_silent")["seconds"]) > 15
    wait_until_healthy(watched)


def test_a_registry_that_is_away_is_found_and_hides_nothing_else(watched: RunningBus) -> None:
    with watched.held() as stack:
        stack.stop_registry()
        try:
            code, answer = told(watched)
        finally:
            stack.start_registry()
    assert code == 1
    assert "no_registry" in {one["finding"] for one in answer["findings"]}
    states = {one["part"]: one["state"] for one in answer["parts"]}
    assert (states["registry"], states["rules"]) == ("critical", "unexamined")
    assert states["broker"] == states["topics"] == states["alert_store"] == "well"
    wait_until_healthy(watched)


def test_a_broker_that_is_away_is_one_finding(watched: RunningBus) -> None:
    with watched.held() as stack:
        stack.kill_broker()
        try:
            code, answer = told(watched)
        finally:
            stack.start_broker()
    assert code == 1
    assert {one["finding"] for one in answer["findings"]} == {"no_broker", "not_running"}
    dead = {one["facts"]["service"] for one in answer["findings"] if one["finding"] == "not_running"}
    assert "kafka" in dead, "and services that ended meanwhile, which nobody restarts here"
    assert {one["state"] for one in answer["parts"] if one["part"] in ("lag", "clock", "topics")} == {
        "unexamined"
    }
    wait_until_healthy(watched)


def test_a_department_that_breaks_its_promise_is_late(watched: RunningBus) -> None:
    hasty = replace(PAYMENT, expected_every=timedelta(seconds=1))
    late = wait_until_found(watched, "silent", contracts=(hasty,))
    assert late["topic"] == PAYMENT.topic
    assert "silent" not in found(watched, contracts=(replace(PAYMENT, expected_every=timedelta(days=1)),))


def test_topics_that_are_missing_or_differ_are_found(watched: RunningBus) -> None:
    other = watched.settings.model_copy(update={"generation": 7, "partitions": 3})
    seen = found(watched, settings=other)
    assert (seen["topics_missing"]["number"], seen["topics_missing"]["topics"]) == (1, "xiezhi.fact.g7")
    assert "planned are 3" in str(seen["topic_differs"]["what"])
    assert int(seen["more_differ"]["number"]) > 0


def test_a_disk_that_fills_and_a_folder_that_is_none_are_found(watched: RunningBus, tmp_path: Path) -> None:
    greedy = watched.settings.model_copy(update={"disk_free_min_gib": 1e9})
    assert found(watched, settings=greedy)["disk_low"]["wanted"] == "1e+09 GiB"
    file = tmp_path / "data"
    file.touch()
    broken = watched.settings.model_copy(update={"data_dir": file})
    assert found(watched, settings=broken)["not_writable"]["folder"] == str(file)


def test_an_alert_store_that_is_broken_or_of_another_log_is_found(
    watched: RunningBus, tmp_path: Path
) -> None:
    copy = tmp_path / "alerts.sqlite3"
    shutil.copy(watched.settings.data_dir / "alerts.sqlite3", copy)
    with copy.open("r+b") as file:
        file.write(b"not a database" * 100)
    elsewhere = watched.settings.model_copy(update={"data_dir": tmp_path})
    assert found(watched, settings=elsewhere)["store_unreadable"]["path"] == str(copy)


def test_an_audit_log_whose_checkpoint_is_forged_is_found(watched: RunningBus, tmp_path: Path) -> None:
    shutil.copytree(watched.settings.data_dir / "audit", tmp_path / "audit")
    checkpoint = tmp_path / "audit" / "1" / CHECKPOINT
    checkpoint.write_bytes(checkpoint.read_bytes().replace(b"A", b"B"))
    elsewhere = watched.settings.model_copy(update={"data_dir": tmp_path})
    assert found(watched, settings=elsewhere)["audit_unreadable"]["path"] == str(tmp_path / "audit")


LABELS = {label for metric in catalogue.METRICS for label in metric.exposed_labels} | {"le"}


def scraped(bus: RunningBus) -> Scraped:
    """Everything that every service of the bus serves."""
    state = read_state(bus.settings.data_dir / "stack")
    assert state is not None
    return scrape(process.metrics_port for process in state.processes if process.metrics_port)


def test_every_service_serves_what_the_catalogue_says_and_nothing_else(watched: RunningBus) -> None:
    wait_for(
        lambda: scraped(watched).total(catalogue.BROKER_UP.exposed) == 1, 60.0, "the monitor sees the bus"
    )
    seen = scraped(watched)
    assert expected() - seen.names == set()
    foreign = {name for name in seen.names if not name.startswith(("process_", "target_info", "python_"))}
    assert foreign <= {series for metric in catalogue.METRICS for series in metric.series}
    own = [one for one in seen.samples if one.name in foreign]
    assert {label for one in own for label in one.labels} <= LABELS
    assert all(len(value) <= 60 for one in own for value in one.labels.values()), "no id, key, token or text"
    assert len(own) < 3_000, "labels are few"


def expected() -> set[str]:
    """What a bus serves that is well and has said alerts."""
    absent = {catalogue.AUDIT_GAPS, catalogue.DEAD_LETTERS, catalogue.WAITED}
    return {series for metric in catalogue.METRICS if metric not in absent for series in metric.series}


def test_what_is_measured_is_what_happened(watched: RunningBus) -> None:
    wait_until_healthy(watched)
    before = scraped(watched)
    publish(watched, seed=73)
    watched.settle()
    after = scraped(watched)
    payments = len([one for one in load(73, 20, now_ms()) if one.contract is PAYMENT])

    def grew(metric: catalogue.Metric, **labels: str) -> float:
        return after.total(metric.exposed, **labels) - before.total(metric.exposed, **labels)

    routed = {"messaging_destination_name": PAYMENT.topic, "messaging_consumer_group_name": "xiezhi-router"}
    assert grew(catalogue.CONSUMED, **routed) == payments
    assert grew(catalogue.BATCHES, stage="router", topic=PAYMENT.topic) >= 1
    assert grew(catalogue.BUSY, stage="router", topic=PAYMENT.topic) > 0
    assert grew(catalogue.OUTCOMES, rule="C03") > 0
    said, stored = grew(catalogue.SAID), grew(catalogue.STORED)
    assert said == stored > 0
    latency = f"{catalogue.ALERT_LATENCY.exposed}_count"
    for segment in ("occurred_ingested", "ingested_said", "said_stored"):
        assert after.total(latency, segment=segment) - before.total(latency, segment=segment) == said

    def behind() -> float:
        return scraped(watched).total(catalogue.GROUP_LAG.exposed, topic=PAYMENT.topic)

    wait_for(lambda: behind() == 0, 20.0, "the monitor sees no lag")
    newest = after.total(catalogue.LAST_INGESTED.exposed, topic=PAYMENT.topic)
    assert abs(newest - time.time()) < 120


def test_lag_is_seen_by_the_monitor_while_the_stage_cannot_tell(watched: RunningBus) -> None:
    with watched.held(), stopped(watched.member("router")):
        publish(watched, seed=74, groups=4)

        def waits() -> bool:
            seen = scrape([port_of(watched, "monitor")])
            lag = seen.total(catalogue.GROUP_LAG.exposed, group="xiezhi-router")
            return lag > 0 and seen.total(catalogue.GROUP_LAG_TIME.exposed, group="xiezhi-router") > 1.0

        wait_for(waits, 30.0, "lag in records and seconds")
    wait_until_healthy(watched)


def port_of(bus: RunningBus, name: str) -> int:
    state = read_state(bus.settings.data_dir / "stack")
    assert state is not None
    return next(process.metrics_port for process in state.processes if process.name == name)


def test_a_dead_letter_is_counted_and_found_with_its_reason(watched: RunningBus) -> None:
    producer = Producer({"bootstrap.servers": watched.settings.bootstrap_servers})
    producer.produce(PAYMENT.topic, b"no Avro", b"key")
    assert producer.flush(30) == 0
    dead = wait_until_found(watched, "dead_letters")
    assert (dead["stage"], dead["topic"], dead["number"]) == ("router", PAYMENT.topic, 1)
    code, answer = told(watched)
    assert (code, answer["healthy"]) == (1, False)
    counted = scraped(watched).total(
        catalogue.DEAD_LETTERS.exposed, stage="router", topic=PAYMENT.topic, reason=str(dead["reason"])
    )
    assert counted == 1


class AnHourAhead:
    """The watermark of a machine with a wrong clock."""

    def read(self) -> int:
        return now_ms() + 3_600_000


def test_a_clock_that_is_ahead_of_the_broker_ends_and_is_found_and_its_ticks_are_dead_letters(
    watched: RunningBus,
) -> None:
    settings = watched.settings
    with LogReader(settings.bootstrap_servers) as log:
        producer = Producer(producer_options(settings, name="clock"))
        clock = Clock(settings, log, AnHourAhead(), producer, now_ms)  # type: ignore[arg-type]
        with pytest.raises(ClockAheadError, match=r"clock is 3[56][0-9][0-9] s ahead of the broker's"):
            clock.step()
    assert 3_500 < int(found(watched)["clock_ahead"]["seconds"]) <= 3_600

    def reasons() -> set[str]:
        findings = report(watched).findings
        return {str(one.facts["reason"]) for one in findings if one.text == "dead_letters"}

    wait_for(lambda: "tick_ahead" in reasons(), 30.0, "the judge refuses them")
