"""The report on pauses: a line for everything that happens, medians of the rounds with their range."""

from __future__ import annotations

from benchmarks.rebalance import STAGES, STEADY, report
from tests.workers import EVENTS, Act


def test_every_event_is_a_line_with_the_median_of_each_stage() -> None:
    events = [STEADY, *(event.text for event in EVENTS)]
    rounds = [
        {stage: dict.fromkeys(events, add + took) for stage, add in zip(STAGES, (0.0, 10.0), strict=True)}
        for took in (1.0, 4.0, 2.0)
    ]
    lines = list(report(rounds, {"cores": "2"}, 60.0, 6.0))
    assert lines[0] == "3 rounds, 60 records/s, 4 partitions; cores 2"
    assert [line for line in lines if line.startswith("| ")] == [
        "| event | pause of the router, s | pause of the judge, s |",
        *(f"| {event} | 2.0 (1.0-4.0) | 12.0 (11.0-14.0) |" for event in events),
    ]
    assert "(6 s, `XIEZHI_SESSION_TIMEOUT_S`)" in lines[-1]


def test_two_and_three_workers_come_and_go_in_every_way() -> None:
    running, most = {"0"}, 1
    left: set[str] = set()
    for event in EVENTS:
        if event.act is Act.JOIN:
            assert event.worker not in running
            running.add(event.worker)
        else:
            running.remove(event.worker)
            left.add(event.worker)
        most = max(most, len(running))
    assert most == len(running) == 3
    assert {event.act for event in EVENTS} == set(Act)
    assert left & running, "one comes back"
