"""What S6 publishes at a fixed rate: ordinary records, and among them probes, each of which makes something appear.

A benefit after death makes an alert (S01, no settle time): one hop. A shareholding in a company that holds another one,
which holds a third, makes three relations, one hop after the other: who holds the first, the second, the third. Deaths
and the other shareholdings are there before. Everything follows from the seed, so that sender and observer agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from benchmarks.workload import UNTIL_MS, Occurrence, backlog, organisation, person_token
from schemas import catalogue
from xiezhi.contracts.base import Contract

DAY_MS = 86_400_000
#: One record in so many is a probe of either kind.
DEATH_EVERY, CHAIN_EVERY = 20, 100
#: Companies of one chain behind the one that a probe buys into; so a probe is seen after one, two and three hops.
HOPS_MAX = 3
_FIRST_PERSON, _FIRST_COMPANY = 5_000_000, 2_000_000
_FIRST_DAY = UNTIL_MS // DAY_MS - 400


@dataclass(frozen=True, slots=True)
class Stream:
    """`records` records, numbered from `first` on, so that a second stream on the same bus has other probes."""

    first: int
    records: int

    def before(self) -> Iterator[Occurrence]:
        """What must have been judged when the first probe comes."""
        for number in self._numbers():
            if _is_death(number):
                yield _death(number)
            elif _is_chain(number):
                for step in range(1, HOPS_MAX):
                    yield _holding(
                        f"before-{number}-{step}", _company(number, step - 1), _company(number, step)
                    )

    def live(self) -> list[Occurrence]:
        """In the order in which they are published."""
        ordinary = iter(backlog(self.records + 100, seed=self.first + 1))
        return [self._live(number, ordinary) for number in self._numbers()]

    def probes(self) -> dict[str, int]:
        """Record id of each probe → its place in the stream."""
        return {
            probe_id(number): number - self.first
            for number in self._numbers()
            if _is_death(number) or _is_chain(number)
        }

    def sights(self) -> int:
        """How often a probe is to be seen."""
        return sum(HOPS_MAX if _is_chain(number) else 1 for number in self._numbers() if _is_probe(number))

    def _live(self, number: int, ordinary: Iterator[Occurrence]) -> Occurrence:
        if _is_death(number):
            return _allowance(number)
        if _is_chain(number):
            return _holding(probe_id(number), person_token(_FIRST_PERSON + number), _company(number, 0))
        return next(ordinary)

    def _numbers(self) -> range:
        return range(self.first, self.first + self.records)


def probe_id(number: int) -> str:
    return f"probe-{number}"


def _is_death(number: int) -> bool:
    return number % DEATH_EVERY == 7


def _is_chain(number: int) -> bool:
    return number % CHAIN_EVERY == 13


def _is_probe(number: int) -> bool:
    return _is_death(number) or _is_chain(number)


def _company(number: int, step: int) -> str:
    return organisation(_FIRST_COMPANY + number * HOPS_MAX + step)


def _death(number: int) -> Occurrence:
    fields = {
        "person": person_token(_FIRST_PERSON + number),
        "died_on": _FIRST_DAY,
        "registered_on": _FIRST_DAY,
    }
    return _occurrence(catalogue.DEATH, f"death-{number}", fields)


def _allowance(number: int) -> Occurrence:
    fields = {
        "person": person_token(_FIRST_PERSON + number),
        "scheme": "living",
        "kind": "living",
        "period_from": _FIRST_DAY + 90,
        "period_to": _FIRST_DAY + 119,
        "amount_minor": 86_000,
        "currency": "CNY",
        "paid_at": (_FIRST_DAY + 90) * DAY_MS,
    }
    return _occurrence(catalogue.ALLOWANCE, probe_id(number), fields)


def _holding(record_id: str, holder: str, company: str) -> Occurrence:
    fields = {
        "company_id": company,
        "holder_id": holder,
        "interest": "ownership",
        "share_permille": 600,
        "valid_from": _FIRST_DAY,
        "valid_to": None,
    }
    return _occurrence(catalogue.OWNERSHIP, record_id, fields)


def _occurrence(contract: Contract, record_id: str, fields: dict[str, Any]) -> Occurrence:
    return Occurrence(contract, record_id, (_FIRST_DAY + 120) * DAY_MS, fields)
