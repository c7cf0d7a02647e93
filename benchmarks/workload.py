"""The backlog that is measured: mostly payments on contracts, some deaths and benefits. Deterministic, synthetic.

Of every hundred records 78 are payments on six contracts, each signed, accepted and paid in instalments, and ten are
about one person's benefits. They are spread over the whole backlog as two years of business would be, so that the facts
of one batch touch almost as many views. Some contracts are overpaid and some benefits outlive their owner: `planted`
alerts must come out, which shows that the work was done. Everything is encoded beforehand, so publishing is fast.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from schemas import catalogue
from xiezhi.codec import Codec
from xiezhi.contracts.base import Contract
from xiezhi.contracts.types import credit_code_check
from xiezhi.envelope import Envelope

#: Records of one block, and what they are about.
BLOCK_RECORDS = 100
CONTRACTS_PER_BLOCK, PAYMENTS_PER_CONTRACT, ALLOWANCES_PER_PERSON = 6, 13, 9
#: One block in so many has an overpaid contract, one in so many a benefit after death.
OVERPAID_EVERY, OUTLIVED_EVERY = 10, 5
SOURCE = "urn:xiezhi:synthetic:benchmark"
JURISDICTION = "990100000000"
DAY_MS = 86_400_000
#: The backlog ends here and reaches back two years; fixed, so that every run publishes the same bytes.
UNTIL_MS = 1_767_225_600_000  # 2026-01-01
SPAN_DAYS = 730
VALUE_MINOR = 130_000_000


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One record before it is encoded: the fields that its contract's model takes."""

    contract: Contract
    record_id: str
    occurred_ms: int
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Encoded:
    """One record as the client sends it."""

    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    at_ms: int = 0  # the record's time where the topic takes it from the client; 0: now


def blocks_of(records: int) -> int:
    """Whole blocks in about `records` records."""
    return max(1, records // BLOCK_RECORDS)


def planted(records: int) -> int:
    """Alerts that a backlog of so many records must lead to, once all settle times have run out."""
    blocks = range(blocks_of(records))
    return len(blocks[::OVERPAID_EVERY]) + len(blocks[::OUTLIVED_EVERY])


def backlog(records: int, seed: int = 1) -> list[Occurrence]:
    """About `records` records in the order in which they are published, the same for the same arguments."""
    chance = random.Random(seed)  # noqa: S311 -- chooses a schedule, no secret
    found = [one for number in range(blocks_of(records)) for one in _block(chance, number)]
    chance.shuffle(found)
    return found


def encode(occurrences: list[Occurrence], codec: Codec) -> list[Encoded]:
    """Bytes and headers, as a department's publisher would make them."""
    return [encoded(number, one, codec) for number, one in enumerate(occurrences)]


def encoded(number: int, one: Occurrence, codec: Codec) -> Encoded:
    """One record with the envelope that every publisher makes; `number` tells its trace from others."""
    topic = one.contract.topic
    envelope = Envelope.create(
        source=SOURCE,
        type=topic,
        subject=one.record_id,
        occurred_ms=one.occurred_ms,
        version=0,
        jurisdiction=JURISDICTION,
        traceparent=f"00-{number + 1:032x}-{number + 1:016x}-00",
    )
    value = codec.encode(one.contract.subject, {"record_id": one.record_id, **one.fields})
    return Encoded(topic, one.record_id.encode(), value, envelope.to_headers())


def _block(chance: random.Random, number: int) -> Iterator[Occurrence]:
    for index in range(CONTRACTS_PER_BLOCK):
        overpaid = index == 0 and number % OVERPAID_EVERY == 0
        yield from _contract(chance, f"{number}-{index}", overpaid=overpaid)
    yield from _benefits(chance, number, outlived=number % OUTLIVED_EVERY == 0)


def _contract(chance: random.Random, name: str, *, overpaid: bool) -> Iterator[Occurrence]:
    """A contract, its acceptance and thirteen instalments; when overpaid, the instalments exceed its value by half."""
    contract_id = f"bench-ct-{name}"
    signed = UNTIL_MS - chance.randrange(60, SPAN_DAYS) * DAY_MS + chance.randrange(DAY_MS)
    buyer, supplier = organisation(chance.randrange(200)), organisation(1000 + chance.randrange(5000))
    signing = {
        "contract_id": contract_id,
        "procedure_id": None,
        "project_id": None,
        "buyer_id": buyer,
        "supplier_ids": [supplier],
        "status": "active",
        "amount_minor": VALUE_MINOR,
        "currency": "CNY",
        "signed_at": signed,
        "starts_at": None,
        "ends_at": None,
        "advance_permille": 0,
    }
    yield Occurrence(catalogue.CONTRACT, contract_id, signed, signing)
    accepted = signed + DAY_MS
    acceptance = {
        "contract_id": contract_id,
        "accepted_at": accepted,
        "outcome": "accepted",
        "share_permille": 1000,
    }
    yield Occurrence(catalogue.ACCEPTANCE, f"bench-acc-{name}", accepted, acceptance)
    instalment = VALUE_MINOR // PAYMENTS_PER_CONTRACT
    for index in range(PAYMENTS_PER_CONTRACT):
        paid = accepted + (index + 1) * 4 * DAY_MS + chance.randrange(DAY_MS)
        payment = {
            "payer_id": buyer,
            "payee_id": supplier,
            "contract_id": contract_id,
            "project_id": None,
            "kind": "payment",
            "purpose": "contract",
            "amount_minor": instalment * 3 // 2 if overpaid else instalment,
            "currency": "CNY",
            "paid_at": paid,
            "budget_line": "2010301",
        }
        yield Occurrence(catalogue.PAYMENT, f"bench-pay-{name}-{index}", paid, payment)


def _benefits(chance: random.Random, number: int, *, outlived: bool) -> Iterator[Occurrence]:
    """One death and nine monthly benefits; when outlived, the last of them are for months after the death."""
    person = person_token(number)
    first = UNTIL_MS // DAY_MS - chance.randrange(300, SPAN_DAYS)
    died = first + (60 if outlived else 290)
    death = {"person": person, "died_on": died, "registered_on": died + 3}
    yield Occurrence(catalogue.DEATH, f"bench-death-{number}", (died + 3) * DAY_MS, death)
    for index in range(ALLOWANCES_PER_PERSON):
        begins = first + 30 * index
        allowance = {
            "person": person,
            "scheme": "living",
            "kind": "living",
            "period_from": begins,
            "period_to": begins + 29,
            "amount_minor": 86_000,
            "currency": "CNY",
            "paid_at": begins * DAY_MS,
        }
        yield Occurrence(catalogue.ALLOWANCE, f"bench-al-{number}-{index}", begins * DAY_MS, allowance)


def person_token(number: int) -> str:
    """A made-up person."""
    token = hashlib.sha256(f"benchmark/{number}".encode()).digest()[:20]
    return "pt1_" + base64.b32encode(token).decode().lower()


def organisation(number: int) -> str:
    """A made-up organisation's unified social credit code."""
    body = f"91990000MB{number:07d}"
    return f"CN-USCC-{body}{credit_code_check(body)}"
