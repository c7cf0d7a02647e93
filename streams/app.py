"""Starts one stage of the stream: `python -m streams.app router | judge | clock`. The only place that wires them."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import faust
from confluent_kafka import Consumer as OutputConsumer
from confluent_kafka import TopicPartition

from schemas.catalogue import CONTRACTS
from streams import clock, history
from streams.activations import activator
from streams.agents import subscribe
from streams.cores import JudgeCore, RouterCore
from streams.folds.fingerprint import folds_fingerprint
from streams.joins import JOINS
from streams.judge import Judge, Judging
from streams.measuring import StageMeasure
from streams.records import Guard
from streams.rejudging import Rejudging, group_report
from streams.router import Router, selectors_fingerprint
from streams.stage import Assigned, Stage
from xiezhi.alert_log import QUIETLY
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ACTIVATION, ALERT, RELATION, fact_topic
from xiezhi.errors import StoreError, XiezhiError
from xiezhi.groups import REJUDGED, of_generation
from xiezhi.log import LogReader, RawRecord
from xiezhi.registry import ConfluentRegistry
from xiezhi.service import collect_seldom, set_up_logging
from xiezhi.settings import Settings, read_settings
from xiezhi.store import KeyedStore
from xiezhi.telemetry.endpoint import serve_metrics
from xiezhi.telemetry.meters import Meters
from xiezhi.telemetry.setup import tracing
from xiezhi.wall_clock import now_ms

logger = logging.getLogger(__name__)

OUTPUTS = (ALERT, RELATION)
#: Change when rows of a judge's store are no longer read by this code.
JUDGE_FORMAT = "judge.3"
#: Records of the output topics taken per look, and how often a judge looks.
FOLLOW_RECORDS = 500
FOLLOW_INTERVAL_S = 0.05


def router_app(settings: Settings, meters: Meters) -> Any:
    """Departments' records and relations -> facts."""
    app = _app("router", settings)
    codec = Codec(ConfluentRegistry(settings.registry_url))
    stage = Stage("router", settings, codec, selectors_fingerprint(JOINS), meters)
    guard = Guard(codec.decode_as, int(settings.future_tolerance_s * 1000), stage.partitions_of)

    def open_core(_: str, __: int, store: KeyedStore) -> RouterCore:
        return RouterCore(
            Router(JOINS, guard, store), fact_topic(settings.generation), now_ms, stage.measure.lateness
        )

    stage.open_core = open_core
    topics = [contract.topic for contract in CONTRACTS]
    subscribe(app, stage, [*topics, RELATION])
    stage.subjects = [f"{topic}-value" for topic in (*topics, RELATION)]
    _wait_for_registry(stage)
    return app


def judge_app(settings: Settings, meters: Meters) -> Any:
    """Facts, ticks and activations -> alerts and relations."""
    app = _app("judge", settings)
    codec = Codec(ConfluentRegistry(settings.registry_url))
    fingerprint = f"{JUDGE_FORMAT}.{folds_fingerprint(JOINS)}"
    stage = Stage("judge", settings, codec, fingerprint, meters)
    stage.measure.started(
        [one.id for join in JOINS for one in join.rules],
        [one.name for join in JOINS for one in join.derivations],
    )
    judging = Judging(
        joins=JOINS,
        decode=codec.decode_as,
        activate=activator(codec.decode_as, ACTIVATION, JOINS, lambda: _latest_activations(settings, codec)),
        generation=settings.generation,
        on_outcome=stage.measure.outcome,
        on_failure=_on_failure(stage.measure),
    )

    def open_core(_: str, partition: int, store: KeyedStore) -> JudgeCore:
        judge = Judge(judging, store)
        return JudgeCore(judge, partition, codec.encode, codec.decode_as, now_ms, on_said=stage.measure.said)

    stage.open_core = open_core
    follower = Follower(stage, settings)
    facts = fact_topic(settings.generation)
    subscribe(app, stage, [facts])
    topics = [contract.topic for contract in CONTRACTS]
    stage.subjects = [f"{topic}-value" for topic in (*topics, *OUTPUTS, ACTIVATION)]

    @app.task  # type: ignore[untyped-decorator] # faust is untyped here
    async def _follow() -> None:
        await follower.run(facts)

    rejudged = of_generation(REJUDGED, settings.generation)
    report = group_report(settings.bootstrap_servers, rejudged, facts)
    rejudging = Rejudging(stage, facts, settings.rejudged_keys_per_s, report, meters)

    @app.task  # type: ignore[untyped-decorator] # likewise
    async def _rejudge() -> None:
        await rejudging.run()

    _wait_for_registry(stage)
    return app


def _wait_for_registry(stage: Stage) -> None:
    """Once it has joined its group a worker holds up its partitions for as long as it is not ready."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:  # Faust's loop is not touched
        runner.run(stage.writers_known())


def _on_failure(measure: StageMeasure) -> Callable[[str, str, str], None]:
    """Name the rule and the kind of error; key and values may hold a person's token, so the view is named by a hash."""

    def on_failure(owner: str, view: str, error: str) -> None:
        opaque = hashlib.sha256(view.encode()).hexdigest()[:16]
        logger.error("%s failed at view %s with %s", owner, opaque, error.partition("(")[0])
        measure.failed(owner)

    return on_failure


def _latest_activations(settings: Settings, codec: Codec) -> Mapping[str, Mapping[str, Any]]:
    """The last activation of every rule. Blocks; asked only when an activation names code that is not here."""
    with LogReader(settings.bootstrap_servers) as log:
        return history.activations(log, codec)


class Follower:
    """Reads the judge's own output partitions: to the end before it judges, and on, since a zombie may still write.

    The stage calls it before a partition is ready, and before a batch with which a silent judge begins to speak.
    """

    def __init__(self, stage: Stage, settings: Settings) -> None:
        self._stage, self._settings = stage, settings
        stage.on_open, stage.before = self.read_to_end, self.hear_before
        self._consumer = OutputConsumer(
            {
                "bootstrap.servers": settings.bootstrap_servers,
                "group.id": "xiezhi-judge-outputs",  # required by the client, never joined or committed to
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                **QUIETLY,
                # Nearly all of it the judge said itself: few answers with much in them.
                "fetch.min.bytes": 50_000,
                "fetch.wait.max.ms": 200,
            }
        )
        self._following: dict[int, Assigned] = {}

    async def read_to_end(self, assigned: Assigned) -> None:
        """Adopt everything that was said before this worker judges the partition."""
        core = assigned.core
        assert isinstance(core, JudgeCore)
        for topic in OUTPUTS:
            if assigned.revoked:
                return  # its store is closed
            with LogReader(self._settings.bootstrap_servers) as log:
                chunks = log.read(topic, assigned.partition, core.outputs_read(topic))
                while not assigned.revoked and (chunk := await asyncio.to_thread(next, chunks, None)):
                    await self._adopt(assigned, chunk)

    async def hear_before(self, assigned: Assigned, records: Sequence[RawRecord]) -> None:
        """Adopt everything that was said before a batch with which a silent judge begins to speak.

        `run` hears it, too, but how soon is nobody's promise: a partition without a leader may keep it waiting.
        """
        if isinstance(assigned.core, JudgeCore) and assigned.core.is_to_speak(records):
            await self.read_to_end(assigned)

    async def run(self, fact_topic_name: str) -> None:
        """Adopt what appears on the output partitions of the facts that are assigned here, forever."""
        try:
            while True:
                self._follow(self._stage.assigned(fact_topic_name))
                if not self._following:
                    await asyncio.sleep(FOLLOW_INTERVAL_S)
                    continue
                messages = await asyncio.to_thread(self._consumer.consume, FOLLOW_RECORDS, FOLLOW_INTERVAL_S)
                for partition, records in _by_partition(messages).items():
                    assigned = self._following.get(partition)
                    if assigned is not None and not assigned.revoked:
                        await self._adopt(assigned, records)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 -- a judge that no longer hears what was said must not judge
            self._stage.fail(error)

    def _follow(self, wanted: list[Assigned]) -> None:
        open_now = {one.partition: one for one in wanted if one.ready}
        if open_now == self._following:
            return
        self._following = open_now
        self._consumer.assign(
            [
                TopicPartition(topic, number, _outputs_read(one, topic))
                for number, one in open_now.items()
                for topic in OUTPUTS
            ]
        )

    async def _adopt(self, assigned: Assigned, records: list[RawRecord]) -> None:
        core = assigned.core
        if isinstance(core, JudgeCore):
            await self._stage.schemas_known(records)
            await self._stage.act(assigned, lambda: core.adopt(records))


def _outputs_read(assigned: Assigned, topic: str) -> int:
    return assigned.core.outputs_read(topic) if isinstance(assigned.core, JudgeCore) else 0


def _by_partition(messages: list[Any]) -> dict[int, list[RawRecord]]:
    grouped: dict[int, list[RawRecord]] = {}
    for message in messages:
        if message.error() is not None:
            raise XiezhiError(f"reading what was said failed: {message.error()}")
        grouped.setdefault(message.partition(), []).append(RawRecord.from_message(message))
    return grouped


def _app(name: str, settings: Settings) -> Any:
    """A Faust application without web server, tables or leader: only groups, fetching and life cycle."""
    folder = Path(settings.data_dir) / of_generation(name, settings.generation) / settings.worker
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"cannot create {folder}: {error.strerror}; free some space there and let this user write, or set "
            "XIEZHI_DATA_DIR"
        ) from error
    brokers = ";".join(f"xiezhi://{host}" for host in settings.bootstrap_servers.split(","))
    return faust.App(
        of_generation(f"xiezhi-{name}", settings.generation),
        broker=brokers,
        autodiscover=False,
        datadir=folder / "faust",
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        table_standby_replicas=0,
        consumer_auto_offset_reset="earliest",
        stream_buffer_maxsize=2,  # 4096 would queue small batches instead of letting them grow with the backlog
        broker_commit_interval=0.5,
        broker_session_timeout=settings.session_timeout_s,
        # By a heartbeat workers learn that the group shares partitions anew; the first to know waits for the last.
        broker_heartbeat_interval=min(0.5, settings.session_timeout_s / 3),
        broker_request_timeout=max(30.0, settings.session_timeout_s * 2),
    )


def main(arguments: list[str]) -> int:
    """Run one stage until TERM; returns the exit code."""
    set_up_logging()
    try:
        return _run(arguments, read_settings())
    except XiezhiError as error:
        logger.critical("%s stops with exit code %s: %s", " ".join(arguments), error.exit_code, error)
        return error.exit_code


def _run(arguments: list[str], settings: Settings) -> int:
    logging.getLogger().setLevel(settings.log_level)
    stages: dict[str, Callable[[Meters], object]] = {
        "router": lambda meters: _work(router_app(settings, meters), settings),
        "judge": lambda meters: _work(judge_app(settings, meters), settings),
        "clock": lambda meters: clock.run(settings, meters),
    }
    if len(arguments) != 1 or arguments[0] not in stages:
        print(f"usage: python -m streams.app {' | '.join(stages)}", file=sys.stderr)  # noqa: T201 -- a usage line
        return 64
    meters = serve_metrics(arguments[0], settings.metrics_port).meters
    with tracing(f"xiezhi-{arguments[0]}", settings, to_store=False):
        stages[arguments[0]](meters)
    return 0


def _work(app: Any, settings: Settings) -> None:
    collect_seldom()
    faust.Worker(app, loglevel=settings.log_level, redirect_stdouts=False).execute_from_commandline()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
