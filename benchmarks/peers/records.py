"""The records of S1, S2 and S4, and the answers that they must lead to. Deterministic, synthetic.

S1 and S2 read payments, keyed by contract, about thirty to each. S4 reads benefits, keyed by person, in the order of
their times: one per person and window of thirty days, now and then a second and a third one. Values and headers are
those of any record on the bus.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from benchmarks.peers.outcome import WINDOW_MS, duplicates_answer, sum_answer, totals_answer
from benchmarks.workload import Encoded, Occurrence, encoded, organisation, person_token
from schemas import catalogue
from xiezhi.codec import Codec

PAYMENTS_PER_CONTRACT = 30
WINDOWS = 6
#: One benefit in so many is followed by a second one in the same window, every other of these by a third.
TWICE_EVERY = 50
#: A whole number of windows since 1970: the first window begins here.
FROM_MS = 650 * WINDOW_MS

Answer = Mapping[str, int]


def payments(records: int, seed: int = 1) -> list[Occurrence]:
    """`records` payments on a thirtieth as many contracts, in random order of contracts."""
    chance = random.Random(seed)  # noqa: S311 -- chooses amounts, no secret
    contracts = max(1, records // PAYMENTS_PER_CONTRACT)
    return [_payment(number, chance.randrange(contracts), chance) for number in range(records)]


def _payment(number: int, contract: int, chance: random.Random) -> Occurrence:
    paid = FROM_MS + number
    fields = {
        "payer_id": organisation(contract % 200),
        "payee_id": organisation(1000 + contract % 5000),
        "contract_id": f"bench-ct-{contract}",
        "project_id": None,
        "kind": "payment",
        "purpose": "contract",
        "amount_minor": chance.randrange(1, 10_000_000),
        "currency": "CNY",
        "paid_at": paid,
        "budget_line": "2010301",
    }
    return Occurrence(catalogue.PAYMENT, f"bench-pay-{number}", paid, fields)


def benefits(records: int, seed: int = 1) -> list[Occurrence]:
    """`records` benefits in the order of their times, over at most WINDOWS windows."""
    chance = random.Random(seed)  # noqa: S311 -- chooses times, no secret
    persons = [person_token(number) for number in range(records // WINDOWS + 1)]
    paid = sorted(_paid(persons, chance))
    return [_benefit(number, at_ms, person) for number, (at_ms, person) in enumerate(paid[:records])]


def _paid(persons: Sequence[str], chance: random.Random) -> Iterator[tuple[int, str]]:
    for start_ms in range(FROM_MS, FROM_MS + WINDOWS * WINDOW_MS, WINDOW_MS):
        for person in persons:
            drawn = chance.randrange(2 * TWICE_EVERY)
            for _ in range(1 + (drawn < 2) + (drawn == 0)):
                yield start_ms + chance.randrange(WINDOW_MS), person


def _benefit(number: int, at_ms: int, person: str) -> Occurrence:
    day = at_ms // 86_400_000
    fields = {
        "person": person,
        "scheme": "living",
        "kind": "living",
        "period_from": day,
        "period_to": day + 29,
        "amount_minor": 86_000,
        "currency": "CNY",
        "paid_at": at_ms,
    }
    return Occurrence(catalogue.ALLOWANCE, f"bench-al-{number}", at_ms, fields)


def keyed(occurrences: Sequence[Occurrence], topic: str, key: str, codec: Codec) -> list[Encoded]:
    """Encoded for `topic`, with field `key` as the record's key and the time of the occurrence as its own."""
    return [
        replace(encoded(number, one, codec), topic=topic, key=one.fields[key].encode(), at_ms=one.occurred_ms)
        for number, one in enumerate(occurrences)
    ]


def answers(paid: Sequence[Occurrence], received: Sequence[Occurrence]) -> dict[str, Answer]:
    """By scenario: what every engine must find in these payments and benefits."""
    totals: Counter[bytes] = Counter()
    for one in paid:
        totals[one.fields["contract_id"].encode()] += one.fields["amount_minor"]
    counts = Counter((one.fields["person"].encode(), one.occurred_ms // WINDOW_MS) for one in received)
    twice = ((person, window * WINDOW_MS) for (person, window), count in counts.items() if count > 1)
    return {
        "S1": sum_answer(len(paid), totals.total()),
        "S2": totals_answer(len(paid), totals.items()),
        "S4": duplicates_answer(len(received), twice),
    }
