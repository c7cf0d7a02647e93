"""A supervisor with a pencil: what a set of records looks like to each rule, in the plainest words possible.

Written from the definitions and not from the streams, so that the province is checked by somebody who did not
make it and does not join. `Limits` can be drawn tighter than the law's to see how far from trouble records are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations
from statistics import median_low
from typing import Any

from producers.province import Publication
from producers.province.days import DAY_MS
from schemas import catalogue
from xiezhi.contracts.base import Contract

Hit = tuple[str, frozenset[tuple[str, str]]]


@dataclass(frozen=True)
class Limits:
    """Where each rule draws its line."""

    window_days: int = 20
    bidders: int = 3
    controlling_permille: int = 250
    changes: int = 3
    rises: int = 2
    rises_within_days: int = 90
    tolerance_permille: int = 5
    grace_days: int = 31
    projects: int = 3
    rebound_days: int = 730
    rectification_days: int = 75  # sixty, and some to wait for the record
    approval_minor: int = 200_000_00
    parts_within_days: int = 5


@dataclass(frozen=True)
class Entry:
    """A record that stands."""

    record_id: str
    jurisdiction: str
    value: Mapping[str, Any]

    def __getitem__(self, field: str) -> Any:
        return self.value[field]


def hit(rule: str, **subject: str) -> Hit:
    return rule, frozenset(subject.items())


def standing(publications: Iterable[Publication]) -> dict[Contract, list[Entry]]:
    """Of each record the greatest version, unless that withdrew it."""
    newest: dict[tuple[str, str], Publication] = {}
    for publication in publications:
        key = (publication.contract.name, publication.record_id)
        if key not in newest or publication.version > newest[key].version:
            newest[key] = publication
    entries: dict[Contract, list[Entry]] = defaultdict(list)
    for p in newest.values():
        if p.record is not None:
            entries[p.contract].append(Entry(p.record_id, p.jurisdiction, p.record.model_dump()))
    return entries


def inspect(publications: Iterable[Publication], limits: Limits | None = None) -> set[Hit]:
    """What every rule would say about these records about the day on which the last of them arrived.

    Some of them tell old news and some are ahead of what they correct, so it is that of most of the last ones.
    """
    seen = list(publications)
    now_ms = median_low([publication.occurred_ms for publication in seen[-25:]]) if seen else 0
    return Inspector(standing(seen), limits or Limits(), now_ms).hits()


class Inspector:
    """Looks at standing records, rule by rule."""

    def __init__(self, entries: Mapping[Contract, list[Entry]], limits: Limits, now_ms: int) -> None:
        self._entries, self._limits, self._now_ms = entries, limits, now_ms
        self._bids = self._grouped(catalogue.BID, "procedure_id")
        self._interests = self._grouped(catalogue.OWNERSHIP, "company_id")
        self._payments = self._grouped(catalogue.PAYMENT, "contract_id")
        self._amendments = self._grouped(catalogue.AMENDMENT, "contract_id")
        self._acceptances = self._grouped(catalogue.ACCEPTANCE, "contract_id")

    def hits(self) -> set[Hit]:
        looks: tuple[Callable[[], Iterator[Hit]], ...] = (
            self._short_windows,
            self._few_bidders,
            self._linked_bidders,
            self._conflicts,
            self._frequent_changes,
            self._overpaid,
            lambda: (found for _, _, found in self._paid_early()),
            self._split_payments,
            self._paid_to_the_dead,
            self._busy_cadres,
            self._overdue,
            self._rebounds,
        )
        return {found for look in looks for found in look()}

    def _short_windows(self) -> Iterator[Hit]:
        for notice in self._entries[catalogue.NOTICE]:
            if notice["bid_deadline"] is None or notice["status"] == "cancelled":
                continue
            if (notice["bid_deadline"] - notice["published_at"]) // DAY_MS < self._limits.window_days:
                yield hit("P01", procedure_id=notice["procedure_id"])

    def _few_bidders(self) -> Iterator[Hit]:
        awarded = {a["procedure_id"] for a in self._entries[catalogue.AWARD] if a["status"] == "active"}
        for notice in self._entries[catalogue.NOTICE]:
            procedure_id = notice["procedure_id"]
            applies = notice["method"] in ("open", "selective") and procedure_id in awarded
            if applies and len(self._bidders(procedure_id)) < self._limits.bidders:
                yield hit("P02", procedure_id=procedure_id)

    def _linked_bidders(self) -> Iterator[Hit]:
        for procedure_id, bids in self._bids.items():
            heads = {bid["bidder_id"]: self._heads(bid["bidder_id"], _day(bid)) for bid in bids}
            for one, other in combinations(sorted(self._bidders(procedure_id)), 2):
                if heads[one] & heads[other]:
                    yield hit("P12", procedure_id=procedure_id, bidder_a=one, bidder_b=other)

    def _heads(self, company: str, day: int) -> set[str]:
        """The company, whoever controls it at any depth, and its legal representatives."""
        heads, unseen = {company}, [company]
        while unseen:
            for interest in self._interests.get(unseen.pop(), ()):
                holder = interest["holder_id"]
                if holder not in heads and self._controls(interest) and _in_force(interest, day):
                    heads.add(holder)
                    unseen.append(holder)
        for interest in self._interests.get(company, ()):
            if interest["interest"] == "legal_representative" and _in_force(interest, day):
                heads.add(interest["holder_id"])
        return heads

    def _controls(self, interest: Entry) -> bool:
        share = interest["share_permille"] or 0
        return bool(interest["interest"] == "ownership" and share >= self._limits.controlling_permille)

    def _conflicts(self) -> Iterator[Hit]:
        kin, offices = self._kin(), self._grouped(catalogue.APPOINTMENT, "person")
        for seat in self._entries[catalogue.PANEL]:
            if seat["role"] not in ("evaluator", "approver") or seat["recused"] or seat["decided_at"] is None:
                continue
            decided, person = seat["decided_at"] // DAY_MS, seat["person"]
            if not any(_in_force(office, decided) for office in offices.get(person, ())):
                continue
            near = {person} | {other for other, tie in kin.get(person, ()) if _in_force(tie, decided)}
            for bid in self._bids.get(seat["procedure_id"], ()):
                for interest in self._interests.get(bid["bidder_id"], ()):
                    held = _in_force(interest, decided) and _in_force(interest, _day(bid))
                    if interest["holder_id"] in near and held:
                        subject = {"procedure_id": seat["procedure_id"], "bidder_id": bid["bidder_id"]}
                        yield hit("P13", person=person, **subject)

    def _frequent_changes(self) -> Iterator[Hit]:
        values = {c["contract_id"]: c["amount_minor"] for c in self._entries[catalogue.CONTRACT]}
        for contract_id, amendments in self._amendments.items():
            free = [a for a in amendments if not _is_ordered(a)]
            days, value = [], values.get(contract_id, 0)
            for amendment in sorted(free, key=lambda a: int(a["amended_at"])):
                after = amendment["amount_minor_after"]
                if after is not None and after > value:
                    days.append(amendment["amended_at"] // DAY_MS)
                    value = after
            within, rises = self._limits.rises_within_days, self._limits.rises
            quick = any(last - first <= within for first, last in zip(days, days[rises - 1 :], strict=False))
            if len(free) >= self._limits.changes or quick:
                yield hit("C01", contract_id=contract_id)

    def _overpaid(self) -> Iterator[Hit]:
        for contract in self._entries[catalogue.CONTRACT]:
            contract_id = contract["contract_id"]
            amendments = sorted(self._amendments.get(contract_id, ()), key=lambda a: int(a["amended_at"]))
            values = [a["amount_minor_after"] for a in amendments if a["amount_minor_after"] is not None]
            value = [contract["amount_minor"], *values][-1]
            net = sum(_signed(p) for p in self._payments.get(contract_id, ()))
            if net * 1000 > value * (1000 + self._limits.tolerance_permille):
                yield hit("C03", contract_id=contract_id)

    def _paid_early(self) -> Iterator[tuple[str, int, Hit]]:
        """Unit, instant of the first payment that went too far, and what C04 says."""
        for contract in self._entries[catalogue.CONTRACT]:
            contract_id = contract["contract_id"]
            accepted = [a for a in self._acceptances.get(contract_id, ()) if a["outcome"] != "rejected"]
            if not accepted:
                continue
            net, first = 0, min(a["accepted_at"] for a in accepted)
            for payment in sorted(self._payments.get(contract_id, ()), key=lambda p: int(p["paid_at"])):
                net += _signed(payment)
                beyond = net * 1000 > contract["amount_minor"] * contract["advance_permille"]
                if payment["paid_at"] < first and beyond:
                    yield contract["buyer_id"], payment["paid_at"], hit("C04", contract_id=contract_id)
                    break

    def _split_payments(self) -> Iterator[Hit]:
        series: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
        for payment in self._entries.get(catalogue.PAYMENT, ()):
            if payment["contract_id"] is None and payment["amount_minor"] < self._limits.approval_minor:
                series[payment["payer_id"], payment["payee_id"], payment["purpose"]].append(payment)
        within_ms = self._limits.parts_within_days * DAY_MS
        for (payer, payee, purpose), payments in series.items():
            for first in (int(payment["paid_at"]) for payment in payments):
                together = [one for one in payments if 0 <= one["paid_at"] - first <= within_ms]
                if sum(map(_signed, together)) >= self._limits.approval_minor:
                    yield hit("F02", payer_id=payer, payee_id=payee, purpose=purpose)

    def _paid_to_the_dead(self) -> Iterator[Hit]:
        deaths = {death["person"]: death["died_on"] for death in self._entries[catalogue.DEATH]}
        for allowance in self._entries[catalogue.ALLOWANCE]:
            person = allowance["person"]
            if person not in deaths or allowance["kind"] not in ("living", "pension", "medical"):
                continue
            if allowance["period_from"] > deaths[person] + self._limits.grace_days:
                yield hit("S01", person=person, scheme=allowance["scheme"])

    def _busy_cadres(self) -> Iterator[Hit]:
        own: dict[tuple[str, str], list[Entry]] = defaultdict(list)
        for assignment in self._entries[catalogue.ASSIGNMENT]:
            if assignment["role"] == "responsible":
                own[assignment["person"], assignment.jurisdiction[:6]].append(assignment)
        for (person, _), assignments in own.items():
            for start in (assignment["valid_from"] for assignment in assignments):
                if sum(_in_force(assignment, start) for assignment in assignments) >= self._limits.projects:
                    yield hit("H05", person=person)

    def _overdue(self) -> Iterator[Hit]:
        closed = {
            report["finding_id"]
            for report in self._entries.get(catalogue.RECTIFICATION, ())
            if report["status"] == "accepted"
        }
        for finding in self._entries.get(catalogue.FINDING, ()):
            open_ms = self._now_ms - finding["found_at"]
            if finding.record_id not in closed and open_ms > self._limits.rectification_days * DAY_MS:
                yield hit("A01", finding_id=finding.record_id)

    def _rebounds(self) -> Iterator[Hit]:
        violations = [(unit, when) for unit, when, _ in self._paid_early()]
        for report in self._entries[catalogue.RECTIFICATION]:
            if report["closed_at"] is None or report["violation"] != "C04":
                continue
            for unit, when in violations:
                since_ms = when - report["closed_at"]
                if unit == report["unit_id"] and 0 < since_ms <= self._limits.rebound_days * DAY_MS:
                    yield hit("A02", finding_id=report["finding_id"])

    def _bidders(self, procedure_id: str) -> set[str]:
        bids = self._bids.get(procedure_id, ())
        return {bid["bidder_id"] for bid in bids if bid["status"] in ("submitted", "valid")}

    def _kin(self) -> dict[str, list[tuple[str, Entry]]]:
        kin: dict[str, list[tuple[str, Entry]]] = defaultdict(list)
        for tie in self._entries[catalogue.KINSHIP]:
            kin[tie["person_a"]].append((tie["person_b"], tie))
            kin[tie["person_b"]].append((tie["person_a"], tie))
        return kin

    def _grouped(self, contract: Contract, field: str) -> dict[str, list[Entry]]:
        grouped: dict[str, list[Entry]] = defaultdict(list)
        for entry in self._entries.get(contract, ()):
            if entry[field] is not None:
                grouped[entry[field]].append(entry)
        return dict(grouped)


def _day(bid: Entry) -> int:
    return int(bid["submitted_at"]) // DAY_MS


def _in_force(entry: Entry, day: int) -> bool:
    since, until = entry["valid_from"], entry["valid_to"]
    return (since is None or since <= day) and (until is None or day < until)


def _is_ordered(amendment: Entry) -> bool:
    ordered_at = amendment["ordered_at"]
    return bool(
        amendment["ground"] == "force_majeure_order"
        and ordered_at is not None
        and ordered_at <= amendment["amended_at"]
    )


def _signed(payment: Entry) -> int:
    amount = int(payment["amount_minor"])
    return -amount if payment["kind"] == "refund" else amount
