"""Broker, registry, topic plan, dead letters and disk."""

from __future__ import annotations

import os
import shutil
from collections import Counter
from pathlib import Path

from confluent_kafka import KafkaException

from xiezhi.admin_client import Admin
from xiezhi.cli.terminal import instant
from xiezhi.codec import Codec
from xiezhi.contracts.bus import BUS_CONTRACTS, DEAD_LETTER
from xiezhi.dead_letter_log import Letter, Wanted, dead_records, read_letters
from xiezhi.doctor.finding import Examined, Facts, Finding, Patient, Severity
from xiezhi.errors import RegistryUnavailableError
from xiezhi.ingestion import Ingestion
from xiezhi.log import LogReader
from xiezhi.registry import ConfluentRegistry
from xiezhi.topics import Topics, topic_plan

#: Findings of one kind that are spelled out; the rest is counted, so that the page stays one screen.
SPELLED_OUT_MAX = 5
#: Each is read and decoded, some twenty thousand a second; many more could not be told apart in time.
LETTERS_READ_MAX = 20_000
_GIB = 1024**3


def examine_broker(patient: Patient) -> Examined:
    """Who answers at the configured addresses."""
    servers = patient.settings.bootstrap_servers
    admin = Admin({"bootstrap.servers": servers, "log_level": 0})
    try:
        cluster = admin.describe_cluster(request_timeout=patient.timeout_s).result(patient.timeout_s)
    except (KafkaException, TimeoutError):
        return Examined(servers, (Finding(Severity.CRITICAL, "broker", "no_broker", {"servers": servers}),))
    return Examined(f"{servers}, {len(cluster.nodes)}")


def examine_registry(patient: Patient) -> Examined:
    url = patient.settings.registry_url
    try:
        with ConfluentRegistry(url, timeout_s=patient.timeout_s / 3) as registry:
            level = registry.compatibility(None)
    except RegistryUnavailableError:
        return Examined(url, (Finding(Severity.CRITICAL, "registry", "no_registry", {"url": url}),))
    return Examined(f"{url}, {level}")


def examine_topics(patient: Patient) -> Examined:
    """The broker's topics beside the plan."""
    contracts = patient.contracts or BUS_CONTRACTS
    plan = topic_plan(contracts, patient.settings)
    found = Topics(patient.settings.bootstrap_servers, timeout_s=patient.timeout_s).compare(plan)
    findings = [
        Finding(Severity.WARNING, "topics", "topic_differs", {"what": one})
        for one in found.differences[:SPELLED_OUT_MAX]
    ]
    if len(found.differences) > SPELLED_OUT_MAX:
        more = len(found.differences) - SPELLED_OUT_MAX
        findings.append(Finding(Severity.WARNING, "topics", "more_differ", {"number": more}))
    if found.missing:
        names = ", ".join(one.name for one in found.missing[:SPELLED_OUT_MAX])
        facts: Facts = {"number": len(found.missing), "topics": names}
        findings.append(Finding(Severity.CRITICAL, "topics", "topics_missing", facts))
    return Examined(f"{len(plan) - len(found.missing)}/{len(plan)}", tuple(findings))


def examine_dead_letters(patient: Patient) -> Examined:
    """Records that wait among the dead letters, by stage, topic and reason."""
    settings = patient.settings
    ends = Ingestion(settings.bootstrap_servers, timeout_s=patient.timeout_s).ends([DEAD_LETTER.topic])
    number = sum(ends.values())
    if number > LETTERS_READ_MAX:
        many: Facts = {"number": number}
        return Examined(f"≤ {number}", (Finding(Severity.WARNING, "dead_letters", "many_letters", many),))
    if not number:
        return Examined("0")  # needs no registry
    with (
        ConfluentRegistry(settings.registry_url, timeout_s=patient.timeout_s / 3) as registry,
        LogReader(settings.bootstrap_servers, patient.timeout_s) as log,
    ):
        letters = [one for one in read_letters(log, Codec(registry), Wanted()) if isinstance(one, Letter)]
    waiting = [record for record in dead_records(letters) if record.waits]
    kinds = Counter(
        (one.newest.content.stage, one.newest.content.source.topic, one.newest.content.reason)
        for one in waiting
    )
    findings = []
    for (stage, topic, reason), number in kinds.most_common(SPELLED_OUT_MAX):
        since_ms = min(
            one.letters[0].content.failed_ms
            for one in waiting
            if (one.newest.content.stage, one.newest.content.source.topic, one.newest.content.reason)
            == (stage, topic, reason)
        )
        facts: Facts = {"stage": stage, "topic": topic, "reason": reason}
        facts |= {"number": number, "since": instant(since_ms)}
        findings.append(Finding(Severity.WARNING, "dead_letters", "dead_letters", facts))
    if len(kinds) > SPELLED_OUT_MAX:
        more = sum(number for _, number in kinds.most_common()[SPELLED_OUT_MAX:])
        findings.append(Finding(Severity.WARNING, "dead_letters", "more_dead_letters", {"number": more}))
    return Examined(str(len(waiting)), tuple(findings))


def examine_disk(patient: Patient) -> Examined:
    """Room and permission where this machine keeps the bus's data; nothing to see where it keeps none."""
    folder = Path(patient.settings.data_dir).absolute()
    if not folder.exists():
        return Examined("-")
    usage = shutil.disk_usage(folder)
    findings = []
    free_gib, wanted_gib = usage.free / _GIB, patient.settings.disk_free_min_gib
    if free_gib < wanted_gib:
        facts: Facts = {"folder": str(folder), "free": f"{free_gib:.1f} GiB"}
        facts["wanted"] = f"{wanted_gib:g} GiB"
        findings.append(Finding(Severity.WARNING, "disk", "disk_low", facts))
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        findings.append(Finding(Severity.CRITICAL, "disk", "not_writable", {"folder": str(folder)}))
    return Examined(f"{free_gib:.1f} GiB", tuple(findings))
