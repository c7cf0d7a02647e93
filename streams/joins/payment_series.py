"""What one payer paid one payee for one purpose on no contract, four weeks at a time (finance).

A fold: a treasury may pay an agent a hundred thousand times a month, and every one of these payments is judged.
Payments on a contract are judged with it (`streams/joins/contract.py`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from schemas import catalogue
from streams.kernel import Aggregate, Fold, Input, Join, Rule, Statement, Value
from streams.rules import f02_payment_splitting

# Days are civil days in China Standard Time, and a period has `f02_payment_splitting.PERIOD_DAYS` of them. Both are
# spelled out in selector and contribution: stores know these by their source alone.


def by_series(value: Value) -> Iterable[str]:
    """Two keys: of the period of the payment, and of the one before, for windows that begin there."""
    if value["contract_id"]:
        return []
    period = (value["paid_at"] + 28_800_000) // 86_400_000 // 28
    series = f"{value['payer_id']} {value['payee_id']} {value['purpose']} {value['currency']}"
    return [f"{series} {period}", f"{series} {period - 1}"]


def contribute(payment: Statement) -> Mapping[str, Any]:
    # Zero is how platforms write "not stated".
    amount = payment["amount_minor"]
    if not amount:
        return {}
    day = (payment["paid_at"] + 28_800_000) // 86_400_000
    return {
        "returned" if payment["kind"] == "refund" else "paid": (day, amount),
        "amounts": amount,
        "days": day,
    }


JOIN = Join(
    name="payment-series",
    inputs=(Input(catalogue.PAYMENT.topic, by_series),),
    rules=(Rule("F02", f02_payment_splitting.evaluate),),
    fold=Fold(
        {
            "paid": Aggregate.PER_DAY,
            "returned": Aggregate.PER_DAY,
            "amounts": Aggregate.RANKED,
            "days": Aggregate.RANKED,
        },
        contribute,
    ),
)
