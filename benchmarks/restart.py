"""S7: router and judge restart with many keys in their stores and a backlog in front of them.

A first backlog gives every person one benefit, so that the judge holds as many keys as there are records. Router and
judge are stopped, five minutes of records arrive at 3,000 a second for random persons, some of them deaths, and both
start again: when is the first alert on its topic, when is everything judged? The planted alerts must be there, each.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

from benchmarks.bus import Bus
from benchmarks.buses import Buses
from benchmarks.measuring import peak_rss_mb
from benchmarks.scenario import Report
from benchmarks.size import Size
from benchmarks.workload import UNTIL_MS, Occurrence, encode, person_token
from schemas import catalogue
from streams.clock import passed_by
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ALERT
from xiezhi.errors import StackError, XiezhiError
from xiezhi.groups import JUDGE, ROUTER
from xiezhi.lag import Lags
from xiezhi.local.process import Process
from xiezhi.registry import ConfluentRegistry

TITLE = "S7 restart with a million keys"
KEYS = 1_000_000
#: Five minutes at 3,000 a second, for a million keys.
BACKLOG_SHARE = 0.9
DEATH_EVERY = 1_000
FIRST_ALERT_S_MAX, CAUGHT_UP_S_MAX = 15.0, 60.0
#: Encoded together: more would hold a gigabyte of records in memory.
CHUNK = 50_000
STAGES = ("router", "judge")
GROUPS = (ROUTER, JUDGE)
LOOK_INTERVAL_S = 0.1
RECORDS_PER_S_MIN = 1_000.0
START_UP_MAX_S = 90.0
_DAY_MS = 86_400_000
_FIRST_PERSON = 10_000_000
_FIRST_DAY = UNTIL_MS // _DAY_MS - 400

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Pass:
    """Router and judge from their start until nothing was left to do, in seconds."""

    records: int
    first_alert_s: float  # 0: none was said
    caught_up_s: float
    peak_rss_mb: dict[str, float]

    @property
    def per_s(self) -> float:
        return self.records / self.caught_up_s


@dataclass(frozen=True, slots=True)
class Restart:
    """How the stores were filled with `filled.records` keys, and the restart over the backlog."""

    filled: Pass
    restarted: Pass
    stores_mb: dict[str, float]


def measure(size: Size, buses: Buses, say: Say) -> Report:
    keys = KEYS if size.is_full else size.records
    backlog = round(BACKLOG_SHARE * keys)
    with buses.bus("S7", say) as bus:
        say(f"S7: publishing and judging {keys:,} keys")
        _publish(bus, (_benefit(number, number) for number in range(keys)))
        filled, said = _work(bus, keys), bus.alerts()
        say(f"S7: publishing a backlog of {backlog:,} records, then restarting")
        _publish(bus, _backlog(keys, backlog))
        restarted = _work(bus, backlog)
        bus.require_alerts(said + len(range(0, backlog, DEATH_EVERY)))
        stores = {stage: _megabytes(bus.settings.data_dir / stage) for stage in STAGES}
    found = Restart(filled, restarted, stores)
    return Report(TITLE, list(table(found)), asdict(found))


def _publish(bus: Bus, occurrences: Iterator[Occurrence]) -> None:
    codec = Codec(ConfluentRegistry(bus.settings.registry_url))
    while chunk := list(islice(occurrences, CHUNK)):
        bus.send(encode(chunk, codec))


def _work(bus: Bus, records: int) -> Pass:
    """Start both stages, wait until they are through with everything, stop them."""
    groups = {group: topics for group, topics in passed_by(bus.settings).items() if group in GROUPS}
    lags, said = Lags(bus.settings.bootstrap_servers, groups), bus.ends(ALERT)
    processes = [bus.process(stage, "streams.app", stage) for stage in STAGES]
    deadline = time.monotonic() + START_UP_MAX_S + records / RECORDS_PER_S_MIN
    begun, first_alert_s, before = time.monotonic(), 0.0, [-1]
    try:
        for process in processes:
            process.start()
        while True:
            at, read = time.monotonic(), lags.read()
            _require_alive(processes, deadline)
            if not first_alert_s and bus.ends(ALERT) > said:
                first_alert_s = time.monotonic() - begun
            ends = [one.end for one in read]
            if not any(one.records for one in read) and ends == before:
                peaks = {process.name: peak_rss_mb(process.pid) for process in processes}
                return Pass(records, first_alert_s, at - begun, peaks)
            before = ends
            time.sleep(LOOK_INTERVAL_S)
    finally:
        for process in processes:
            process.stop()


def _require_alive(processes: Sequence[Process], deadline: float) -> None:
    for process in processes:
        if not process.is_running:
            raise StackError(f"{process.name} ended while it was measured:\n{process.log_tail(10)}")
    if time.monotonic() > deadline:
        raise XiezhiError("router and judge are not through with their backlog in time")


def _backlog(keys: int, records: int) -> Iterator[Occurrence]:
    """Benefits of random persons, and deaths of persons who are paid later: one alert each."""
    chance = random.Random(1)  # noqa: S311 -- chooses persons, no secret
    for number in range(records):
        if number % DEATH_EVERY == 0:
            yield _death(number // DEATH_EVERY)
        else:
            yield _benefit(keys + number, chance.randrange(keys))


def _person(number: int) -> str:
    """Nobody whom another backlog on the same bus is about."""
    return person_token(_FIRST_PERSON + number)


def _benefit(number: int, person: int) -> Occurrence:
    paid = _FIRST_DAY + 90
    fields = {
        "person": _person(person),
        "scheme": "living",
        "kind": "living",
        "period_from": paid,
        "period_to": paid + 29,
        "amount_minor": 86_000,
        "currency": "CNY",
        "paid_at": paid * _DAY_MS,
    }
    return Occurrence(catalogue.ALLOWANCE, f"restart-al-{number}", paid * _DAY_MS, fields)


def _death(person: int) -> Occurrence:
    fields = {"person": _person(person), "died_on": _FIRST_DAY, "registered_on": _FIRST_DAY}
    return Occurrence(catalogue.DEATH, f"restart-death-{person}", _FIRST_DAY * _DAY_MS, fields)


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def table(found: Restart) -> Iterator[str]:
    """What was asked for, and what it took in memory and on disk."""
    restarted = found.restarted
    rows = (
        ("first alert after the restart", restarted.first_alert_s, FIRST_ALERT_S_MAX),
        (f"caught up with {restarted.records:,} records", restarted.caught_up_s, CAUGHT_UP_S_MAX),
    )
    yield f"{found.filled.records:,} keys, filled by router and judge together at {found.filled.per_s:,.0f} records/s."
    yield ""
    yield "| | s | target | |"
    yield "|---|---|---|---|"
    for what, seconds, most in rows:
        yield f"| {what} | {seconds:.1f} | ≤ {most:.0f} | {'met' if seconds <= most else '**missed**'} |"
    yield ""
    yield "| process | peak MB while filling | peak MB after the restart | store, MB |"
    yield "|---|---|---|---|"
    for stage in STAGES:
        filled, peak = found.filled.peak_rss_mb[stage], restarted.peak_rss_mb[stage]
        yield f"| {stage} | {filled:.0f} | {peak:.0f} | {found.stores_mb[stage]:.0f} |"
