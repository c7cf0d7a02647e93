"""What stands, asked three ways: of the alert topic, of the alert store, and of the oracle over the whole log."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field

from sqlalchemy import create_engine, text

from schemas.catalogue import CONTRACTS
from streams import history
from xiezhi.codec import Codec
from xiezhi.contracts.naming import ALERT
from xiezhi.errors import BadRecordError, UnknownSchemaError
from xiezhi.log import LogReader
from xiezhi.registry import ConfluentRegistry
from xiezhi.settings import Settings

Standing = dict[str, str]  # alert id -> content digest


@dataclass(slots=True)
class Said:
    """The alert topic, folded by position as every consumer must."""

    standing: Standing = field(default_factory=dict)
    withdrawn: set[str] = field(default_factory=set)
    subjects: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)  # id -> rule, subject
    conflicts: list[str] = field(default_factory=list)  # one position, two contents: must never be
    statements: int = 0
    foreign: int = 0  # not written by a judge; consumers dead-letter them
    repeats: int = 0  # the same statement once more: harmless, counted


def said(settings: Settings) -> Said:
    """Fold the alert topic."""
    found, held = Said(), dict[str, tuple[int, str, str]]()
    codec = Codec(ConfluentRegistry(settings.registry_url))
    seen = dict[tuple[str, int], tuple[str, str]]()
    with LogReader(settings.bootstrap_servers) as log:
        for partition in range(log.partitions(ALERT)):
            for chunk in log.read(ALERT, partition, 0):
                for raw in chunk:
                    try:
                        alert = codec.decode_as(ALERT, raw.value or b"")
                    except (BadRecordError, UnknownSchemaError):
                        found.foreign += 1
                        continue
                    found.statements += 1
                    alert_id, position = alert["record_id"], alert["position"]
                    content = (alert["state"], alert["content_digest"])
                    effect = ("gone" if alert["state"] == "withdrawn" else "stands", alert["content_digest"])
                    if (alert_id, position) in seen:
                        found.repeats += 1
                        if seen[alert_id, position] != effect:
                            found.conflicts.append(f"{alert_id} at {position}")
                    seen[alert_id, position] = effect
                    found.subjects[alert_id] = (alert["rule_id"], alert["subject"])
                    if alert_id not in held or position > held[alert_id][0]:
                        held[alert_id] = (position, *content)
    for alert_id, (_, state, digest) in held.items():
        if state == "withdrawn":
            found.withdrawn.add(alert_id)
        else:
            found.standing[alert_id] = digest
    return found


def stored(settings: Settings) -> tuple[Standing, list[str]]:
    """What the alert store holds as standing, and alerts whose history repeats an effect."""
    engine = create_engine(f"sqlite:///{settings.data_dir}/alerts.sqlite3")
    with engine.connect() as connection:
        rows = connection.execute(text("select alert_id, state, content from alerts")).all()
        history_rows = connection.execute(
            text("select alert_id, state, content from alert_history order by alert_id, position")
        ).all()
    engine.dispose()
    standing = {row[0]: json.loads(row[2])["content_digest"] for row in rows if row[1] != "withdrawn"}
    repeated, before = [], None
    for row in history_rows:
        effect = (row[0], "gone" if row[1] == "withdrawn" else "stands", json.loads(row[2])["content_digest"])
        if effect == before:
            repeated.append(row[0])
        before = effect
    return standing, repeated


def stored_subjects(settings: Settings) -> list[tuple[str, dict[str, str]]]:
    """(rule, subject) of every alert that stands in the store; asks neither broker nor registry."""
    engine = create_engine(f"sqlite:///{settings.data_dir}/alerts.sqlite3")
    with engine.connect() as connection:
        rows = connection.execute(text("select content from alerts where state != 'withdrawn'")).all()
    engine.dispose()
    alerts = [json.loads(row[0]) for row in rows]
    return [(alert["rule_id"], alert["subject"]) for alert in alerts]


def oracle(settings: Settings) -> Standing:
    """The batch answer over the whole log."""
    verdict = history.oracle(settings, CONTRACTS)
    assert verdict.failed == {}
    return {alert_id: proposal.digest for alert_id, proposal in verdict.alerts.items()}


def published_ids(settings: Settings) -> Counter[str]:
    """How often each event id is on the departments' topics."""
    counted: Counter[str] = Counter()
    with LogReader(settings.bootstrap_servers) as log:
        for raw in history.records(log, CONTRACTS):
            event_id = dict(raw.headers)["ce_id"]
            counted[(event_id or b"").decode()] += 1
    return counted
