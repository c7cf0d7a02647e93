"""What stands under one key: the answer that stream and oracle both give for a view. Pure.

`evaluate_view` runs the active rules and derivations of a join over one view and returns everything that should
stand: alerts and relations with their content digest, the outcome of each rule, and when to look again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from streams.cards import Card, render
from streams.kernel import (
    Derivation,
    Derived,
    Evidence,
    Finding,
    FoldView,
    Join,
    Outcome,
    Parameters,
    Rule,
    Statement,
    Tier,
    View,
)
from xiezhi.contracts.naming import RELATION

#: Alerts and relations must fit into one message, of 8 MiB at most (`xiezhi.topics`); some of it is for the headers.
OUTPUT_BYTES_MAX = 7 * 2**20
#: What one piece of evidence takes besides what its digest is made of: address, times, trace context.
_ADDRESS_BYTES = 180
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


class OutputKind(StrEnum):
    """What the judge says something about."""

    ALERT = "alert"
    RELATION = "relation"


@dataclass(frozen=True)
class ActiveRule:
    """A rule as activated: its card, and the hash of card, parameters and code that every alert quotes."""

    rule: Rule
    card: Card
    activation: str
    parameters: Parameters


@dataclass(frozen=True, slots=True)
class Proposal:
    """One alert or relation that should stand. `content` is all of it but positions, offsets and times."""

    id: str
    kind: OutputKind
    owner: str  # rule id or derivation name
    content: Mapping[str, Any]
    digest: str
    evidence: tuple[Evidence, ...]


@dataclass(slots=True)
class Evaluation:
    """The answer for one view."""

    proposals: dict[str, Proposal] = field(default_factory=dict)
    outcomes: list[tuple[str, Outcome, str]] = field(default_factory=list)  # (rule id, outcome, reason)
    failed: dict[str, str] = field(default_factory=dict)  # rule id or derivation name -> what it raised
    wake_at_ms: int | None = None

    def wake(self, at_ms: int | None, now_ms: int) -> None:
        """Ask to be evaluated again at `at_ms`, unless that is already past."""
        if at_ms is not None and at_ms > now_ms and (self.wake_at_ms is None or at_ms < self.wake_at_ms):
            self.wake_at_ms = at_ms


@dataclass(frozen=True)
class Elsewhere:
    """A rule that is active with code that is not here: nobody here may speak for it, or take back what was said."""

    rule_id: str


def evaluate_view(
    join: Join,
    view: View | FoldView,
    active: Mapping[str, ActiveRule],
    now_ms: int,
    held: Collection[str] = (),
) -> Evaluation:
    """Run what is active of `join` over `view` as of `now_ms` (the largest tick read; 0 before the first).

    A rule or derivation that raises is named in `failed`: whoever holds its last statements keeps them. So are the
    rules in `held`, which are not run, and all of a fold that has records whose contribution could not be told.
    """
    result = Evaluation(failed={rule.id: "its code is not here" for rule in join.rules if rule.id in held})
    rules = [active[rule.id] for rule in join.rules if rule.id in active]
    if isinstance(view, View):
        view, is_too_large = _within_limits(join, view, result)
        if is_too_large:
            result.outcomes = [
                (name, Outcome.INSUFFICIENT_DATA, "too_many_to_judge") for name in _speaking(join, rules)
            ]
            return result
    elif view.unfolded:
        why = f"{view.unfolded} records have no contribution"
        result.failed |= dict.fromkeys(_speaking(join, rules), why)
        return result
    standing: dict[str, Sequence[Finding]] = {}
    for rule in rules:
        try:
            standing[rule.rule.id] = _apply_rule(rule, join, view, now_ms, result)
        except Exception as error:  # noqa: BLE001 -- a rule is plug-in code: one that throws stops nothing else
            result.failed[rule.rule.id] = repr(error)
    for derivation in join.derivations:
        try:
            _apply_derivation(derivation, join, view, standing, result)
        except Exception as error:  # noqa: BLE001 -- likewise
            result.failed[derivation.name] = repr(error)
    return result


def _speaking(join: Join, rules: Iterable[ActiveRule]) -> list[str]:
    """Names of the rules and derivations that would answer."""
    return [*(rule.rule.id for rule in rules), *(derivation.name for derivation in join.derivations)]


def _within_limits(join: Join, view: View, result: Evaluation) -> tuple[View, bool]:
    """The view as rules and derivations see it, and whether it holds too much for any of them.

    Relations that the join takes back from itself are counted per depth, and left out per depth. Counted together, deep
    ones could silence the shallow ones they rest on, then vanish with them, and so on for ever.
    """
    recursive = join.recursive_kinds
    if not recursive:
        return view, len(view.statements) > join.statements_max
    levels: dict[int, list[Statement]] = {}
    for statement in view.statements:
        own = statement.record_type == RELATION and statement["kind"] in recursive
        levels.setdefault(statement["depth"] if own else 0, []).append(statement)
    crowded = {level for level, members in levels.items() if level and len(members) > join.statements_max}
    result.outcomes += [(join.name, Outcome.INSUFFICIENT_DATA, "too_many_to_judge") for _ in crowded]
    kept = [one for level, members in levels.items() if level not in crowded for one in members]
    return View(view.key, kept) if crowded else view, len(levels.get(0, ())) > join.statements_max


def _apply_rule(
    active: ActiveRule, join: Join, view: View | FoldView, now_ms: int, result: Evaluation
) -> Sequence[Finding]:
    """Propose the alerts of one rule; returns the HITs that stand, for derivations."""
    settle_ms = active.card.settle_seconds * 1000
    proposals: dict[str, Proposal] = {}
    outcomes, standing = [], []
    for finding in active.rule.evaluate(view, active.parameters, now_ms):
        outcomes.append((active.rule.id, finding.outcome, finding.reason))
        result.wake(finding.wake_at_ms, now_ms)
        if finding.outcome is not Outcome.HIT or finding.tier is Tier.T3:
            continue
        settled_ms = finding.stands_since_ms + settle_ms
        if settle_ms and now_ms < settled_ms:
            result.wake(settled_ms, now_ms)
            continue
        proposal = _alert(active, join, view, finding)
        if proposal.id in proposals:
            raise ValueError(
                f"two findings of {active.rule.id} have the same subject {dict(finding.subject)}"
            )
        proposals[proposal.id] = proposal
        standing.append(finding)
    result.outcomes += outcomes
    result.proposals |= proposals
    return standing


def _apply_derivation(
    derivation: Derivation,
    join: Join,
    view: View | FoldView,
    standing: Mapping[str, Sequence[Finding]],
    result: Evaluation,
) -> None:
    """Propose the relations of one derivation; more than `fanout_max` of them is the one outcome of deriving none.

    By depth, each depth has its own limit, since lower ones must not depend on higher ones.
    """
    levels: dict[int, dict[str, Proposal]] = {}
    if result.failed and any(rule.id in result.failed for rule in join.rules):
        raise ValueError("a rule of the same join failed, so its findings are unknown")
    for derived in derivation.derive(view, standing):
        proposals = levels.setdefault(derived.depth if derivation.by_depth else 0, {})
        if len(proposals) > join.fanout_max:
            continue
        _require(derived.depth > 0 or not derivation.by_depth, "a depth from 1 on")
        proposal = _relation(derivation, join, view, derived)
        if proposal.id in proposals:
            raise ValueError(f"{derivation.name} derived {derived.identity} twice")
        proposals[proposal.id] = proposal
    for proposals in levels.values():
        if len(proposals) > join.fanout_max:
            result.outcomes.append((derivation.name, Outcome.INSUFFICIENT_DATA, "too_many_to_judge"))
        else:
            result.proposals |= proposals


def _alert(active: ActiveRule, join: Join, view: View | FoldView, finding: Finding) -> Proposal:
    card = active.card
    if not finding.subject or not finding.evidence:
        raise ValueError(f"a HIT of {active.rule.id} names no subject or no evidence")
    _require(_are_texts(finding.subject), "a subject of texts")
    _require(_is_jurisdiction(finding.jurisdiction), 'a jurisdiction of 12 digits or ""')
    _require(isinstance(finding.office, str), "an office that is a text")
    content = {
        "rule_id": active.rule.id,
        "rule_version": card.version,
        "activation": active.activation,
        "severity": card.severity,
        "handling": card.handling,
        "join": join.name,
        "join_key": view.key,
        "subject": dict(finding.subject),
        "jurisdiction": finding.jurisdiction,
        "office": finding.office,
        "reason": finding.reason,
        "title": {"zh": card.title.zh, "en": card.title.en},
        "explanation": {"zh": render(card, finding, "zh"), "en": render(card, finding, "en")},
        "rule_text": {"zh": card.text.zh, "en": card.text.en},
        "legal_basis": list(card.legal_basis),
        "parameters": {name: canonical(value) for name, value in card.parameters_as_json().items()},
        "tier": finding.tier.value,
    }
    alert_id = stable_id(OutputKind.ALERT, active.rule.id, view.key, canonical(dict(finding.subject)))
    return _proposal(alert_id, OutputKind.ALERT, active.rule.id, content, finding.evidence)


def _relation(derivation: Derivation, join: Join, view: View | FoldView, derived: Derived) -> Proposal:
    _require(_are_texts(derived.attributes), "attributes that are texts")
    _require(_is_jurisdiction(derived.jurisdiction), 'a jurisdiction of 12 digits or ""')
    _require(0 <= derived.depth < 2**31, "a depth of 31 bits")
    for instant in (derived.valid_from_ms, derived.valid_to_ms):
        _require(instant is None or -(2**63) <= instant < 2**63, "instants of 64 bits")
    content = {
        "kind": derived.kind,
        "derivation": derivation.name,
        "join": join.name,
        "join_key": view.key,
        "attributes": dict(derived.attributes),
        "depth": derived.depth,
        "valid_from_ms": derived.valid_from_ms,
        "valid_to_ms": derived.valid_to_ms,
        "jurisdiction": derived.jurisdiction,
    }
    relation_id = stable_id(OutputKind.RELATION, derivation.name, view.key, canonical(list(derived.identity)))
    return _proposal(relation_id, OutputKind.RELATION, derivation.name, content, derived.evidence)


def _proposal(
    output_id: str, kind: OutputKind, owner: str, content: dict[str, Any], evidence: Iterable[Evidence]
) -> Proposal:
    # Two versions of one record may meet while a relation is on its way: without a total order the digest of such a
    # moment would differ from process to process.
    ordered = tuple(
        sorted(
            set(evidence), key=lambda e: (e.record_type, e.record_id, e.version, e.fields, e.digest, e.source)
        )
    )
    proven = [(e.record_type, e.record_id, e.version, e.event_id, e.digest, e.fields) for e in ordered]
    body = canonical([content, proven]).encode()
    size = len(body) + len(ordered) * _ADDRESS_BYTES
    _require(
        size <= OUTPUT_BYTES_MAX, f"no more evidence than fits into one message, {OUTPUT_BYTES_MAX} bytes"
    )
    digest = hashlib.sha256(body).hexdigest()
    return Proposal(output_id, kind, owner, content, digest, ordered)


def _require(holds: bool, expected: str) -> None:
    """What the contracts cannot carry is the rule's failure, named as such: when sent, it would stop the judge."""
    if not holds:
        raise ValueError(f"expected {expected}")


def _are_texts(texts: Mapping[str, str]) -> bool:
    return all(isinstance(name, str) and isinstance(text, str) for name, text in texts.items())


def _is_jurisdiction(code: str) -> bool:
    return code == "" or (isinstance(code, str) and len(code) == 12 and code.isascii() and code.isdigit())


def stable_id(kind: OutputKind, owner: str, key: str, identity: str) -> str:
    """Hash of what an alert or relation is about; the same for every version, order and duplicate."""
    return hashlib.sha256("\x1f".join((kind.value, owner, key, identity)).encode()).hexdigest()[:32]


def canonical(value: Any) -> str:
    """JSON with one spelling: sorted keys, no spaces, no ASCII escapes."""
    return _CANONICAL.encode(value)
