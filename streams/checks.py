"""What the doctor asks about the stream: does the clock tick, how old is its watermark, which rules lack records, is
anything being judged again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from streams import history
from streams.facts import TICK_KEY, tick_ms, tick_of
from streams.joins import JOINS
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ACTIVATION, RELATION, fact_topic
from xiezhi.doctor.finding import Check, Examined, Finding, Patient, Severity
from xiezhi.errors import BadRecordError
from xiezhi.groups import JUDGE, REJUDGED, of_generation, service_of
from xiezhi.ingestion import Ingestion
from xiezhi.lag import Lags, PartitionLag
from xiezhi.log import LogReader, RawRecord
from xiezhi.registry import ConfluentRegistry

CATALOGUE = "streams"
#: Facts looked through from the end of a partition for the last tick. More of them since it only say that it is late.
TAIL_RECORDS_MAX = 5_000
#: Beyond some ticks that were missed.
SILENT_S = 15.0
#: A watermark is one tick and one look old at best; much older, and something that it waits for stands still.
WATERMARK_OLD_S = 300.0
#: The judge reports four times a second how far it has judged everything; far behind that, it is judging again.
REJUDGING_S = 30.0


def examine_clock(patient: Patient) -> Examined:
    """The last tick of every fact partition: when it came, and the instant that it names."""
    topic = fact_topic(patient.settings.generation)
    with LogReader(patient.settings.bootstrap_servers, patient.timeout_s) as log:
        ticks = [_ticks(log, topic, number) for number in range(log.partitions(topic))]
    return clock_examined(ticks, patient.now_ms, patient.settings.tick_interval_s)


def clock_examined(ticks: Sequence[Sequence[RawRecord]], now_ms: int, interval_s: float) -> Examined:
    """`ticks` are the newest of each fact partition, in the order of the log."""
    if not ticks:
        return Examined("-")  # that the topic is missing is said elsewhere
    allowed_s = 2 * interval_s + SILENT_S
    refused = [raw for partition in ticks for raw in partition if _is_ahead(raw)]
    if any(raw.ingested_ms > now_ms - 1000 * allowed_s for raw in refused):
        ahead_s = max(tick_ms(raw.value) - raw.ingested_ms for raw in refused) / 1000
        return Examined("-", (_finding(Severity.CRITICAL, "clock", "clock_ahead", seconds=round(ahead_s)),))
    found = [next((raw for raw in reversed(one) if not _is_ahead(raw)), None) for one in ticks]
    last = [raw for raw in found if raw is not None]
    if len(last) < len(ticks):
        return Examined("-", (_finding(Severity.CRITICAL, "clock", "no_tick"),))
    silent_s = (now_ms - min(tick.ingested_ms for tick in last)) / 1000
    watermark_ms = min(tick_ms(tick.value) for tick in last)
    age_s = (now_ms - watermark_ms) / 1000
    if silent_s > allowed_s:
        facts = {"seconds": round(silent_s), "allowed": round(allowed_s)}
        return Examined(f"{silent_s:.0f} s", (_finding(Severity.CRITICAL, "clock", "clock_silent", **facts),))
    findings: tuple[Finding, ...] = ()
    if watermark_ms and age_s > interval_s + WATERMARK_OLD_S:
        findings = (_finding(Severity.WARNING, "clock", "watermark_old", seconds=round(age_s)),)
    return Examined(f"{silent_s:.0f} s, {age_s:.0f} s" if watermark_ms else f"{silent_s:.0f} s", findings)


def _ticks(log: LogReader, topic: str, partition: int) -> list[RawRecord]:
    """Those that say an instant, whether or not a judge believes it; the others the judge dead-letters."""
    low, high = log.range(topic, partition)
    found = []
    for chunk in log.read(topic, partition, max(low, high - TAIL_RECORDS_MAX), high):
        for raw in chunk:
            if raw.key == TICK_KEY:
                with suppress(BadRecordError):
                    tick_ms(raw.value)
                    found.append(raw)
    return found


def _is_ahead(tick: RawRecord) -> bool:
    try:
        tick_of(tick)
    except BadRecordError:
        return True
    return False


def examine_rules(patient: Patient) -> Examined:
    """Active rules, and record types that they look at and nobody ever published."""
    settings = patient.settings
    with (
        ConfluentRegistry(settings.registry_url, timeout_s=patient.timeout_s / 3) as registry,
        LogReader(settings.bootstrap_servers, patient.timeout_s) as log,
    ):
        if not log.partitions(ACTIVATION):
            return Examined("-")
        activations = history.activations(log, Codec(registry)).values()
    active = {str(one["rule_id"]) for one in activations if one["enabled"]}
    ends = Ingestion(settings.bootstrap_servers, timeout_s=patient.timeout_s).ends(_inputs_of(active))
    return rules_examined(active, {topic for (topic, _), end in ends.items() if end})


def examine_rejudging(patient: Patient) -> Examined:
    """Whether an activation is not yet judged on every key, or a new generation has not taken over or will not."""
    settings = patient.settings
    if interrupted := interrupted_refile(patient):
        return Examined("-", (interrupted,))
    topic = fact_topic(settings.generation)
    groups = {of_generation(group, settings.generation): [topic] for group in (JUDGE, REJUDGED)}
    behind = behind_the_judge(Lags(settings.bootstrap_servers, groups, timeout_s=patient.timeout_s).read())
    since = Ingestion(settings.bootstrap_servers, timeout_s=patient.timeout_s / 2).waiting_since(behind)
    waited_s = max(((patient.now_ms - ms) / 1000 for ms in since.values()), default=0.0)
    return rejudging_examined(behind, waited_s, settings.generation)


def interrupted_refile(patient: Patient) -> Finding | None:
    """Whether `xiezhi refile` ended after it had activated its pack and before the switch.

    Then the judge of the live generation, whose code is not the activated one, has stopped, and nobody speaks.
    """
    settings, timeout_s = patient.settings, patient.timeout_s
    following = settings.generation + 1
    with LogReader(settings.bootstrap_servers, timeout_s) as log:
        filed = [_ingested_ms(log, fact_topic(following), n, last=False) for n in _numbers(log, following)]
        activated_ms = _ingested_ms(log, ACTIVATION, 0, last=True) if any(filed) else 0
    if activated_ms <= min(filter(None, filed), default=activated_ms):
        return None
    judges = [of_generation(JUDGE, number) for number in (settings.generation, following)]
    if any(Ingestion(settings.bootstrap_servers, timeout_s=timeout_s / 2).members(judges).values()):
        return None
    return _finding(Severity.CRITICAL, "rejudging", "refile_interrupted", generation=following)


def _numbers(log: LogReader, generation: int) -> range:
    return range(log.partitions(fact_topic(generation)))


def _ingested_ms(log: LogReader, topic: str, partition: int, *, last: bool) -> int:
    """When the first or last record of a partition was ingested; 0 when there is none."""
    low, high = log.range(topic, partition)
    start = max(low, high - 1) if last else low
    found = log.read(topic, partition, start, min(start + 1, high))
    return max((raw.ingested_ms for chunk in found for raw in chunk), default=0)


def behind_the_judge(lags: Sequence[PartitionLag]) -> list[PartitionLag]:
    """Where less is judged on every key than the judge has read."""
    read = {one.partition: one.committed for one in lags if service_of(one.group) == service_of(JUDGE)}
    rejudged = [one for one in lags if service_of(one.group) == service_of(REJUDGED)]
    return [one for one in rejudged if one.committed < read.get(one.partition, 0)]


def rejudging_examined(behind: Sequence[PartitionLag], waited_s: float, generation: int) -> Examined:
    """`waited_s` is the age of the oldest record `behind` which not everything is judged on every key."""
    if waited_s < REJUDGING_S:
        return Examined("-")
    facts = {"seconds": round(waited_s), "generation": generation}
    if generation > 1 and any(not one.committed for one in behind):
        return Examined("-", (_finding(Severity.CRITICAL, "rejudging", "not_taken_over", **facts),))
    return Examined(f"{waited_s:.0f} s", (_finding(Severity.NOTE, "rejudging", "judging_again", **facts),))


def rules_examined(active: set[str], published: set[str]) -> Examined:
    """`published` are the topics that have a record."""
    if not active:
        return Examined("0", (_finding(Severity.WARNING, "rules", "no_rules"),))
    silent = sorted(_inputs_of(active) - published)
    if not silent:
        return Examined(str(len(active)))
    lacking = sorted(rule for rule in active if _inputs_of({rule}) & set(silent))
    facts = {"rules": ", ".join(lacking), "topics": ", ".join(silent)}
    return Examined(str(len(active)), (_finding(Severity.NOTE, "rules", "without_records", **facts),))


def _inputs_of(rules: set[str]) -> set[str]:
    """The departments' topics that these rules look at, through their joins."""
    return {
        taken.record_type
        for join in JOINS
        if any(rule.id in rules for rule in join.rules)
        for taken in join.inputs
        if taken.record_type != RELATION
    }


def _finding(severity: Severity, part: str, text: str, **facts: str | int) -> Finding:
    return Finding(severity, part, text, facts, CATALOGUE)


CHECKS: tuple[Check, ...] = (
    Check("clock", examine_clock, ("broker",), CATALOGUE),
    Check("rules", examine_rules, ("broker", "registry"), CATALOGUE),
    Check("rejudging", examine_rejudging, ("broker",), CATALOGUE),
)
