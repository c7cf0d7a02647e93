"""A small world for testing the streaming core: five record types, five joins, every shape that rules can have.

Records travel as JSON, so that tests can read them; what the judge says travels as the real Avro contracts. The joins
are toys, written to need everything at once: several keys per record, a sum over a key, an absence with a deadline, a
settle time, relations over three hops, a recursion by depth that rings of holders must not be able to feed, and a fold
with every kind of aggregate.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache, partial
from typing import Any

from streams.activations import activation_hash
from streams.cards import Card
from streams.evaluation import ActiveRule, Elsewhere
from streams.kernel import (
    Aggregate,
    Derivation,
    Derived,
    Evidence,
    Finding,
    Fold,
    FoldView,
    Input,
    Join,
    Outcome,
    Parameters,
    Rule,
    Statement,
    Value,
    View,
)
from streams.records import Guard
from xiezhi.codec import Codec
from xiezhi.contracts.bus import ACTIVATION, ALERT, BUS_CONTRACTS
from xiezhi.contracts.naming import RELATION
from xiezhi.envelope import Envelope
from xiezhi.errors import BadRecordError
from xiezhi.log import RawRecord
from xiezhi.registry import InMemoryRegistry

ORDER, RECEIPT, ACCOUNT, HOLDING = "toy.order.v1", "toy.receipt.v1", "toy.account.v1", "toy.holding.v1"
PAYMENT = "toy.payment.v1"
TOPICS = (ORDER, RECEIPT, ACCOUNT, HOLDING, PAYMENT)

START_MS = 1_700_000_000_000
RECEIPT_WAIT_MS = 6_000
SETTLE_S = 1
SLOT_MS = 3_000
DEPTH_MAX = 3
JURISDICTION = "330106000000"
FUTURE_TOLERANCE_MS = 300_000
#: Values kept decoded: more than a run has, so that each is decoded once; without a bound many runs would fill memory.
DECODED_MAX = 4_096
#: What every record says of its publish call.
TRACEPARENT, SENT_BEFORE_MS = f"00-{'1' * 32}-{'2' * 16}-00", 20


# -- rules -------------------------------------------------------------------------------------------------------


def sum_of_orders(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    """Orders of one account that come to more than a limit: a sum over everything filed under the key."""
    orders = view.of(ORDER)
    total = sum(order["amount"] for order in orders)
    if total <= parameters.at("limit"):
        return [Finding(outcome=Outcome.CLEAR, reason="within_limit")]
    return [_hit({"account": view.key}, orders, {"total": total})]


def negative_order(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    """Orders with a negative amount; the card's settle time holds them back."""
    return [
        _hit({"order": o.record_id}, [o], {"total": o["amount"]}) for o in view.of(ORDER) if o["amount"] < 0
    ]


def receipt_missing(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    """Orders of an item without a receipt that occurred in time: an absence, which only the clock can establish."""
    receipts = [receipt.occurred_ms for receipt in view.of(RECEIPT)]
    for order in view.of(ORDER):
        deadline_ms = order.occurred_ms + RECEIPT_WAIT_MS
        if any(order.occurred_ms <= at <= deadline_ms for at in receipts):
            yield Finding(outcome=Outcome.CLEAR, reason="received")
        elif now_ms < deadline_ms:
            yield Finding(outcome=Outcome.NOT_APPLICABLE, reason="waiting", wake_at_ms=deadline_ms)
        else:
            yield _hit({"order": order.record_id, "item": view.key}, [order], {"total": order["amount"]})


def holders_behind(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    """Accounts over their limit, with every holder of their owner: three hops, all of them through relations."""
    for flagged in view.relations("flagged"):
        for owns in view.relations("owns"):
            subject = {
                "account": flagged["attributes"]["account"],
                "holder": owns["attributes"]["holder"],
                "flagged": flagged.record_id,
                "owns": owns.record_id,
            }
            evidence = tuple(dict.fromkeys((*Evidence.through(flagged), *Evidence.through(owns))))
            yield Finding(
                outcome=Outcome.HIT,
                reason="suspicious",
                subject=subject,
                evidence=evidence,
                numbers={"total": owns["depth"]},
                jurisdiction=flagged.jurisdiction,
            )


def payments_split(view: FoldView, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    """Payments below a limit that come to more than it. What it says depends on every aggregate there is."""
    limit = parameters.at("limit")
    small = view.within("amounts", high=limit)
    if small.sum <= limit:
        return [Finding(outcome=Outcome.CLEAR, reason="within_limit")]
    early = view.within("by_slot", high=START_MS // SLOT_MS + 2)
    middle = view.quantile("amounts", Fraction(1, 2), high=limit)
    told = (small, early, middle, view.sum("thirds"), view.distinct("purposes"), view.records)
    return [
        _hit(
            {"payer": view.key},
            view.ranked("largest", 3, high=limit, descending=True),
            {"total": " ".join(map(str, told))},
        )
    ]


def debits(view: FoldView, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    """Payments with a negative amount, the first two of them; the card's settle time holds them back."""
    return [_hit({"payment": p.record_id}, [p], {"total": 1}) for p in view.ranked("largest", 2, high=0)]


def _hit(
    subject: Mapping[str, str], evidence: Sequence[Statement], numbers: Mapping[str, int | str]
) -> Finding:
    return Finding(
        outcome=Outcome.HIT,
        reason="suspicious",
        subject=subject,
        evidence=tuple(Evidence.of(statement, "amount") for statement in evidence),
        numbers=numbers,
        jurisdiction=JURISDICTION,
    )


# -- derivations -------------------------------------------------------------------------------------------------


def flagged(view: View, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Derived]:
    """From the finding about a sum: the account, for its owner's view."""
    return [
        Derived(
            kind="flagged",
            identity=(account.record_id,),
            attributes={"account": view.key, "owner": account["owner"], "total": str(hit.numbers["total"])},
            evidence=(*hit.evidence, Evidence.of(account, "owner")),
        )
        for hit in findings.get("SUM", ())
        for account in view.of(ACCOUNT)
    ]


def spender(view: FoldView, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Derived]:
    """From the finding about a fold: the payer, for its own view as an owner."""
    return [
        Derived(
            kind="flagged",
            identity=("split",),
            attributes={"account": "payments", "owner": view.key, "total": str(hit.numbers["total"])},
            evidence=hit.evidence,
        )
        for hit in findings.get("SPLIT", ())
    ]


def owns(view: View, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Derived]:
    """Depth 1: whom the key holds. Depth d + 1: whoever owns the key at depth d owns what it holds."""
    for holding in view.of(HOLDING):
        yield _owns(holding["holder"], holding, 1, None)
        for above in view.relations("owns"):
            if above["depth"] < DEPTH_MAX:
                yield _owns(above["attributes"]["holder"], holding, above["depth"] + 1, above)


def _owns(holder: str, holding: Statement, depth: int, above: Statement | None) -> Derived:
    through = Evidence.through(above) if above else ()
    return Derived(
        kind="owns",
        identity=(above.record_id if above else "", holding.record_id),
        attributes={"holder": holder, "company": holding["company"]},
        evidence=(*through, Evidence.of(holding, "holder", "company")),
        depth=depth,
    )


# -- contributions, selectors and joins --------------------------------------------------------------------------


def spent(payment: Statement) -> Mapping[str, Any]:
    """What one payment adds to each aggregate of its payer; one of nothing adds nothing but itself."""
    amount = payment["amount"]
    if amount == 0:
        return {"purposes": payment["purpose"]}
    return {
        "thirds": Fraction(amount, 3),
        "by_slot": (payment.occurred_ms // SLOT_MS, amount),
        "purposes": payment["purpose"],
        "amounts": amount,
        "largest": amount,
    }


def by_account(value: Value) -> Iterable[str]:
    return [value["account"]] if value["account"] else []


def by_items(value: Value) -> Iterable[str]:
    return list(value["items"])


def by_holder(value: Value) -> Iterable[str]:
    return [value["holder"]]


def by_payer(value: Value) -> Iterable[str]:
    return [value["payer"]]


def by_related_company(value: Value) -> Iterable[str]:
    return [value["attributes"]["company"]]


def by_related_owner(value: Value) -> Iterable[str]:
    return [value["attributes"]["owner"]]


JOINS: tuple[Join, ...] = (
    Join(
        name="account",
        inputs=(Input(ORDER, by_account), Input(ACCOUNT, by_account)),
        rules=(Rule("SUM", sum_of_orders), Rule("NEGATIVE", negative_order)),
        derivations=(Derivation("flagged", "flagged", flagged),),
        statements_max=6,
    ),
    Join(
        name="item",
        inputs=(Input(ORDER, by_items), Input(RECEIPT, by_items)),
        rules=(Rule("ABSENT", receipt_missing),),
    ),
    Join(
        name="chain",
        inputs=(Input(HOLDING, by_holder), Input(RELATION, by_related_company, "owns")),
        derivations=(Derivation("owns", "owns", owns, by_depth=True),),
        fanout_max=12,
    ),
    Join(
        name="owner",
        inputs=(
            Input(RELATION, by_related_owner, "flagged"),
            Input(RELATION, by_related_company, "owns"),
        ),
        rules=(Rule("BEHIND", holders_behind),),
    ),
    Join(
        name="payer",
        inputs=(Input(PAYMENT, by_payer),),
        rules=(Rule("SPLIT", payments_split), Rule("DEBIT", debits)),
        derivations=(Derivation("spender", "flagged", spender),),
        fold=Fold(
            {
                "thirds": Aggregate.SUM,
                "by_slot": Aggregate.PER_DAY,
                "purposes": Aggregate.DISTINCT,
                "amounts": Aggregate.MULTISET,
                "largest": Aggregate.RANKED,
            },
            spent,
        ),
    ),
)
RULES = {rule.id: rule for join in JOINS for rule in join.rules}


# -- cards and activations ---------------------------------------------------------------------------------------


def card(rule_id: str, *, version: int = 1, limit: int = 100, settle_s: int | None = None) -> Card:
    """A card whose `version` and `limit` tests vary."""
    text = {"zh": "示其疑", "en": "a suspicion"}
    if settle_s is None:
        settle_s = SETTLE_S if rule_id in ("NEGATIVE", "DEBIT") else 0
    return Card.model_validate(
        {
            "id": rule_id,
            "version": version,
            "title": text,
            "text": text,
            "reasons": {"suspicious": {"outcome": "HIT", "zh": "合计 {total}", "en": "comes to {total}"}},
            "subject": ["account"],
            "numbers": {"total": text},
            "legal_basis": ["—"],
            "severity": "yellow",
            "settle_seconds": settle_s,
            "identity_tier": "T1",
            "false_positives": [text],
            "parameters": {"limit": {"about": text, "values": [{"value": limit}]}},
        }
    )


def active(*cards: Card) -> dict[str, ActiveRule]:
    """Rules in force with these cards; without any, all of them as they come."""
    chosen = cards or tuple(card(rule_id) for rule_id in RULES)
    return {one.id: _active(one) for one in chosen}


def activation(one: Card, *, enabled: bool = True) -> dict[str, Any]:
    """The value of an activation record."""
    return {
        "record_id": one.id,
        "rule_id": one.id,
        "rule_version": one.version,
        "enabled": enabled,
        "pack": "toy",
        "card": one.canonical_json(),
        "code_hash": "0" * 64,
        "actor": "test",
        "reason": "",
        "activated_ms": START_MS,
    }


def _active(one: Card, rules: Mapping[str, Rule] = RULES) -> ActiveRule:
    hashed = activation_hash(one.canonical_json(), "0" * 64)
    return ActiveRule(rules[one.id], one, hashed, one.parameters())


# -- bytes -------------------------------------------------------------------------------------------------------


class ToyCodec:
    """JSON for the toy records, the real codec with the real contracts for everything of the bus.

    Decoding is most of what a run would do again and again: the same bytes give the same object, which nobody changes.
    """

    def __init__(self) -> None:
        registry = InMemoryRegistry()
        for contract in BUS_CONTRACTS:
            registry.register(contract.subject, json.dumps(contract.schema))
        self.codec = Codec(registry)
        self.encode = self.codec.encode
        self.decode = lru_cache(DECODED_MAX)(self._decode)
        self._activate_all = lru_cache(DECODED_MAX)(partial(self._activate, RULES))

    def _decode(self, topic: str, data: bytes) -> Mapping[str, Any]:
        if topic not in TOPICS:
            return self.codec.decode_as(topic, data)
        try:
            value: Mapping[str, Any] = json.loads(data)
        except ValueError as error:
            raise BadRecordError("undecodable_avro", "not JSON") from error
        return value

    def activator(self, rules: Mapping[str, Rule] = RULES) -> Callable[[bytes], ActiveRule | Elsewhere | str]:
        """What an activation says about which of `rules`, without asking for the hash of a toy's code."""
        return self._activate_all if rules is RULES else partial(self._activate, rules)

    def _activate(self, rules: Mapping[str, Rule], data: bytes) -> ActiveRule | Elsewhere | str:
        value = self.codec.decode_as(ACTIVATION.topic, data)
        rule_id = str(value["rule_id"])
        if not value["enabled"]:
            return rule_id
        if rule_id not in rules:
            return Elsewhere(rule_id)
        return _active(Card.from_json(value["card"]), rules)


CODEC = ToyCodec()


def guard(partitions: int) -> Guard:
    """Of a bus whose topics have so many partitions each."""
    return Guard(CODEC.decode, FUTURE_TOLERANCE_MS, dict.fromkeys((*TOPICS, ALERT.topic), partitions))


GUARD = guard(1)


def record(
    topic: str,
    record_id: str,
    fields: Mapping[str, Any] | None,
    *,
    version: int = 0,
    occurred_ms: int = START_MS,
    partition: int = 0,
    offset: int = 0,
    ingested_ms: int | None = None,
) -> RawRecord:
    """A department's record as the log holds it; `fields` None withdraws it."""
    value = (
        None if fields is None else json.dumps({"record_id": record_id, **fields}, sort_keys=True).encode()
    )
    envelope = Envelope.create(
        source="urn:toy",
        type=topic,
        subject=record_id,
        occurred_ms=occurred_ms,
        version=version,
        jurisdiction=JURISDICTION,
        traceparent=TRACEPARENT,
        tracestate=f"xz={occurred_ms - SENT_BEFORE_MS}",
    )
    return RawRecord(
        topic=topic,
        partition=partition,
        offset=offset,
        ingested_ms=occurred_ms if ingested_ms is None else ingested_ms,
        key=record_id.encode(),
        value=value,
        headers=envelope.to_headers(),
    )


def order(account: str | None, amount: int, *items: str) -> dict[str, Any]:
    return {"account": account, "amount": amount, "items": list(items)}


def payment(payer: str, amount: int, purpose: str = "fuel") -> dict[str, Any]:
    return {"payer": payer, "amount": amount, "purpose": purpose}
