"""S01: a benefit was paid for a period that began after the person's death and a grace time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from schemas import catalogue
from streams.kernel import Evidence, Finding, Outcome, Parameters, Statement, View
from streams.rules.findings import clear, insufficient, merged, not_applicable


def evaluate(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
    allowances = view.of(catalogue.ALLOWANCE.topic)
    deaths = view.of(catalogue.DEATH.topic)
    if not allowances:
        return [insufficient("allowances_missing")]
    if not deaths:
        return [not_applicable("no_death_registered")]
    death = max(deaths, key=lambda d: (d["died_on"], d.record_id))  # registers that disagree: the later day
    schemes: dict[str, list[Statement]] = {}
    for allowance in allowances:
        if _is_after(death, allowance, parameters):
            schemes.setdefault(allowance["scheme"], []).append(allowance)
    if not schemes:
        return [clear("none_after_death")]
    return [_hit(view.key, scheme, death, paid) for scheme, paid in sorted(schemes.items())]


def _is_after(death: Statement, allowance: Statement, parameters: Parameters) -> bool:
    when = (allowance["paid_at"], allowance.jurisdiction)
    grace_days = parameters.at("grace_days", *when)
    lawful = parameters.at("kinds_lawful_after_death", *when)
    return allowance["kind"] not in lawful and allowance["period_from"] > death["died_on"] + grace_days


def _hit(person: str, scheme: str, death: Statement, paid: Sequence[Statement]) -> Finding:
    ordered = sorted(paid, key=lambda a: (a["period_from"], a.record_id))
    first, last = ordered[0], ordered[-1]
    currencies = {a["currency"] for a in paid}
    numbers: dict[str, int | str] = {
        "payments": len(paid),
        "died_on": death["died_on"],
        "first_from_on": first["period_from"],
        "occurred_ms": last["paid_at"],
    }
    if len(currencies) == 1:
        numbers |= {"total_minor": sum(a["amount_minor"] for a in paid), "currency": first["currency"]}
    return Finding(
        outcome=Outcome.HIT,
        reason="paid_after_death" if len(currencies) == 1 else "paid_after_death_in_several_currencies",
        subject={"person": person, "scheme": scheme},
        evidence=merged(
            [Evidence.of(death, "died_on")],
            [Evidence.of(a, "kind", "period_from", "amount_minor", "currency") for a in paid],
        ),
        numbers=numbers,
        jurisdiction=last.jurisdiction,
    )
