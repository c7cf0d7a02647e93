"""What the judge says can be read back from its topics, without any other state."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from streams.evaluation import OutputKind
from streams.judge import Output, Said
from streams.outputs import JUDGED_HEADER, SAID_HEADER, SOURCE, encode_output, read_output
from streams.records import Guard, Withdrawal
from tests.simulation.world import JURISDICTION, ORDER, START_MS
from xiezhi.alert_log import read_alert
from xiezhi.codec import Codec
from xiezhi.contracts.bus import BUS_CONTRACTS, RELATION
from xiezhi.contracts.relation import Relation
from xiezhi.envelope import Envelope
from xiezhi.errors import BadRecordError
from xiezhi.log import RawRecord
from xiezhi.registry import InMemoryRegistry
from xiezhi.telemetry.alert_spans import alert_context

DIGEST = "ab" * 32
TRACE = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
EVIDENCE: dict[str, Any] = {
    "record_type": ORDER,
    "record_id": "o1",
    "version": 1,
    "event_id": "e",
    "digest": DIGEST,
    "topic": ORDER,
    "partition": 0,
    "offset": 7,
    "ingested_ms": START_MS + 5,
    "occurred_ms": START_MS,
    "fields": ["amount"],
    "traceparent": TRACE,
    "sent_ms": START_MS + 4,
    "routed_ms": START_MS + 6,
}
ALERT_CONTENT: dict[str, Any] = {
    "rule_id": "SUM",
    "rule_version": 1,
    "activation": "a",
    "severity": "red",
    "handling": "sealed",
    "join": "account",
    "join_key": "k",
    "subject": {"account": "k"},
    "jurisdiction": JURISDICTION,
    "office": "",
    "reason": "suspicious",
    "title": {"zh": "一", "en": "one"},
    "explanation": {"zh": "二", "en": "two"},
    "rule_text": {"zh": "三", "en": "three"},
    "legal_basis": ["—"],
    "parameters": {"limit": "100"},
    "tier": "T1",
}
RELATION_CONTENT: dict[str, Any] = {
    "kind": "owns",
    "derivation": "owns",
    "join": "chain",
    "join_key": "k",
    "attributes": {"company": "c"},
    "depth": 2,
    "valid_from_ms": None,
    "valid_to_ms": 9,
    "jurisdiction": "",
}
CONTENTS = {OutputKind.ALERT: ALERT_CONTENT, OutputKind.RELATION: RELATION_CONTENT}


@pytest.fixture(scope="module")
def codec() -> Codec:
    registry = InMemoryRegistry()
    for contract in BUS_CONTRACTS:
        registry.register(contract.subject, json.dumps(contract.schema))
    return Codec(registry)


def output(kind: OutputKind, state: str = "raised", position: int = 1 << 44 | 5) -> Output:
    content = CONTENTS[kind]
    body = json.dumps({"content": content, "evidence": [EVIDENCE]})
    said = Said(kind, "owner", position, DIGEST, body)
    if state == "withdrawn":
        said = replace(said, digest="", content="")
    return Output(
        id="f" * 32,
        view="account|k",
        said=said,
        state=state,
        digest=DIGEST,
        content=content,
        evidence=(EVIDENCE,),
        occurred_ms=START_MS,
        ingested_ms=START_MS + 5,
        routed_ms=START_MS + 6,
        traceparent=TRACE,
    )


def on_the_log(codec: Codec, one: Output, offset: int = 3) -> RawRecord:
    sent = encode_output(one, codec.encode, judged_ms=START_MS + 7)
    return RawRecord(sent.topic, 1, offset, START_MS + 8, sent.key, sent.value, sent.headers)


@pytest.mark.parametrize("state", ["raised", "changed", "withdrawn"])
@pytest.mark.parametrize("kind", OutputKind)
def test_a_statement_reads_back_as_what_was_said(codec: Codec, kind: OutputKind, state: str) -> None:
    one = output(kind, state)
    output_id, view, said = read_output(on_the_log(codec, one), codec.decode_as)
    assert (output_id, view) == (one.id, one.view)
    assert replace(said, content="") == replace(one.said, content="")
    if said.stands:
        assert json.loads(said.content) == json.loads(one.said.content)
    else:
        assert said.content == ""


def test_what_was_read_back_can_be_taken_back(codec: Codec) -> None:
    """Another judge's alert is withdrawn with the content it was raised with."""
    _, _, said = read_output(on_the_log(codec, output(OutputKind.ALERT)), codec.decode_as)
    body = json.loads(said.content)
    taken_back = replace(
        output(OutputKind.ALERT, "withdrawn", position=1 << 44 | 6),
        content=body["content"],
        evidence=tuple(body["evidence"]),
    )
    alert, _ = read_alert(on_the_log(codec, taken_back), codec)
    assert (alert.state, alert.explanation.zh, alert.evidence[0].record_id) == ("withdrawn", "二", "o1")


@pytest.mark.parametrize("state", ["raised", "changed", "withdrawn"])
def test_subscribers_can_read_every_state_of_an_alert(codec: Codec, state: str) -> None:
    alert, envelope = read_alert(on_the_log(codec, output(OutputKind.ALERT, state)), codec)
    assert (alert.state, alert.position, alert.content_digest) == (state, 1 << 44 | 5, DIGEST)
    assert (alert.times.occurred_ms, alert.times.ingested_ms, alert.times.judged_ms) == (
        START_MS,
        START_MS + 5,
        START_MS + 7,
    )
    assert (envelope.source, envelope.version) == (SOURCE, alert.position)
    own = alert_context(alert.record_id, alert.position)
    assert (
        envelope.traceparent == own.traceparent()
    )  # parent of its storing and delivery; no event's, nor the cause's


def test_stage_timestamps_travel_with_a_statement(codec: Codec) -> None:
    headers = dict(on_the_log(codec, output(OutputKind.ALERT)).headers)
    assert json.loads(headers[JUDGED_HEADER] or b"") == {
        "routed_ms": START_MS + 6,
        "judged_ms": START_MS + 7,
    }


def test_a_relation_fits_its_contract_and_is_admitted_by_the_router_s_guard(codec: Codec) -> None:
    raw = on_the_log(codec, output(OutputKind.RELATION))
    value = codec.decode_as(RELATION.topic, raw.value or b"")
    relation = Relation.model_validate(value)
    assert (relation.depth, relation.attributes) == (2, {"company": "c"})
    admitted = Guard(codec.decode_as, 0, {}).admit(raw)
    assert (admitted.version, admitted.record_id) == (1 << 44 | 5, "f" * 32)


def test_a_withdrawn_relation_is_a_null_value_of_a_greater_version(codec: Codec) -> None:
    guard = Guard(codec.decode_as, 0, {})
    said = guard.admit(on_the_log(codec, output(OutputKind.RELATION)))
    raw = on_the_log(codec, output(OutputKind.RELATION, "withdrawn", position=1 << 44 | 6))
    assert raw.value is None
    withdrawn = guard.admit(raw)
    assert isinstance(withdrawn, Withdrawal)
    assert withdrawn.rank > said.rank


def test_the_same_statement_said_twice_is_recognisable(codec: Codec) -> None:
    one, again = (on_the_log(codec, output(OutputKind.RELATION), offset) for offset in (3, 4))
    assert Envelope.from_headers(one.headers) == Envelope.from_headers(again.headers)
    assert one.value == again.value


@pytest.mark.parametrize(
    "memory",
    [
        None,
        b"",
        b"{}",
        b"[]",
        b"null",
        b"\xff",
        b'{"view": "j|k", "owner": "o", "digest": "", "position": "soon"}',
        b'{"view": "j|k", "owner": "o", "digest": "", "position": null}',
        b'{"view": "j|k", "owner": "o", "digest": "", "position": 1e400}',
        b'{"view": "#timers", "owner": "o", "digest": "", "position": 1}',
        b'{"view": "j|' + b"k" * 100_000 + b'", "owner": "o", "digest": "", "position": 1}',
        b"[" * 100_000,
    ],
)
def test_a_record_that_no_judge_wrote_is_a_bad_record(codec: Codec, memory: bytes | None) -> None:
    raw = on_the_log(codec, output(OutputKind.ALERT))
    headers = [each for each in raw.headers if each[0] != SAID_HEADER]
    with pytest.raises(BadRecordError) as caught:
        read_output(raw._replace(headers=[*headers, (SAID_HEADER, memory)]), codec.decode_as)
    assert caught.value.reason == "malformed_header"


@pytest.mark.parametrize("value", [b"", b"junk!", b"\x00\x00\x00\xff\xff", b"\x00\x00\x00\x00\x01"])
def test_a_statement_that_cannot_be_decoded_is_a_bad_record(codec: Codec, value: bytes) -> None:
    raw = on_the_log(codec, output(OutputKind.ALERT))
    with pytest.raises(BadRecordError):
        read_output(raw._replace(value=value), codec.decode_as)


@pytest.mark.parametrize("kind", OutputKind)
def test_a_statement_that_stands_without_a_value_is_a_bad_record(codec: Codec, kind: OutputKind) -> None:
    """There would be nothing to repeat when it is taken back."""
    with pytest.raises(BadRecordError) as caught:
        read_output(on_the_log(codec, output(kind))._replace(value=None), codec.decode_as)
    assert caught.value.reason == "null_value"


@pytest.mark.parametrize(
    ("field", "value"), [("jurisdiction", "the county"), ("evidence", [{"occurred_ms": 2**62}])]
)
def test_a_statement_that_no_judge_could_take_back_is_a_bad_record(
    codec: Codec, field: str, value: object
) -> None:
    def forged(topic: str, data: bytes) -> dict[str, Any]:
        return {**codec.decode_as(topic, data), field: value}

    with pytest.raises(BadRecordError) as caught:
        read_output(on_the_log(codec, output(OutputKind.ALERT)), forged)
    assert caught.value.reason == "wrong_value"


def test_a_key_that_is_no_text_is_a_bad_record(codec: Codec) -> None:
    raw = on_the_log(codec, output(OutputKind.ALERT))
    with pytest.raises(BadRecordError):
        read_output(raw._replace(key=b"\xff"), codec.decode_as)
