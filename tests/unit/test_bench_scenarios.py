"""What `make bench` runs, in which size, and what it says and keeps of it."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import click
import pytest

from benchmarks import restart, workload
from benchmarks.bench import NAMES, chosen_of, keep, page
from benchmarks.bus import PACK, SETTLED_MS
from benchmarks.full_path import Passage
from benchmarks.full_path import table as full_path_table
from benchmarks.restart import DEATH_EVERY, Pass, Restart
from benchmarks.scenario import Report
from benchmarks.size import FULL_RECORDS, Size
from streams.cards import load_pack
from streams.facts import TICK_AHEAD_MAX_MS


def test_all_scenarios_run_unless_some_are_asked_for() -> None:
    assert chosen_of("") == NAMES == ["S1", "S2", "S3", "S4", "S5", "S6", "S7"]
    assert chosen_of("s5, S2") == ["S2", "S5"]
    with pytest.raises(click.BadParameter, match="S9"):
        chosen_of("S2,S9")


def test_only_a_full_run_with_rounds_to_take_a_median_of_is_published() -> None:
    assert Size.of(FULL_RECORDS).is_full
    assert not Size.of(FULL_RECORDS, rounds=1).is_full
    short = Size.of(20_000)
    assert (short.is_full, short.rounds, short.slow_records) == (False, 1, 2_000)


def test_a_section_says_what_its_figures_rest_on_and_the_raw_file_holds_all_of_them(tmp_path: Path) -> None:
    report = Report("S9 something", ["| a |"], {"rounds": [1]}, {"S9.hlog": "text"})
    lines = list(page(report, Size.of(20_000), {"cores": "2"}))
    assert lines[0] == "| a |"
    assert lines[-1].endswith("cores 2.")
    keep("S9", report, {"cores": "2"}, tmp_path)
    assert json.loads((tmp_path / "S9.json").read_text("utf-8")) == {
        "title": "S9 something",
        "about": {"cores": "2"},
        "rounds": [1],
    }
    assert (tmp_path / "S9.hlog").read_text("utf-8") == "text"


def test_the_whole_path_is_told_with_the_cpu_time_of_each_process() -> None:
    one = Passage(1_000, 0.05, 0.2, {"judge": 0.1, "publisher": 0.02}, {"judge": 200.0})
    lines = "\n".join(full_path_table([one]))
    assert "| 1,000 | 5,000 | 5,000-5,000 | 20,000 | ≥ 10,000/s: **missed** |" in lines
    assert "| judge | 100.0 | 200 |" in lines
    assert "| publisher | 20.0 |  |" in lines


def test_the_backlog_of_the_restart_is_about_persons_who_have_a_key_and_its_deaths_come_one_each() -> None:
    keys = 2_000
    backlog = list(restart._backlog(keys, 3 * DEATH_EVERY))
    persons = {one.fields["person"] for one in (restart._benefit(n, n) for n in range(keys))}
    assert {one.fields["person"] for one in backlog} <= persons
    deaths = [one.fields["person"] for one in backlog if "died_on" in one.fields]
    assert len(set(deaths)) == len(deaths) == 3
    others = workload.backlog(10_000)
    assert not {one.record_id for one in backlog} & {one.record_id for one in others}
    assert not persons & {one.fields.get("person") for one in others}
    for one in islice(backlog, 5):
        one.contract.model(record_id=one.record_id, **one.fields)


def test_the_closing_tick_is_beyond_every_settle_time_and_no_judge_refuses_it() -> None:
    longest_ms = 1000 * max(card.settle_seconds for card in load_pack(PACK))
    assert longest_ms < SETTLED_MS < TICK_AHEAD_MAX_MS


def test_a_slow_restart_is_said() -> None:
    filled = Pass(1_000, 0.0, 0.5, {"router": 90.0, "judge": 100.0})
    restarted = Pass(900, 16.0, 59.0, {"router": 91.0, "judge": 101.0})
    lines = "\n".join(restart.table(Restart(filled, restarted, {"router": 1.0, "judge": 2.0})))
    assert "| first alert after the restart | 16.0 | ≤ 15 | **missed** |" in lines
    assert "| caught up with 900 records | 59.0 | ≤ 60 | met |" in lines
    assert "| judge | 100 | 101 | 2 |" in lines
