"""The finance bureau: payments out of the treasury and yearly budgets."""

from __future__ import annotations

from typing import Literal

from producers.province.days import first_day_of, to_date
from producers.province.scene import Scene
from producers.province.units import CURRENCY
from schemas.catalogue import BUDGET, PAYMENT
from schemas.finance.models import Budget, Payment
from schemas.tender.models import Contract

Purpose = Literal["contract", "advance", "subsidy", "transfer", "other"]


def pay(
    scene: Scene,
    contract: Contract,
    amount_minor: int,
    *,
    day: int,
    purpose: Purpose = "contract",
    kind: Literal["payment", "refund"] = "payment",
) -> Payment:
    """Money paid on a contract, or refunded by the supplier."""
    payment = Payment(
        record_id=scene.new_id("PY"),
        payer_id=scene.unit,
        payee_id=contract.supplier_ids[0],
        contract_id=contract.contract_id,
        project_id=contract.project_id,
        kind=kind,
        purpose=purpose,
        amount_minor=amount_minor,
        currency=CURRENCY,
        paid_at=scene.at(day),
    )
    return scene.say(PAYMENT, payment, at=payment.paid_at)


def grant(
    scene: Scene,
    payee_id: str,
    amount_minor: int,
    *,
    day: int,
    purpose: Purpose,
    contract_id: str | None = None,
    delay_days: float | None = None,
) -> Payment:
    """Money paid without a contract, as a rule: subsidies, transfers to other units, small purchases."""
    payment = Payment(
        record_id=scene.new_id("PY"),
        payer_id=scene.unit,
        payee_id=payee_id,
        contract_id=contract_id,
        kind="payment",
        purpose=purpose,
        amount_minor=amount_minor,
        currency=CURRENCY,
        paid_at=scene.at(day),
    )
    return scene.say(PAYMENT, payment, at=payment.paid_at, delay_days=delay_days)


def refund(scene: Scene, payment: Payment, *, day: int, delay_days: float | None = None) -> Payment:
    """All of a payment comes back."""
    returned = Payment(
        **{
            **payment.model_dump(),
            "record_id": scene.new_id("PY"),
            "kind": "refund",
            "paid_at": scene.at(day),
        }
    )
    return scene.say(PAYMENT, returned, at=returned.paid_at, delay_days=delay_days)


def appropriate(scene: Scene, line: str, amount_minor: int, *, year: int) -> Budget:
    """A calendar year's appropriation to the scene's unit."""
    budget = Budget(
        record_id=scene.new_id("BG"),
        unit_id=scene.unit,
        budget_line=f"{line}-{year}",
        year=year,
        appropriated_minor=amount_minor,
        currency=CURRENCY,
        valid_from=first_day_of(year),
    )
    return scene.stock(BUDGET, budget)


def years_of(scene: Scene) -> tuple[int, ...]:
    """The calendar years that the province's two years touch."""
    calendar = scene.setting.calendar
    return tuple(range(to_date(calendar.first_day).year, to_date(calendar.last_day).year + 1))
