"""Rule cards as a page of Markdown: the same text for `xiezhi rules show` and docs/reference/rules.md."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from streams.cards import Card, Parameter, Setting
from streams.evaluation import canonical
from streams.kernel import Input, Join, Outcome
from xiezhi.contracts.naming import RELATION

Packs = Mapping[str, Sequence[Card]]

_PREFACE = """\
# Rules · 监督规则

Written by `xiezhi rules show --all` from the joins and the rule packs in the tree; do not edit.

An alert is a suspected problem (疑似问题): the competent department verifies first. Every rule answers for every view
it looks at, with one of four outcomes: HIT looks wrong, CLEAR looked and found nothing, NOT_APPLICABLE does not
speak about such a view, INSUFFICIENT_DATA would speak but lacks records. A view that holds too much to be judged is
INSUFFICIENT_DATA with the reason `too_many_to_judge`. Legal bases and figures are starting values; counsel
confirms them.
"""
_ORDER = list(Outcome)


def render_all(joins: Sequence[Join], packs: Packs) -> str:
    """One page about all joins and rules; the first pack is the one whose texts are told in full."""
    cards = next(iter(packs.values()))
    sections = (render(card.id, joins, packs) for card in cards)
    return "\n".join([_PREFACE, *_joins_table(joins), "", *sections])


def render(rule_id: str, joins: Sequence[Join], packs: Packs) -> str:
    """One rule: what it says, looks at and answers, what can be set, and how the packs differ."""
    by_pack = {name: next(card for card in cards if card.id == rule_id) for name, cards in packs.items()}
    join = next(join for join in joins for rule in join.rules if rule.id == rule_id)
    return "\n".join(_rule_lines(join, by_pack)) + "\n"


def _joins_table(joins: Iterable[Join]) -> Iterator[str]:
    yield from ("## Joins", "", "| join | takes | derives | rules |", "|---|---|---|---|")
    for join in joins:
        takes = ", ".join(map(_input, join.inputs))
        derives = ", ".join(f"`{derivation.kind}`" for derivation in join.derivations)
        yield f"| {join.name} | {takes} | {derives} | {', '.join(rule.id for rule in join.rules)} |"


def _input(taken: Input) -> str:
    return f"relation `{taken.kind}`" if taken.record_type == RELATION else f"`{taken.record_type}`"


def _rule_lines(join: Join, by_pack: Mapping[str, Card]) -> Iterator[str]:
    card = next(iter(by_pack.values()))
    yield from (f"## {card.id} · {card.title.zh} · {card.title.en}", "", card.text.zh, "", card.text.en, "")
    yield f"- Join `{join.name}`: {', '.join(map(_input, join.inputs))}"
    yield f"- Severity {card.severity}; handling {card.handling}; identity tier {card.identity_tier.value}"
    settle = " · ".join(dict.fromkeys(f"{one.settle_seconds} s" for one in by_pack.values()))
    yield f"- A HIT must stand for {settle} before it is said"
    yield f"- Subject of an alert: {', '.join(f'`{name}`' for name in card.subject)}"
    for name, one in by_pack.items():
        yield from (f"- Legal basis ({name}): {basis}" for basis in one.legal_basis)
    yield from (f"- False positive: {one.zh}; {one.en}" for one in card.false_positives)
    yield from ("", "| outcome | reason | 中文 | English |", "|---|---|---|---|")
    for code, reason in sorted(card.reasons.items(), key=lambda item: _ORDER.index(item[1].outcome)):
        yield f"| {reason.outcome.value} | `{code}` | {reason.zh} | {reason.en} |"
    yield from ("", "| number | 中文 | English |", "|---|---|---|")
    yield from (f"| `{name}` | {text.zh} | {text.en} |" for name, text in card.numbers.items())
    yield from (
        "",
        f"| parameter | 中文 | English | {' | '.join(by_pack)} |",
        "|---|---|---" + "|---" * len(by_pack) + "|",
    )
    for name, parameter in card.parameters_of.items():
        values = " | ".join(_values(one.parameters_of[name]) for one in by_pack.values())
        yield f"| `{name}` | {parameter.about.zh} | {parameter.about.en} | {values} |"


def _values(parameter: Parameter) -> str:
    return "; ".join(map(_value, parameter.values))


def _value(setting: Setting) -> str:
    since = f" since {setting.since.isoformat()}" if setting.since else ""
    place = f" in {setting.jurisdiction}" if setting.jurisdiction else ""
    return f"`{canonical(setting.quoted())}`{since}{place}"
