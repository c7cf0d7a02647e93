"""What is fuzzed: every reader of bytes that strangers write. A new reader is one line in TARGETS.

A target takes any bytes and either returns or raises one of its errors; whatever else it raises is a finding, and so
are more time or memory than `tests/fuzz/probe.py` grants. Seeds are what a well-meaning writer would send.
"""

from __future__ import annotations

import json
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal

import yaml

from producers.bods.index import Index
from producers.bods.reader import BodsImport
from producers.ocds.reader import read_ocds
from schemas.catalogue import CONTRACTS, PAYMENT
from streams.facts import Filing, sequence_of, split_filing, tick_ms
from streams.outputs import read_output
from streams.records import Guard
from tests.faults.tamper.receipt_target import ReceiptTarget
from xiezhi.access_log import read_access
from xiezhi.alert_log import read_alert
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.leaf import SALT_BYTES, record_leaf
from xiezhi.audit.leaf import parse as parse_leaf
from xiezhi.audit.note import Verifier
from xiezhi.audit.verify_receipt import NotProvenError, verify
from xiezhi.cli.dead_letter_pages import listing, page
from xiezhi.codec import Codec
from xiezhi.contracts import golden
from xiezhi.contracts.base import Contract
from xiezhi.contracts.bus import ACCESS, ALERT, BUS_CONTRACTS, DEAD_LETTER, RELATION
from xiezhi.contracts.examples import valid_example
from xiezhi.dead_letter_log import Letter, Wanted, dead_records, read_letter
from xiezhi.envelope import Envelope
from xiezhi.errors import AuditError, BadRecordError, ConfigurationError, UnknownSchemaError
from xiezhi.files.mapping import Mapper, load_mapping
from xiezhi.files.records import open_records
from xiezhi.log import RawRecord
from xiezhi.registry import InMemoryRegistry
from xiezhi.tokeniser import IdentityKind

ALL = (*CONTRACTS, *BUS_CONTRACTS)
#: Between the parts of a record (key, headers, value) and between headers; a header's name ends at the first "=".
PART, HEADER = b"\x00\xff\x1d", b"\x00\xff\x1e"
Read = Callable[[bytes], object]


@dataclass(frozen=True)
class Target:
    """One reader, the errors that its callers expect, and bytes that it should understand."""

    read: Read
    errors: tuple[type[Exception], ...]
    seeds: Sequence[bytes]


@cache
def codec() -> Codec:
    """Knows every contract of the tree."""
    registry = InMemoryRegistry()
    for contract in ALL:
        registry.register(contract.subject, json.dumps(contract.schema))
    return Codec(registry)


def frame(contract: Contract) -> bytes:
    """The newest golden record in the wire format, with the id that `codec` knows its schema by."""
    goldens = golden.load(contract)
    schema_id = ALL.index(contract) + 1
    return b"\x00" + schema_id.to_bytes(4) + goldens[max(goldens)].body


def envelope(contract: Contract, subject: str, version: int = 0) -> list[tuple[str, bytes]]:
    return Envelope.create(
        source="urn:xiezhi:synthetic:fuzz",
        type=contract.topic,
        subject=subject,
        occurred_ms=1_776_733_200_000,
        version=version,
        jurisdiction="330106000000",
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        tracestate="a=b",
    ).to_headers()


def join_record(key: bytes, headers: Iterable[tuple[str, bytes]], value: bytes) -> bytes:
    joined = HEADER.join(name.encode() + b"=" + data for name, data in headers)
    return PART.join((key, joined, value))


def split_headers(data: bytes) -> list[tuple[str, bytes | None]]:
    pairs = (each.partition(b"=") for each in data.split(HEADER)) if data else ()
    return [(name.decode("utf-8", "replace"), value if equals else None) for name, equals, value in pairs]


def split_record(topic: str, data: bytes) -> RawRecord:
    """Bytes as a record of `topic`; a part that is absent is null."""
    key, *more = data.split(PART, 2)
    headers, value = [*more, b""][0], more[1] if len(more) > 1 else None
    return RawRecord(topic, 0, 7, 1_776_733_200_000, key or None, value, split_headers(headers))


def _record(contract: Contract, *more: tuple[str, bytes], version: int = 0) -> bytes:
    subject = str(golden.load(contract)[max(golden.load(contract))].value["record_id"])
    return join_record(subject.encode(), [*envelope(contract, subject, version), *more], frame(contract))


@cache
def audited() -> ReceiptTarget:
    """An audit log with a proven alert: both receipts and the public key."""
    return ReceiptTarget()


def _leaf() -> bytes:
    return record_leaf(split_record(PAYMENT.topic, _record(PAYMENT)), bytes(SALT_BYTES)).to_bytes()


def _headers_only(data: bytes) -> object:
    return Envelope.from_headers(split_headers(data))


def _fact(data: bytes) -> None:
    raw = split_record("xiezhi.fact.g1", data)
    filing, _ = split_filing(raw.headers)
    Filing.from_bytes(filing or b"")


def _tick(data: bytes) -> object:
    return tick_ms(data)


def _sequence(data: bytes) -> object:
    return sequence_of(split_headers(data))


def _guarded(contract: Contract) -> Read:
    return lambda data: Guard(codec().decode_as, 300_000, {contract.topic: 1}).admit(
        split_record(contract.topic, data)
    )


def _output(contract: Contract) -> Read:
    return lambda data: read_output(split_record(contract.topic, data), codec().decode_as)


def _dead_letter(data: bytes) -> None:
    letter = read_letter(split_record(DEAD_LETTER.topic, data), codec(), Wanted(keep_values=True))
    if isinstance(letter, Letter):
        for record in (found := dead_records([letter])):
            page(record, 64)
        listing(found)


def _rows(form: Literal["csv", "jsonl"]) -> Read:
    def read(data: bytes) -> None:
        deque(open_records(BytesIO(data), form, PAYMENT, jurisdiction="330106000000"), maxlen=0)

    return read


class _Tokens:
    def token(self, kind: IdentityKind, identity: str) -> str:
        return "pt1_" + "a" * 32


_MAPPING: Mapping[str, object] = {
    "timezone": "Asia/Shanghai",
    "fields": {
        "record_id": {"column": "id"},
        "amount_minor": {"column": "amount", "yuan": True},
        "occurred_at": {"column": "when", "instant": "%Y-%m-%d %H:%M:%S"},
    },
}
_TABLE = 'id,amount,when\np-1,"1,200.50",2026-03-01 09:00:00\n'


def _mapping(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        Path(file.name).write_bytes(data)
        Mapper(load_mapping(Path(file.name)), PAYMENT, _Tokens())


def _mapped_table(data: bytes) -> None:
    with tempfile.NamedTemporaryFile(suffix=".yaml") as file:
        Path(file.name).write_text(_mapping_text(), "utf-8")
        mapping = load_mapping(Path(file.name))
    rows = open_records(
        BytesIO(data), "csv", PAYMENT, mapping=mapping, tokeniser=_Tokens(), jurisdiction="330106000000"
    )
    deque(rows, maxlen=0)


def _mapping_text() -> str:
    fields = {name: {"constant": _constant(name)} for name in valid_example(PAYMENT)}
    return yaml.safe_dump({**_MAPPING, "fields": {**fields, **_MAPPING["fields"]}})  # type: ignore[dict-item]


def _constant(name: str) -> str:
    return str(valid_example(PAYMENT)[name])


def _document(read: Callable[[str], Iterable[object]]) -> Read:
    def over_a_file(data: bytes) -> None:
        with tempfile.NamedTemporaryFile(suffix=".json") as file:
            Path(file.name).write_bytes(data)
            deque(read(file.name), maxlen=0)

    return over_a_file


def _bods(path: str) -> Iterable[object]:
    with closing(Index()) as index:
        yield from BodsImport(index, _Tokens(), "urn:fuzz").read([path])


def _lines(*values: object) -> bytes:
    return "\n".join(json.dumps(value, ensure_ascii=False) for value in values).encode()


_PAYMENT_ROW = {**valid_example(PAYMENT), "version": 0, "occurred_at": "2026-04-20T14:03:11+08:00"}
_PARTY = {
    "id": "s1",
    "name": "A",
    "identifier": {"scheme": "GB-COH", "id": "00000001"},
    "roles": ["supplier"],
}
_MONEY = {"amount": 12.5, "currency": "GBP"}
_RELEASE = {
    "ocid": "ocds-x-1",
    "id": "r1",
    "date": "2026-03-01T09:00:00Z",
    "tag": ["tender"],
    "parties": [_PARTY, {**_PARTY, "id": "b1"}],
    "buyer": {"id": "b1"},
    "tender": {
        "id": "t1",
        "procurementMethod": "open",
        "tenderPeriod": {"startDate": "2026-03-01T09:00:00Z", "endDate": "2026-04-01T09:00:00+08:00"},
        "value": _MONEY,
        "tenderers": [{"id": "s1"}],
    },
    "bids": {"details": [{"id": "1", "status": "valid", "tenderers": [{"id": "s1"}], "value": _MONEY}]},
    "awards": [{"id": "a1", "suppliers": [{"id": "s1"}], "date": "2026-04-02T09:00:00Z", "value": _MONEY}],
    "contracts": [{"id": "c1", "awardID": "a1", "dateSigned": "2026-04-03T09:00:00Z", "value": _MONEY}],
}
_COMPANY_ID = [{"scheme": "GB-COH", "id": "1"}]
_STATEMENTS = [
    {
        "statementID": "e1",
        "statementType": "entityStatement",
        "statementDate": "2026-03-01",
        "entityType": "registeredEntity",
        "identifiers": _COMPANY_ID,
    },
    {"statementID": "p1", "statementType": "personStatement", "personType": "knownPerson"},
    {
        "statementID": "o1",
        "statementType": "ownershipOrControlStatement",
        "statementDate": "2026-03-02",
        "subject": {"describedByEntityStatement": "e1"},
        "interestedParty": {"describedByPersonStatement": "p1"},
        "interests": [{"type": "shareholding", "share": {"exact": 25.5}, "startDate": "2016-04-06"}],
        "replacesStatements": ["o0"],
    },
    {
        "statementId": "s4",
        "recordId": "r4",
        "recordType": "entity",
        "recordStatus": "closed",
        "recordDetails": {"entityType": {"type": "registeredEntity"}, "identifiers": _COMPANY_ID},
    },
]
_FILING = b"present;finance.payment.v1;1;7;1776733200000;" + b"ab" * 32 + b";1776733200001"
_SAID = b'{"view": "contract|c-1", "owner": "C03", "digest": "ab", "position": 7}'
_BAD = (BadRecordError,)
_ALERT_POSITION = int(golden.load(ALERT)[max(golden.load(ALERT))].value["position"])

TARGETS: Mapping[str, Target] = {
    "envelope": Target(_headers_only, _BAD, [_record(PAYMENT).split(PART)[1]]),
    "avro": Target(
        lambda data: codec().decode(data), (*_BAD, UnknownSchemaError), [frame(one) for one in ALL]
    ),
    "record": Target(_guarded(PAYMENT), _BAD, [_record(PAYMENT)]),
    "relation": Target(_guarded(RELATION), _BAD, [_record(RELATION)]),
    "fact": Target(_fact, _BAD, [_record(PAYMENT, ("xz_fact", _FILING))]),
    "tick": Target(_tick, _BAD, [b'{"now_ms": 1776733200000}']),
    "sequence": Target(_sequence, _BAD, [b"xz_sequence=12"]),
    "said-alert": Target(_output(ALERT), _BAD, [_record(ALERT, ("xz_said", _SAID))]),
    "said-relation": Target(_output(RELATION), _BAD, [_record(RELATION, ("xz_said", _SAID))]),
    "alert": Target(
        lambda data: read_alert(split_record(ALERT.topic, data), codec()),
        _BAD,
        [_record(ALERT, version=_ALERT_POSITION)],
    ),
    "access": Target(
        lambda data: read_access(split_record(ACCESS.topic, data), codec()), (), [_record(ACCESS)]
    ),
    "dead-letter": Target(_dead_letter, (), [_record(DEAD_LETTER)]),
    "jsonl": Target(_rows("jsonl"), (ConfigurationError,), [_lines(_PAYMENT_ROW, _PAYMENT_ROW)]),
    "csv": Target(
        _rows("csv"),
        (ConfigurationError,),
        [
            ",".join(_PAYMENT_ROW).encode()
            + b"\n"
            + ",".join(map(str, _PAYMENT_ROW.values())).encode()
            + b"\n"
        ],
    ),
    "mapping": Target(_mapping, (ConfigurationError,), [_mapping_text().encode()]),
    "mapped-table": Target(_mapped_table, (ConfigurationError,), [_TABLE.encode(), _TABLE.encode("gb18030")]),
    "ocds": Target(
        _document(read_ocds),
        (ConfigurationError,),
        [
            _lines(_RELEASE),
            _lines({"releases": [_RELEASE, _RELEASE]}),
            _lines({"records": [{"compiledRelease": _RELEASE}]}),
        ],
    ),
    "receipt": Target(
        lambda data: verify(data, audited().key), (NotProvenError,), [*audited().receipts.values()]
    ),
    "checkpoint": Target(
        lambda data: SignedCheckpoint.open(data, Verifier.parse(audited().key)),
        (AuditError,),
        [json.loads(audited().receipts["full"])["checkpoint"].encode()],
    ),
    "verifier-key": Target(
        lambda data: Verifier.parse(data.decode("utf-8", "replace")), (AuditError,), [audited().key.encode()]
    ),
    "audit-leaf": Target(parse_leaf, (AuditError,), [_leaf()]),
    "bods": Target(_document(_bods), (ConfigurationError,), [_lines(_STATEMENTS), _lines(*_STATEMENTS)]),
}
