"""Two and three workers of router and judge join and leave under load, in every way there is: the oracle's answer.

Stores are handed over, left behind the log and brought forward again, and built from nothing. How long stages pause
meanwhile is measured by `python -m benchmarks.rebalance`, which goes through the same events.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from tests.answers import Said, Standing, oracle, published_ids, said, stored
from tests.faults.kills.traffic import PacedTraffic
from tests.running_bus import ROOT, running_bus
from tests.workers import EVENTS, Act, Crew, Worker, crews
from xiezhi.dead_letter_log import DeadRecord

PARTITIONS = 4
RECORDS_PER_S = 60.0
SEED = 20261125
TRAFFIC_STOP_S = 30.0
#: In the end one that was there, left and came back has every partition; the others leave.
LAST = "1"


@dataclass(frozen=True)
class Run:
    """What one bus went through, and what it says in the end."""

    workers: dict[tuple[str, str], Worker]
    topic: Said
    stored: Standing
    repeated: list[str]
    oracle: Standing
    dead: list[DeadRecord]
    sent: int
    arrived: int


def share(both: Sequence[Crew]) -> None:
    for crew in both:
        crew.wait_until_balanced()


def come_and_go(both: Sequence[Crew]) -> None:
    share(both)
    for event in EVENTS:
        for crew in both:
            crew.act(event.act, event.worker)
        share(both)
    for crew in both:
        for worker in crew.running:
            if worker.name != LAST:
                crew.act(Act.LEAVE, worker.name)
    share(both)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    home = tmp_path_factory.mktemp("rebalance") / "stack"
    with running_bus(home, partitions=PARTITIONS) as bus, bus.held() as stack:
        traffic = PacedTraffic(bus.settings, SEED, RECORDS_PER_S)
        traffic.start()
        with crews(stack, bus.settings) as both:
            come_and_go(both)
            traffic.stop(TRAFFIC_STOP_S)
            bus.settle()
            standing, repeated = stored(bus.settings)
            return Run(
                workers={(crew.stage, one.name): one for crew in both for one in crew.workers.values()},
                topic=said(bus.settings),
                stored=standing,
                repeated=repeated,
                oracle=oracle(bus.settings),
                dead=bus.dead_letters(),
                sent=len(traffic.statements),
                arrived=len(published_ids(bus.settings)),
            )


def test_the_alerts_that_stand_are_the_oracles(run: Run) -> None:
    assert run.arrived == run.sent
    assert run.topic.standing == run.stored == run.oracle
    assert len(run.oracle) > 100
    assert len(run.topic.withdrawn) > 10, "some were taken back on the way"


def test_nothing_is_said_twice_and_nothing_is_a_dead_letter(run: Run) -> None:
    assert run.topic.repeats == 0
    assert run.topic.conflicts == []
    assert run.topic.foreign == 0
    assert run.repeated == []
    assert run.dead == []


def test_every_worker_had_partitions(run: Run) -> None:
    assert {(one.stage, one.name) for one in run.workers.values() if one.most} == {
        (stage, name) for stage in ("router", "judge") for name in ("0", "1", "2", "3")
    }
    assert run.workers["judge", LAST].most == PARTITIONS


@pytest.mark.parametrize("stage", ["router", "judge"])
def test_stores_were_brought_forward_and_built_from_nothing(run: Run, stage: str) -> None:
    returned, empty = run.workers[stage, "1"].restored(), run.workers[stage, "3"].restored()
    assert [one for one in returned if 0 < one.start < one.end], "its stores were behind the log"
    assert [one for one in empty if one.start == 0 < one.end], "it had none"


@pytest.mark.parametrize("stage", ["router", "judge"])
def test_a_partition_that_stays_with_its_worker_is_not_read_again(run: Run, stage: str) -> None:
    """The first worker keeps half of the partitions through everything, and gets the other half back once."""
    restored = [(one.topic, one.partition) for one in run.workers[stage, "0"].restored()]
    assert restored
    assert {partition for _, partition in restored} == {2, 3}
    assert len(set(restored)) == len(restored)


def test_the_page_for_operators_starts_a_worker_as_this_test_does(run: Run) -> None:
    page = (ROOT / "docs/how-to/operate.md").read_text("utf-8")
    for (stage, name), worker in run.workers.items():
        command = worker.process.command
        assert command.environment["XIEZHI_WORKER"] == name
        assert command.argv[1:] == ("-m", "streams.app", stage)
        assert re.search(rf"^XIEZHI_WORKER=1 .*python -m streams.app {stage}$", page, re.M)
