"""Filling a generation of the fact topic beside the live one, and what will change when it speaks.

Router and judge of the next generation run as processes of their own, without a clock, so that nobody tells the judge
to speak. What they leave behind may be thrown away at any time before the switch. Blocking, for the command line.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from schemas.catalogue import CONTRACTS
from streams import history
from streams.activations import activation_hash
from streams.cards import Card
from streams.clock import passed_by
from streams.evaluation import ActiveRule
from streams.facts import TAKE_OVER_KEY
from streams.joins import JOINS
from streams.oracle import judge_log
from streams.replay import Differing, Past, compare, said_at
from streams.rule_code import code_hash
from xiezhi.admin_client import Admin
from xiezhi.codec import Codec
from xiezhi.contracts.naming import fact_topic
from xiezhi.errors import ConfigurationError, StackError, XiezhiError
from xiezhi.groups import JUDGE, REJUDGED, ROUTER, of_generation
from xiezhi.ingestion import Ingestion
from xiezhi.lag import Lags, PartitionLag
from xiezhi.local.process import Command, Process
from xiezhi.local.services import Service, environment
from xiezhi.log import LogReader
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings
from xiezhi.topics import Topics, topic_plan
from xiezhi.wall_clock import now_ms

#: The services that fill a generation. Without a clock there is no take-over.
FILLING = ("router", "judge")
#: Between two looks at how far it is; groups commit about twice a second.
LOOK_INTERVAL_S = 0.5
#: For a topic or a group to be gone.
GONE_TIMEOUT_S = 60.0

Look = Callable[[int], None]  # told how many records are still to be filed


def clear(settings: Settings) -> None:
    """Throw away what a generation that never spoke has left: its topic, groups and stores.

    Raises ConfigurationError when it is in use or has spoken: then it is no leftover.
    """
    groups = _groups(settings)
    if not _are_left(settings, groups):
        raise ConfigurationError(
            f"somebody works for generation {settings.generation} already: stop that first, or, if it is the live one, "
            "set XIEZHI_GENERATION to it"
        )
    if any(one.committed for one in _rejudged(settings).read()):
        raise ConfigurationError(
            f"generation {settings.generation} has taken over before: set XIEZHI_GENERATION to the live one"
        )
    admin = Admin({"bootstrap.servers": settings.bootstrap_servers})
    rejudged = of_generation(REJUDGED, settings.generation)
    _done(admin.delete_consumer_groups([*groups, rejudged]), KafkaError.GROUP_ID_NOT_FOUND)
    topic = fact_topic(settings.generation)
    _done(admin.delete_topics([topic], operation_timeout=GONE_TIMEOUT_S), KafkaError.UNKNOWN_TOPIC_OR_PART)
    deadline = time.monotonic() + GONE_TIMEOUT_S
    while topic in admin.list_topics(timeout=GONE_TIMEOUT_S).topics:
        if time.monotonic() > deadline:
            raise XiezhiError(f"the broker does not delete topic {topic}")
        time.sleep(LOOK_INTERVAL_S)
    for name in FILLING:
        shutil.rmtree(settings.data_dir / of_generation(name, settings.generation), ignore_errors=True)


def _are_left(settings: Settings, groups: Sequence[str]) -> bool:
    """Whether nobody works for the groups, once those that were killed a moment ago are given up for dead."""
    ingestion, deadline = (
        Ingestion(settings.bootstrap_servers),
        time.monotonic() + settings.session_timeout_s + 5.0,
    )
    return _wait(lambda: not any(ingestion.members(groups).values()), deadline)


def create(settings: Settings) -> None:
    """The fact topic of a generation."""
    Topics(settings.bootstrap_servers).create(
        [one for one in topic_plan((), settings) if one.name == fact_topic(settings.generation)]
    )


@contextmanager
def filling(settings: Settings, services: Sequence[Service], root: Path) -> Iterator[Sequence[Process]]:
    """Router and judge of a generation, until the block ends; they also end when this process does."""
    own = settings.model_copy(update={"metrics_port": 0})
    processes = [_process(service, own, root) for service in services if service.name in FILLING]
    if len(processes) < len(FILLING):
        raise ConfigurationError(f"the services of this project lack one of {', '.join(FILLING)}")
    try:
        for process in processes:
            process.start()
        yield processes
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.stop()


def _process(service: Service, settings: Settings, root: Path) -> Process:
    name = of_generation(service.name, settings.generation)
    log = settings.data_dir.absolute() / "stack" / "logs" / f"refile-{name}.log"
    return Process(Command(name, (sys.executable, *service.command), root, log, environment(settings)))


def wait_until_filled(settings: Settings, processes: Sequence[Process], look: Look = lambda _: None) -> None:
    """Return once everything that is on the topics now is filed and merged. Raises StackError if a process ends."""
    lags = Lags(settings.bootstrap_servers, passed_by(settings))
    for group in _groups(
        settings
    ):  # first all that was published is filed, then all that was filed is merged
        ends = {(one.topic, one.partition): one.end for one in lags.read() if one.group == group}
        while True:
            left = [_left(one, ends) for one in lags.read() if one.group == group]
            look(sum(left))
            if not any(left):
                break
            for process in processes:
                if not process.is_running:
                    raise StackError(
                        f"{process.name} ended while filling: {process.log_tail(1)} (log: {process.command.log})"
                    )
            time.sleep(LOOK_INTERVAL_S)


def _left(lag: PartitionLag, ends: Mapping[tuple[str, int], int]) -> int:
    return max(0, ends[lag.topic, lag.partition] - lag.committed)


def differences(settings: Settings, cards: Sequence[Card]) -> list[Differing]:
    """Where the code here, with these cards, differs from what stands now. `settings` are of the live generation."""
    codec = Codec(ConfluentRegistry(settings.registry_url))
    with LogReader(settings.bootstrap_servers) as log:
        tick_ms = history.latest_tick_ms(log, settings.generation)
        guard = history.guard(log, codec, CONTRACTS, settings)
        verdict = judge_log(history.records(log, CONTRACTS), JOINS, as_activated(cards), guard, tick_ms)
        said = said_at(Past(settings, log, codec, now_ms()))
    return compare(said, verdict.alerts)


def as_activated(cards: Sequence[Card]) -> dict[str, ActiveRule]:
    """The rules of these cards, as they will be in force with the code here."""
    rules = {rule.id: rule for join in JOINS for rule in join.rules}
    return {
        card.id: ActiveRule(
            rules[card.id],
            card,
            activation_hash(card.canonical_json(), code_hash(card.id)),
            card.parameters(),
        )
        for card in cards
    }


def is_taking_over(settings: Settings) -> bool:
    """Whether a generation is live that has yet to take over, or to judge every key for the first time after that.

    Not so where nobody is left who could: its judge may have stopped for good, as at an activation of other code.
    """
    judged = _rejudged(settings).read()
    if not judged or any(not one.committed for one in judged):
        return True
    judge = of_generation(JUDGE, settings.generation)
    with LogReader(settings.bootstrap_servers) as log:
        is_under_way = any(_is_take_over(log, one) for one in judged)
    return is_under_way and any(Ingestion(settings.bootstrap_servers).members([judge]).values())


def _is_take_over(log: LogReader, judged: PartitionLag) -> bool:
    """Whether the first record that is not judged on every key is the take-over."""
    first = log.read(judged.topic, judged.partition, judged.committed, min(judged.committed + 1, judged.end))
    return any(raw.key == TAKE_OVER_KEY for chunk in first for raw in chunk)


def wait_until_finished(
    settings: Settings, timeout_s: float, look: Callable[[str], None] = lambda _: None
) -> bool:
    """Whether, within the time, a generation has taken over and judged every key. `look` is told what is waited for."""
    lags, deadline = _rejudged(settings), time.monotonic() + timeout_s
    if not _wait(lambda: _judged_upto(lags, {}), deadline, look, "the take-over"):
        return False
    ends = {one.partition: one.end for one in lags.read()}  # beyond the take-over
    return _wait(lambda: _judged_upto(lags, ends), deadline, look, "every key to be judged")


def _judged_upto(lags: Lags, ends: Mapping[int, int]) -> bool:
    """Whether everything before these ends, and the take-over in any case, is judged on every key."""
    found = lags.read()
    return bool(found) and all(one.committed >= max(1, ends.get(one.partition, 0)) for one in found)


def _wait(
    done: Callable[[], bool], deadline: float, look: Callable[[str], None] = lambda _: None, what: str = ""
) -> bool:
    while not done():
        if time.monotonic() > deadline:
            return False
        look(what)
        time.sleep(LOOK_INTERVAL_S)
    return True


def _groups(settings: Settings) -> list[str]:
    return [of_generation(group, settings.generation) for group in (ROUTER, JUDGE)]


def _rejudged(settings: Settings) -> Lags:
    group, topic = of_generation(REJUDGED, settings.generation), fact_topic(settings.generation)
    return Lags(settings.bootstrap_servers, {group: [topic]})


def _done(futures: Mapping[str, Any], missing: int) -> None:
    for name, future in futures.items():
        try:
            future.result(timeout=GONE_TIMEOUT_S)
        except KafkaException as error:
            if error.args[0].code() != missing:
                raise XiezhiError(f"{name} cannot be deleted: {error.args[0].str()}") from error
