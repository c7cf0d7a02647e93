"""Small builders that tests share: statements as the log would hold them, and judging them with a pack's cards.

Everything is deterministic: instants are ISO text in China Standard Time ("2026-03-01" is nine in the morning), a
record is ingested an hour after it occurred unless told otherwise, addresses are derived from record ids.
"""

from __future__ import annotations

import hashlib
import json
import random
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any, Literal, cast

from streams.cards import Card, load_pack, render
from streams.evaluation import ActiveRule, Proposal
from streams.folds.recomputed import Recomputed
from streams.joins import JOINS
from streams.kernel import Finding, Outcome, Parameters, Source, Statement, View
from streams.oracle import Verdict, judge_log
from streams.rules.working_days import WorkingDays
from xiezhi.contracts.base import Contract
from xiezhi.contracts.types import to_day, to_instant_ms

COUNTY = "330106"
JURISDICTION = f"{COUNTY}000000"
#: Later than every wait in these tests.
LATE = "2035-01-01"

Pack = Literal["generic", "cn"]


def instant(text: str | int) -> int:
    """Milliseconds of "2026-03-01", "2026-03-01 17:30" or "2026-03-01 17:30:05" in China Standard Time."""
    if isinstance(text, int):
        return text
    if len(text) == len("2026-03-01"):
        text += " 09:00"
    return int(to_instant_ms(datetime.fromisoformat(f"{text}+08:00")))


def day(text: str) -> int:
    """Days since 1970-01-01."""
    return int(to_day(text))


def person(name: str) -> str:
    """A person token that is the same for the same name."""
    digest = hashlib.sha256(name.encode()).digest()
    return "pt1_" + "".join("abcdefghijklmnopqrstuvwxyz234567"[byte % 32] for byte in digest[:26])


def company(name: str) -> str:
    """An organisation identifier of no real register."""
    return f"ZZ-TEST-{name}"


def statement(
    contract: Contract,
    record_id: str,
    *,
    version: int = 0,
    occurred: str | int = "2026-01-01",
    ingested: str | int | None = None,
    jurisdiction: str = JURISDICTION,
    **fields: Any,
) -> Statement:
    """What stands in a view when a department published this record; the fields must keep the contract."""
    occurred_ms = instant(occurred)
    record = contract.model.model_validate({"record_id": record_id, **fields})
    value = record.model_dump(mode="json")
    ingested_ms = instant(ingested) if ingested is not None else occurred_ms + 3_600_000
    return Statement(
        record_type=contract.topic,
        record_id=record_id,
        version=version,
        occurred_ms=occurred_ms,
        event_id=f"{contract.record}-{record_id}-{version}",
        digest=hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest(),
        value=value,
        source=Source(contract.topic, 0, zlib.crc32(f"{record_id}|{version}".encode()), ingested_ms),
        jurisdiction=jurisdiction,
    )


@cache
def cards(pack: Pack = "generic") -> Mapping[str, Card]:
    return {card.id: card for card in load_pack(pack)}


@cache
def active_rules(pack: Pack = "generic") -> Mapping[str, ActiveRule]:
    """Every rule of the project, activated with the cards of a pack."""
    rules = {rule.id: rule for join in JOINS for rule in join.rules}
    return {
        rule_id: ActiveRule(rules[rule_id], card, "test", card.parameters())
        for rule_id, card in cards(pack).items()
    }


def findings(
    rule_id: str, key: str, statements: Iterable[Statement], *, pack: Pack = "generic", now: str | int = LATE
) -> list[Finding]:
    """What a rule says about a view; asserts on the way what every answer of every rule must satisfy."""
    statements = list(statements)
    rule = active_rules(pack)[rule_id]
    fold = next(join.fold for join in JOINS if rule.rule in join.rules)
    shuffled = random.Random(len(statements)).sample(statements, len(statements))
    views = [
        View(key, some) if fold is None else Recomputed(key, fold, some) for some in (statements, shuffled)
    ]
    found, again = (list(rule.rule.evaluate(view, rule.parameters, instant(now))) for view in views)
    assert found == again, "the order of statements changed the answer"
    assert found, "a rule always says something"
    for finding in found:
        check_against_card(rule.card, finding)
    return found


def check_against_card(card: Card, finding: Finding) -> None:
    """A finding and its rule's card agree about reasons, subject and numbers, and both languages can be written."""
    assert render(card, finding, "zh")
    assert render(card, finding, "en")
    assert set(finding.numbers) <= set(card.numbers)
    if finding.outcome is Outcome.HIT:
        assert set(finding.subject) == set(card.subject)
        assert finding.evidence
        assert finding.jurisdiction
        cited = [(one.record_type, one.record_id) for one in finding.evidence]
        assert len(cited) == len(set(cited)), "evidence names a record twice"


def only(found: Sequence[Finding]) -> Finding:
    """The one finding there is."""
    assert len(found) == 1, [(one.outcome, one.reason) for one in found]
    return found[0]


def outcome(found: Sequence[Finding]) -> tuple[Outcome, str]:
    """(outcome, reason) of the one finding there is."""
    return only(found).outcome, only(found).reason


class _AsIs:
    """Stands where the guard stands when statements come without a log."""

    def admit(self, record: Statement) -> Statement:
        return record


def calendar_of(*years: int, free: Sequence[str] = (), worked: Sequence[str] = ()) -> WorkingDays:
    """A calendar that knows these years, all of them with the same exceptions ("MM-DD")."""
    told = {str(year): {"free": list(free), "worked": list(worked)} for year in years}
    return WorkingDays.from_value({"calendar": "test", "years": told})


def with_parameters(rule_id: str, **values: Any) -> Mapping[str, ActiveRule]:
    """The rules of the generic pack, one of them with other parameters."""
    rules = active_rules()
    entries = {name: [{"value": value}] for name, value in values.items()}
    return {**rules, rule_id: replace(rules[rule_id], parameters=Parameters(entries))}


def judge(
    statements: Iterable[Statement],
    *,
    pack: Pack = "generic",
    now: str | int = LATE,
    active: Mapping[str, ActiveRule] | None = None,
) -> Verdict:
    """Everything that stands after these statements, relations of every depth included. No rule may fail."""
    log = cast(Any, list(statements))
    rules = active_rules(pack) if active is None else active
    verdict = judge_log(log, JOINS, rules, cast(Any, _AsIs()), instant(now))
    assert not verdict.failed
    return verdict


def alerts(
    statements: Iterable[Statement], rule_id: str, *, pack: Pack = "generic", now: str | int = LATE
) -> list[Proposal]:
    """The alerts of one rule that should stand, ordered by subject."""
    found = [one for one in judge(statements, pack=pack, now=now).alerts.values() if one.owner == rule_id]
    return sorted(found, key=lambda one: sorted(one.content["subject"].items()))


def relations(statements: Iterable[Statement], kind: str) -> list[Mapping[str, Any]]:
    """The contents of the relations of one kind, ordered by attributes."""
    found = [r.content for r in judge(statements).relations.values() if r.content["kind"] == kind]
    return sorted(found, key=lambda content: (content["depth"], sorted(content["attributes"].items())))
