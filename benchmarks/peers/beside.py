"""S1, S2 and S4: the same records on the same broker, read by one process of each engine, one after the other.

Rounds are interleaved and begin with another engine each, so that a slow minute of the machine meets all alike; ratios
are medians of the ratios within a round. A figure counts only when the answer is the one that was published.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from statistics import median

from benchmarks.bus import Bus
from benchmarks.peers import quix_environment
from benchmarks.peers.engines import OURS, QUIX, STOCK, STREAMS, Engine, Outcome, engines, run
from benchmarks.peers.kafka_streams import versions
from benchmarks.peers.outcome import Job
from benchmarks.peers.records import Answer, answers, benefits, keyed, payments
from benchmarks.scenario import Report, scratch
from benchmarks.size import Size
from benchmarks.tables import markdown, middle, rate
from schemas import catalogue
from xiezhi.codec import Codec
from xiezhi.local.services import environment
from xiezhi.registry import ConfluentRegistry

TITLES = {
    "S1": "S1 decode and sum",
    "S2": "S2 sum per key, with state",
    "S4": "S4 duplicate benefits in windows of thirty days",
}
#: What we hold ourselves to, beside each peer in the same round.
TARGETS: Mapping[str, Mapping[str, float]] = {"S2": {QUIX: 1.5, STREAMS: 0.5, STOCK: 8.0}}

Rounds = Mapping[str, Sequence[Outcome]]
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Input:
    """Records on a topic, and by scenario what is to be found in them."""

    topic: str
    records: int
    answers: Mapping[str, Answer]


class Stand:
    """A broker with the records, and engines ready to run; all of it ends with `opened`."""

    def __init__(self, size: Size, opened: ExitStack, say: Say) -> None:
        self._folder = scratch(opened)
        self._engines = engines(self._folder / "classes", say)
        say("S1, S2, S4: starting a broker and a registry")
        self._bus, self._say, self._rounds = Bus.new(self._folder, opened), say, size.rounds
        self._bus.command("contracts", "apply")
        self._all = self._publish("all", size.records)
        self._few = self._publish("few", size.slow_records)

    def _publish(self, name: str, records: int) -> tuple[Input, Input]:
        """Payments and benefits."""
        codec = Codec(ConfluentRegistry(self._bus.settings.registry_url))
        paid, received = payments(records), benefits(records)
        expected = answers(paid, received)
        inputs = []
        for what, occurrences, key in (("payments", paid, "contract_id"), ("benefits", received, "person")):
            topic = f"benchmark-{what}-{name}"
            self._bus.create_topic(topic)
            self._bus.send(keyed(occurrences, topic, key, codec))
            inputs.append(Input(topic, records, expected))
        return inputs[0], inputs[1]

    def measure(self, scenario: str) -> Rounds:
        """All rounds of one scenario, by engine."""
        taking_part = [one for one in self._engines if scenario in one.scenarios]
        found: dict[str, list[Outcome]] = {one.name: [] for one in taking_part}
        for number in range(self._rounds):
            turn = number % len(taking_part)
            for engine in (*taking_part[turn:], *taking_part[:turn]):
                one = self._run(engine, scenario, number)
                found[engine.name].append(one)
                self._say(f"  {scenario} round {number + 1}, {engine.name}: {one.per_s:,.0f} records/s")
        return found

    def _run(self, engine: Engine, scenario: str, number: int) -> Outcome:
        both = self._few if engine.is_slow else self._all
        given, contract = (both[1], catalogue.ALLOWANCE) if scenario == "S4" else (both[0], catalogue.PAYMENT)
        schema = self._folder / f"{contract.topic}.avsc"
        schema.write_text(json.dumps(contract.schema), "utf-8")
        name = f"{scenario}-{number}-{engine.name.replace(' ', '-')}"
        servers = self._bus.settings.bootstrap_servers
        job = Job(scenario, servers, given.topic, given.records, schema, self._folder / name)
        found = run(engine, job, environment(self._bus.settings), given.answers[scenario])
        shutil.rmtree(job.folder)
        return found


def peer_versions() -> dict[str, str]:
    """Of what others are measured with."""
    return {**versions(), **quix_environment.versions(quix_environment.FOLDER / "bin" / "python")}


def report(scenario: str, rounds: Rounds) -> Report:
    """A table of medians, the ratios, and what was targeted."""
    raw = {name: [asdict(one) for one in found] for name, found in rounds.items()}
    return Report(TITLES[scenario], [*table(rounds), "", *ratios(scenario, rounds)], raw)


def table(rounds: Rounds) -> Iterator[str]:
    """One line per engine: medians over the rounds."""
    heads = (
        *("one process", "records", "records/s", "lowest-highest", "uncommitted"),
        *("CPU µs a record", "peak MB", "start s"),
    )
    yield from markdown(heads, (_row(name, found) for name, found in rounds.items()))
    yield ""
    yield (
        "Records a second from the first record to the commit of the last one's state and offset; *uncommitted*: to "
        "its effect alone. *Start*, the time up to the first record, does not count."
    )


def _row(name: str, found: Sequence[Outcome]) -> Sequence[str]:
    return (
        name,
        f"{found[0].records:,}",
        *rate(found),
        f"{median(one.records / one.processed_s for one in found):,.0f}",
        middle(found, "cpu_us", ".1f"),
        middle(found, "peak_rss_mb", ".0f"),
        middle(found, "start_up_s", ".1f"),
    )


def ratios(scenario: str, rounds: Rounds) -> Iterator[str]:
    """Ours beside each peer: the median over rounds, and whether a target was met."""
    for name, found in rounds.items():
        if name == OURS:
            continue
        pairs = list(zip(rounds[OURS], found, strict=True))
        ratio = median(ours.per_s / theirs.per_s for ours, theirs in pairs)
        cpu = median(theirs.cpu_us / ours.cpu_us for ours, theirs in pairs)
        target = TARGETS.get(scenario, {}).get(name)
        said = "" if target is None else f"; target ≥ {target}: {'met' if ratio >= target else '**missed**'}"
        yield f"- {ratio:.2f} × {name} (by CPU time {cpu:.2f}){said}"
