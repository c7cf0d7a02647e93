"""Canaries in every text of every record type: none comes out in a span, a log line or a page about a trace.

Router, judge and alert store are the real ones; the records are the province's planted stories, so that every rule
speaks. Whatever in them has a digit or is no ASCII is replaced by a canary, alike everywhere so that keys still meet.
"""

from __future__ import annotations

import json
import logging
import re
import threading
from functools import cache
from typing import Any

import pytest
from pydantic import ValidationError

from consumers.alerts.follow import Follow, Reader, follow
from consumers.alerts.service import AlertStoreService
from consumers.alerts.statement import Filter
from consumers.alerts.store import AlertStore
from consumers.alerts.telling import teller
from consumers.alerts.traces import to_object, whole_trace
from consumers.alerts.waterfall import page
from producers.province.cases import PLOTS
from producers.province.generate import generate
from producers.province.publication import Publication
from schemas.catalogue import CONTRACTS
from streams import batch_spans
from streams.batch_spans import BatchSpans
from streams.pipeline import Outgoing
from tests.builders import JURISDICTION, instant
from tests.real_world import real_codec, real_world
from tests.simulation.flow import FACTS, Flow
from tests.tracing import Spans
from xiezhi.contracts.base import Contract, Record
from xiezhi.contracts.bus import ALERT
from xiezhi.contracts.examples import valid_record
from xiezhi.contracts.naming import RELATION
from xiezhi.envelope import Envelope
from xiezhi.settings import Settings
from xiezhi.telemetry import alert_stages
from xiezhi.telemetry.otlp_json import to_line

#: Rule ids, division codes and currencies are the bus's own vocabulary.
_VOCABULARY = re.compile(r"[A-Z]\d\d|\d{12}|[A-Z]{3}")


@cache
def canary(text: str) -> str:
    return f"canary-{len(_planted()):05d}-金丝雀"


@cache
def _planted() -> set[str]:
    """Everything that must not come out: canaries, and what a format keeps from being one."""
    return set()


def plant(record: Record) -> Record:
    """The record with a canary in every text that its contract lets hold one."""
    fields = record.model_dump()
    for name in fields:
        changed = {**fields, name: _replaced(fields[name])}
        try:
            record.model_validate(changed)
        except ValidationError:
            _planted().update(
                text for text in _texts(fields[name]) if _tells(text)
            )  # a token, a company's identifier
        else:
            fields = changed
            _planted().update(text for text in _texts(fields[name]) if text.startswith("canary-"))
    return type(record).model_validate(fields)


def _replaced(value: Any) -> Any:
    if isinstance(value, str):
        if not _tells(value) or value.startswith(("pt1_", "CN-")):
            return value
        planted = canary(value)
        _planted().add(planted)
        return planted
    if isinstance(value, dict):
        return {name: _replaced(inner) for name, inner in value.items()}
    return [_replaced(inner) for inner in value] if isinstance(value, list | tuple) else value


def _tells(text: str) -> bool:
    return not _VOCABULARY.fullmatch(text) and (not text.isascii() or any(map(str.isdigit, text)))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return [text for one in inner for text in _texts(one)]


def sent(number: int, one: Publication) -> Outgoing:
    record = None if one.record is None else plant(one.record)
    subject = canary(one.record_id) if record is None else record.record_id
    envelope = Envelope.create(
        source=f"urn:{canary('source')}",
        type=one.contract.topic,
        subject=subject,
        occurred_ms=one.occurred_ms,
        version=one.version,
        jurisdiction=one.jurisdiction,
        traceparent=("", f"00-{number + 1:032x}-{number + 1:016x}-00", "00-broken")[number % 3],
        tracestate=f"xz={real_world().start_ms},vendor={'canary-in-tracestate'}",
    )
    value = None if record is None else real_codec().encode(one.contract.subject, record.model_dump())
    return Outgoing(one.contract.topic, subject.encode(), value, list(envelope.to_headers()))


def example(contract: Contract) -> Publication:
    """Of every contract, since the planted stories have no record of some."""
    record = valid_record(contract)
    assert isinstance(record, Record)
    return Publication(contract, record, record.record_id, real_world().start_ms, 0, JURISDICTION)


class Commits:
    """All that the service needs of a consumer here."""

    def commit(self, **_: Any) -> None:
        return None


@pytest.fixture
def settings(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318")  # so that all spans are told
    return Settings(data_dir=tmp_path)


def test_no_text_of_any_record_comes_out(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    _planted().add("canary-in-tracestate")
    spans = Spans(monkeypatch, alert_stages, batch_spans)
    province = generate(5, 0, until_ms=real_world().start_ms)
    publications = [*province.publications, *map(example, CONTRACTS)]
    flow = Flow(real_world(), [sent(n, one) for n, one in enumerate(publications)])
    flow.run([], last_tick_ms=instant("2035-01-01"))
    for topic in (*real_world().topics, RELATION, FACTS):
        BatchSpans("group").start(flow.broker.all(topic)).end()

    store = AlertStore.open("sqlite://")
    service = AlertStoreService(
        consumer=Commits(),
        codec=real_codec(),
        store=store,
        reject=lambda rejected: None,
        clock=lambda: 7,
        stopping=threading.Event(),
        forward=lambda: None,
        tell=teller(spans.tracing),
    )
    service.take(flow.broker.all(ALERT.topic))
    told = store.standing(Filter(), limit=1_000)
    assert {one.alert.rule_id for one in told} >= {plot.rule for plot in PLOTS} - {"A02"}
    stopping = threading.Event()
    seen = iter(range(len(told)))
    follow(
        store,
        Follow(Filter(), "canary-cursor", from_start=True),
        Reader(lambda _: None, lambda _: stopping.set() if next(seen, None) is None else None),
        stopping=stopping,
        clock=lambda: 8,
    )
    _planted().add("canary-cursor")
    pages = [whole_trace(one, settings) for one in told]
    store.close()

    out = [to_line(span).decode() for span in spans.finished]
    out += [json.dumps(to_object(one), ensure_ascii=False) for one in pages]
    out += ["\n".join(page(one, "both", 160)) for one in pages]
    out += [record.getMessage() + (record.exc_text or "") for record in caplog.records]
    assert {span.name.split()[0] for span in spans.finished} >= {
        "send",
        "route",
        "judge",
        "store",
        "deliver",
        "acknowledge",
    }
    assert len(_planted()) > 1_000
    everything = "\n".join(out)
    escaped = everything.encode("ascii", "backslashreplace").decode()  # JSON may have written them so
    assert [one for one in sorted(_planted()) if one in everything or json.dumps(one)[1:-1] in escaped] == []
