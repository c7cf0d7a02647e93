"""A02, a finding closed as rectified whose violation comes back: payment before acceptance, closed, again."""

from __future__ import annotations

from producers.province.cases.early_payments import VALUE, contract_of
from producers.province.cases.plot import Plot
from producers.province.departments.audit import decide, find, report
from producers.province.departments.finance import pay
from producers.province.departments.tender import accept
from producers.province.scene import Scene
from producers.province.units import government_unit
from schemas.audit.models import Finding

_VIOLATION = "C04"
_CLOSED = 50
_RECURS = 150  # March to June


def _find(scene: Scene, violation: str = _VIOLATION) -> Finding:
    """A finding of day 0."""
    finding = find(scene, violation, day=0)
    scene.expect("A02", finding_id=finding.record_id)
    return finding


def _close(scene: Scene, *, violation: str = _VIOLATION) -> None:
    """A finding of day 0 that was reported as put right, and accepted within its deadline."""
    decide(scene, report(scene, _find(scene, violation), day=25), "accepted", day=_CLOSED)


def _pay_early(scene: Scene, *, paid: int = _RECURS, advance_permille: int = 0) -> None:
    """Three tenths of a contract paid on day `paid`, its work accepted three weeks later."""
    contract = contract_of(scene, signed=paid - 30, advance_permille=advance_permille)
    pay(scene, contract, VALUE * 30 // 100, day=paid, purpose="advance")
    accept(scene, contract, day=paid + 21)
    lawful = advance_permille > 0
    scene.expect("C04", expected="none" if lawful else "open", contract_id=contract.contract_id)


def june_advance(scene: Scene) -> None:
    """Closed in March, paid early again in June; decisive: the June contract permits the advance."""
    _close(scene)
    _pay_early(scene, advance_permille=300 if scene.innocent else 0)


def before_closure(scene: Scene) -> None:
    """Paid early again after the closure; decisive: it happened while the finding was still open."""
    _close(scene)
    _pay_early(scene, paid=20 if scene.innocent else _RECURS)


def sent_back(scene: Scene) -> None:
    """Closed and paid early again; decisive: the report was returned, and accepted only after that payment."""
    reported = report(scene, _find(scene), day=25)
    decided = decide(scene, reported, "returned" if scene.innocent else "accepted", day=_CLOSED)
    _pay_early(scene, paid=_CLOSED + 5)
    if scene.innocent:
        decide(scene, decided, "accepted", day=_CLOSED + 8)


def other_unit(scene: Scene) -> None:
    """Closed and paid early again by the same unit; decisive: by its neighbour."""
    _close(scene)
    neighbour = government_unit(scene.rng, scene.county)
    if scene.innocent:
        scene.unit = neighbour
    _pay_early(scene)


def other_violation(scene: Scene) -> None:
    """Closed and done again; decisive: what was closed is another kind of violation."""
    _close(scene, violation="C01" if scene.innocent else _VIOLATION)
    _pay_early(scene)


PLOTS = (
    Plot("A02", "june_advance", 180, june_advance),
    Plot("A02", "before_closure", 180, before_closure),
    Plot("A02", "sent_back", 180, sent_back),
    Plot("A02", "other_unit", 180, other_unit),
    Plot("A02", "other_violation", 180, other_violation),
)
