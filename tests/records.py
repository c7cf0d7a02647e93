"""One function per record type: a plain, innocent record of it, with whatever a test wants to be different.

Records belong together unless told otherwise: all are of contract "K-1", of procedure "P-1" and of one buyer.
"""

from __future__ import annotations

from typing import Any

from schemas import catalogue
from streams.kernel import Statement
from tests.builders import company, day, instant, person, statement

BUYER = company("buyer")
SUPPLIER = company("supplier")
CONTRACT_ID = "K-1"
PROCEDURE_ID = "P-1"


def signed(record_id: str = "contract", **fields: Any) -> Statement:
    """A contract over 1,000.00 CNY without a lawful advance."""
    told = {
        "contract_id": CONTRACT_ID,
        "buyer_id": BUYER,
        "supplier_ids": [SUPPLIER],
        "status": "active",
        "amount_minor": 100_000,
        "currency": "CNY",
        "signed_at": instant("2026-01-05"),
    }
    return statement(catalogue.CONTRACT, record_id, **{"occurred": "2026-01-05", **told, **fields})


def amended(record_id: str, on: str, amount_minor: int | None = None, **fields: Any) -> Statement:
    """An amendment without a ground; of the value when an amount is given, else of the term."""
    told = {
        "contract_id": CONTRACT_ID,
        "amended_at": instant(on),
        "changes": ["term"] if amount_minor is None else ["value"],
        "amount_minor_after": amount_minor,
        "currency": None if amount_minor is None else "CNY",
        "ground": "none",
    }
    return statement(catalogue.AMENDMENT, record_id, **{"occurred": on, **told, **fields})


def accepted(record_id: str, on: str, share_permille: int = 1000, **fields: Any) -> Statement:
    """An acceptance of all of the work."""
    told = {
        "contract_id": CONTRACT_ID,
        "accepted_at": instant(on),
        "outcome": "accepted",
        "share_permille": share_permille,
    }
    return statement(catalogue.ACCEPTANCE, record_id, **{"occurred": on, **told, **fields})


def paid(record_id: str, on: str, amount_minor: int, **fields: Any) -> Statement:
    """A payment on the contract; `kind="refund"` makes it one."""
    told = {
        "payer_id": BUYER,
        "payee_id": SUPPLIER,
        "contract_id": CONTRACT_ID,
        "kind": "payment",
        "purpose": "contract",
        "amount_minor": amount_minor,
        "currency": "CNY",
        "paid_at": instant(on),
    }
    return statement(catalogue.PAYMENT, record_id, **{"occurred": on, **told, **fields})


def announced(record_id: str = "notice", **fields: Any) -> Statement:
    """An open procedure of thirty days whose bids were opened at the deadline."""
    told = {
        "procedure_id": PROCEDURE_ID,
        "buyer_id": BUYER,
        "title": "道路养护",
        "method": "open",
        "status": "complete",
        "published_at": instant("2026-03-01"),
        "bid_deadline": instant("2026-03-31"),
        "bids_opened_at": instant("2026-03-31"),
    }
    return statement(catalogue.NOTICE, record_id, **{"occurred": "2026-03-01", **told, **fields})


def bid(record_id: str, bidder: str, on: str = "2026-03-30", **fields: Any) -> Statement:
    """A valid bid for the whole procedure by the company of this name."""
    told = {
        "procedure_id": PROCEDURE_ID,
        "bidder_id": company(bidder),
        "status": "valid",
        "submitted_at": instant(on),
    }
    return statement(catalogue.BID, record_id, **{"occurred": on, **told, **fields})


def awarded(record_id: str = "award", winner: str = "a", on: str = "2026-04-10", **fields: Any) -> Statement:
    """An award in force to the company of this name."""
    told = {
        "procedure_id": PROCEDURE_ID,
        "supplier_ids": [company(winner)],
        "status": "active",
        "decided_at": instant(on),
    }
    return statement(catalogue.AWARD, record_id, **{"occurred": on, **told, **fields})


def seated(record_id: str, name: str, on: str = "2026-04-08", **fields: Any) -> Statement:
    """An evaluator's seat on the panel."""
    told = {
        "procedure_id": PROCEDURE_ID,
        "person": person(name),
        "role": "evaluator",
        "decided_at": instant(on),
    }
    return statement(catalogue.PANEL, record_id, **{"occurred": on, **told, **fields})


def holds(
    record_id: str, holder: str, target: str, share_permille: int | None = 1000, **fields: Any
) -> Statement:
    """A shareholding since ever in the company named `target`; `holder` is an identifier or token."""
    told = {
        "company_id": company(target),
        "holder_id": holder,
        "interest": "ownership",
        "share_permille": share_permille,
    }
    return statement(catalogue.OWNERSHIP, record_id, **{"occurred": "2020-01-01", **told, **fields})


def appointed(record_id: str, name: str, since: str = "2020-01-01", **fields: Any) -> Statement:
    """A post in the buyer's unit, still held."""
    told = {"person": person(name), "unit_id": BUYER, "post": "director", "valid_from": day(since)}
    return statement(catalogue.APPOINTMENT, record_id, **{"occurred": since, **told, **fields})


def kin(record_id: str, one: str, other: str, kind: str = "spouse", **fields: Any) -> Statement:
    """Two persons registered as kin since ever; of `parent`, the first is the parent."""
    told = {"person_a": person(one), "person_b": person(other), "kind": kind}
    return statement(catalogue.KINSHIP, record_id, **{"occurred": "2000-01-01", **told, **fields})


def died(record_id: str, name: str, on: str, **fields: Any) -> Statement:
    """A death, registered on the same day."""
    told = {"person": person(name), "died_on": day(on), "registered_on": day(on)}
    return statement(catalogue.DEATH, record_id, **{"occurred": on, **told, **fields})


def granted(record_id: str, name: str, since: str, until: str, **fields: Any) -> Statement:
    """A living allowance of 500.00 CNY for a period, paid on its last day."""
    told = {
        "person": person(name),
        "scheme": "low-income",
        "kind": "living",
        "period_from": day(since),
        "period_to": day(until),
        "amount_minor": 50_000,
        "currency": "CNY",
        "paid_at": instant(until),
    }
    return statement(catalogue.ALLOWANCE, record_id, **{"occurred": until, **told, **fields})


def assigned(
    record_id: str, name: str, project: str, since: str, until: str | None = None, **fields: Any
) -> Statement:
    """The responsible person of a project, until a day not included."""
    told = {
        "person": person(name),
        "project_id": project,
        "programme": "rural",
        "role": "responsible",
        "valid_from": day(since),
        "valid_to": None if until is None else day(until),
    }
    return statement(catalogue.ASSIGNMENT, record_id, **{"occurred": since, **told, **fields})


def audited(record_id: str, violation: str, on: str, **fields: Any) -> Statement:
    """What auditors found wrong at the buyer's unit."""
    told = {"unit_id": BUYER, "violation": violation, "found_at": instant(on), "title": "审计发现"}
    return statement(catalogue.FINDING, record_id, **{"occurred": on, **told, **fields})


def rectified(
    record_id: str, finding_id: str, violation: str, closed: str | None, **fields: Any
) -> Statement:
    """The rectification of a finding: accepted and closed on a day, or only reported."""
    told = {
        "finding_id": finding_id,
        "unit_id": BUYER,
        "violation": violation,
        "status": "reported" if closed is None else "accepted",
        "closed_at": None if closed is None else instant(closed),
    }
    return statement(
        catalogue.RECTIFICATION, record_id, **{"occurred": closed or "2026-01-31", **told, **fields}
    )
