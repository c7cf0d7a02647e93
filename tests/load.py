"""A stream of records that keeps every stage busy: overpaid contracts, benefits after death, corrections, withdrawals.

Deterministic for a seed. Corrections move payments between contracts, so that join keys change; some versions come in
the wrong order; some records are published twice. Withdrawn deaths take alerts back.
"""

from __future__ import annotations

import base64
import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas import catalogue
from xiezhi.contracts.base import Contract
from xiezhi.contracts.types import credit_code_check
from xiezhi.publish import Publisher

JURISDICTION = "990100000000"
DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Published:
    """One call of the publisher; `fields` None withdraws the record."""

    contract: Contract
    record_id: str
    version: int
    occurred_ms: int
    fields: dict[str, Any] | None

    def send(self, publisher: Publisher) -> None:
        when = {"occurred_ms": self.occurred_ms, "version": self.version, "jurisdiction": JURISDICTION}
        if self.fields is None:
            publisher.withdraw(self.contract, self.record_id, **when)  # type: ignore[arg-type]
        else:
            record = self.contract.model(record_id=self.record_id, **self.fields)
            publisher.publish(self.contract, record, **when)  # type: ignore[arg-type]


def organisation(number: int) -> str:
    body = f"91990000MA{number:07d}"
    return f"CN-USCC-{body}{credit_code_check(body)}"


def person(seed: int, number: int) -> str:
    digest = hashlib.sha256(f"{seed}/{number}".encode()).digest()[:20]
    return "pt1_" + base64.b32encode(digest).decode().lower()


def load(seed: int, groups: int, until_ms: int) -> list[Published]:
    """`groups` small matters of about seven records each, shuffled among their neighbours."""
    chance = random.Random(seed)
    records = [one for number in range(groups) for one in _matter(chance, seed, number, until_ms)]
    order = sorted(range(len(records)), key=lambda index: index + chance.uniform(0, 60))
    shuffled = [records[index] for index in order]
    repeats = [chance.choice(shuffled) for _ in range(len(shuffled) // 20)]
    return shuffled + repeats


def _matter(chance: random.Random, seed: int, number: int, until_ms: int) -> Iterator[Published]:
    occurred = until_ms - chance.randrange(400, 40_000) * 1000
    if number % 2:
        yield from _contract(chance, f"{seed}-{number}", occurred)
    else:
        yield from _benefit(chance, seed, number, occurred)


def _contract(chance: random.Random, name: str, occurred: int) -> Iterator[Published]:
    contract_id = f"ct-{name}"
    fields = {
        "contract_id": contract_id,
        "buyer_id": organisation(1),
        "supplier_ids": [organisation(2)],
        "status": "active",
        "amount_minor": 100_000,
        "currency": "CNY",
        "signed_at": occurred - 30 * DAY_MS,
    }
    yield Published(catalogue.CONTRACT, contract_id, 0, occurred - 30 * DAY_MS, fields)
    for index in range(4):
        yield from _payment(chance, f"{name}-{index}", contract_id, occurred + index)


def _payment(chance: random.Random, name: str, contract_id: str, occurred: int) -> Iterator[Published]:
    amount = chance.choice([20_000, 30_000, 60_000])
    fields = {
        "payer_id": organisation(1),
        "payee_id": organisation(2),
        "contract_id": contract_id,
        "kind": "payment",
        "purpose": "contract",
        "amount_minor": amount,
        "currency": "CNY",
        "paid_at": occurred,
    }
    versions = [Published(catalogue.PAYMENT, f"pay-{name}", 0, occurred, fields)]
    if chance.random() < 0.3:
        moved = {
            **fields,
            "contract_id": chance.choice([contract_id, f"ct-other-{name}"]),
            "amount_minor": 10_000,
        }
        versions.append(Published(catalogue.PAYMENT, f"pay-{name}", 1, occurred, moved))
    if chance.random() < 0.1:
        versions.append(Published(catalogue.PAYMENT, f"pay-{name}", 2, occurred, None))
    if chance.random() < 0.3:
        versions.reverse()
    yield from versions


def _benefit(chance: random.Random, seed: int, number: int, occurred: int) -> Iterator[Published]:
    who, today = person(seed, number), occurred // DAY_MS
    died = today - chance.choice([10, 200])
    death = {"person": who, "died_on": died, "registered_on": died + 3}
    yield Published(catalogue.DEATH, f"death-{seed}-{number}", 0, occurred, death)
    for index in range(3):
        fields = {
            "person": who,
            "scheme": chance.choice(["living", "pension"]),
            "kind": "living",
            "period_from": today - 30 * index,
            "period_to": today - 30 * index + 29,
            "amount_minor": 50_000,
            "currency": "CNY",
            "paid_at": occurred,
        }
        yield Published(catalogue.ALLOWANCE, f"al-{seed}-{number}-{index}", 0, occurred, fields)
    if chance.random() < 0.25:
        yield Published(catalogue.DEATH, f"death-{seed}-{number}", 1, occurred, None)
