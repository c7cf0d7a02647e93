"""Every department's contract: record type, owner, model, classification and promised rhythm.

The one place where departments' topics get their names (`NOTICE.topic`); streams and consumers refer to these
constants. A record type is added here together with its folder's `.avsc`, examples and golden bytes.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from schemas.audit import models as audit
from schemas.civil import models as civil
from schemas.finance import models as finance
from schemas.hr import models as hr
from schemas.project import models as project
from schemas.registry import models as registry
from schemas.tender import models as tender
from xiezhi.contracts.base import Classification, Contract, Record

_FOLDER = Path(__file__).parent
_OPEN, _INTERNAL, _RESTRICTED = Classification.OPEN, Classification.INTERNAL, Classification.RESTRICTED


def _contract(
    name: str, model: type[Record], grade: Classification, expected_every: timedelta | None = None
) -> Contract:
    owner, record = name.split(".")
    return Contract(owner, record, model, _FOLDER / owner, grade, expected_every=expected_every)


NOTICE = _contract("tender.notice", tender.Notice, _OPEN)
BID = _contract("tender.bid", tender.Bid, _INTERNAL)
AWARD = _contract("tender.award", tender.Award, _OPEN)
CONTRACT = _contract("tender.contract", tender.Contract, _OPEN)
AMENDMENT = _contract("tender.amendment", tender.Amendment, _INTERNAL)
ACCEPTANCE = _contract("tender.acceptance", tender.Acceptance, _INTERNAL)
PANEL = _contract("tender.panel", tender.Panel, _INTERNAL)
COMPANY = _contract("registry.company", registry.Company, _OPEN)
OWNERSHIP = _contract("registry.ownership", registry.Ownership, _INTERNAL)
PAYMENT = _contract("finance.payment", finance.Payment, _INTERNAL, timedelta(days=1))
BUDGET = _contract("finance.budget", finance.Budget, _OPEN, timedelta(days=366))
APPOINTMENT = _contract("hr.appointment", hr.Appointment, _INTERNAL)
KINSHIP = _contract("civil.kinship", civil.Kinship, _RESTRICTED)
DEATH = _contract("civil.death", civil.Death, _INTERNAL, timedelta(days=7))
ALLOWANCE = _contract("civil.allowance", civil.Allowance, _INTERNAL, timedelta(days=31))
FINDING = _contract("audit.finding", audit.Finding, _INTERNAL)
RECTIFICATION = _contract("audit.rectification", audit.Rectification, _INTERNAL)
ASSIGNMENT = _contract("project.assignment", project.Assignment, _INTERNAL)

CONTRACTS: tuple[Contract, ...] = (
    NOTICE,
    BID,
    AWARD,
    CONTRACT,
    AMENDMENT,
    ACCEPTANCE,
    PANEL,
    COMPANY,
    OWNERSHIP,
    PAYMENT,
    BUDGET,
    APPOINTMENT,
    KINSHIP,
    DEATH,
    ALLOWANCE,
    FINDING,
    RECTIFICATION,
    ASSIGNMENT,
)
