"""One view, the active rules and `now`: what should stand, and when to look again."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.cards import Card
from streams.evaluation import (
    OUTPUT_BYTES_MAX,
    ActiveRule,
    Evaluation,
    OutputKind,
    Proposal,
    evaluate_view,
)
from streams.kernel import (
    Derivation,
    Derived,
    Evidence,
    Finding,
    Join,
    Outcome,
    Parameters,
    Rule,
    Source,
    Statement,
    Tier,
    View,
)
from tests.simulation.world import JURISDICTION, ORDER, START_MS, card
from xiezhi.codec import Codec
from xiezhi.contracts.bus import ALERT
from xiezhi.contracts.naming import RELATION
from xiezhi.registry import InMemoryRegistry

NOW_MS = START_MS + 1_000_000


def statement(
    record_id: str = "o1", *, version: int = 0, offset: int = 0, ingested_ms: int = START_MS
) -> Statement:
    return Statement(
        record_type=ORDER,
        record_id=record_id,
        version=version,
        occurred_ms=START_MS,
        event_id=f"{record_id}.{version}",
        digest="0" * 64,
        value={"amount": 7},
        source=Source(ORDER, 0, offset, ingested_ms),
        jurisdiction=JURISDICTION,
    )


def hit(*statements: Statement, **more: Any) -> Finding:
    given: dict[str, Any] = {
        "outcome": Outcome.HIT,
        "reason": "suspicious",
        "subject": {"order": "o1"},
        "evidence": tuple(Evidence.of(one, "amount") for one in statements or (statement(),)),
        "numbers": {"total": 7},
    }
    return Finding(**{**given, **more})


def clear(**more: Any) -> Finding:
    return Finding(outcome=Outcome.CLEAR, reason="fine", **more)


def evaluated(
    *findings: Finding,
    now_ms: int = NOW_MS,
    settle_s: int = 0,
    one: Card | None = None,
    statements: Sequence[Statement] = (statement(),),
    **join: Any,
) -> Evaluation:
    """What comes of a rule that finds just this."""
    rule = Rule("SUM", lambda view, parameters, now: findings)
    shown = one or card("SUM", settle_s=settle_s)
    active = {"SUM": ActiveRule(rule, shown, "activation", shown.parameters())}
    return evaluate_view(
        Join(name="j", inputs=(), rules=(rule,), **join), View("k", statements), active, now_ms
    )


def only(evaluation: Evaluation) -> Proposal:
    assert evaluation.failed == {}
    (proposal,) = evaluation.proposals.values()
    return proposal


# -- alerts ------------------------------------------------------------------------------------------------------


def test_a_hit_becomes_an_alert_with_the_card_s_words_and_the_finding_s_numbers() -> None:
    proposal = only(evaluated(hit(jurisdiction=JURISDICTION, office="ZZ-TEST-1")))
    assert (proposal.kind, proposal.owner) == (OutputKind.ALERT, "SUM")
    content = proposal.content
    assert content["explanation"] == {"zh": "合计 7", "en": "comes to 7"}
    assert content["subject"] == {"order": "o1"}
    assert (content["join"], content["join_key"], content["activation"]) == ("j", "k", "activation")
    assert content["parameters"] == {"limit": "100"}
    assert (content["jurisdiction"], content["office"]) == (JURISDICTION, "ZZ-TEST-1")


@pytest.mark.parametrize("outcome", [o for o in Outcome if o is not Outcome.HIT])
def test_only_a_hit_becomes_an_alert_and_every_outcome_is_told(outcome: Outcome) -> None:
    evaluation = evaluated(Finding(outcome=outcome, reason="r"))
    assert evaluation.proposals == {}
    assert evaluation.outcomes == [("SUM", outcome, "r")]


def test_a_name_alone_is_never_an_alert() -> None:
    evaluation = evaluated(hit(tier=Tier.T3))
    assert evaluation.proposals == {}
    assert evaluation.outcomes == [("SUM", Outcome.HIT, "suspicious")]
    assert only(evaluated(hit(tier=Tier.T2))).content["tier"] == "T2"


def test_a_rule_that_is_not_active_says_nothing() -> None:
    rule = Rule("SUM", lambda view, parameters, now: [hit()])
    evaluation = evaluate_view(Join(name="j", inputs=(), rules=(rule,)), View("k", []), {}, NOW_MS)
    assert (evaluation.proposals, evaluation.outcomes, evaluation.failed) == ({}, [], {})


def test_the_alert_id_stays_when_what_is_said_changes() -> None:
    first, second = only(evaluated(hit())), only(evaluated(hit(numbers={"total": 8})))
    assert first.id == second.id
    assert first.digest != second.digest
    assert first.id != only(evaluated(hit(subject={"order": "o2"}))).id


def test_the_digest_ignores_where_and_when_the_log_holds_the_evidence() -> None:
    far = statement(offset=99, ingested_ms=START_MS + 5)
    traced = replace(statement(), traceparent="00-" + "1" * 32 + "-" + "2" * 16 + "-01")
    assert (
        only(evaluated(hit())).digest
        == only(evaluated(hit(far))).digest
        == only(evaluated(hit(traced))).digest
    )


def test_the_digest_tells_another_version_of_the_evidence() -> None:
    assert only(evaluated(hit())).digest != only(evaluated(hit(statement(version=1)))).digest


def test_the_digest_tells_other_parameters_and_another_activation() -> None:
    other = only(evaluated(hit(), one=card("SUM", limit=5)))
    assert other.digest != only(evaluated(hit())).digest


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.permutations([statement("o1"), statement("o2"), statement("o2", version=1), statement("o3")]))
def test_evidence_has_one_order_whatever_order_a_rule_names_it_in(order: list[Statement]) -> None:
    named = [(one.record_id, one.version) for one in only(evaluated(hit(*order))).evidence]
    assert named == [("o1", 0), ("o2", 0), ("o2", 1), ("o3", 0)]


def test_evidence_named_twice_counts_once() -> None:
    assert only(evaluated(hit(statement(), statement()))).digest == only(evaluated(hit())).digest


def test_evidence_that_was_routed_twice_counts_once_and_keeps_its_stage_times() -> None:
    """A router that starts over files a record again; relations then lead to it with one time and with the other."""
    first = replace(statement(), sent_ms=START_MS - 9, routed_ms=START_MS + 1)
    found = only(evaluated(hit(first, replace(first, routed_ms=START_MS + 60_000))))
    assert found.digest == only(evaluated(hit())).digest
    [evidence] = found.evidence
    assert (evidence.sent_ms, evidence.routed_ms) == (START_MS - 9, START_MS + 1)


# -- settle times and waking -------------------------------------------------------------------------------------


def test_a_hit_is_held_back_until_it_has_stood_its_settle_time() -> None:
    finding = hit(statement("o1", ingested_ms=START_MS), statement("o2", ingested_ms=START_MS + 500))
    settled_ms = START_MS + 500 + 40_000
    waiting = evaluated(finding, now_ms=settled_ms - 1, settle_s=40)
    assert waiting.proposals == {}
    assert waiting.wake_at_ms == settled_ms
    assert waiting.outcomes == [("SUM", Outcome.HIT, "suspicious")]
    said = evaluated(finding, now_ms=settled_ms, settle_s=40)
    assert only(said)
    assert said.wake_at_ms is None


def test_a_rule_may_say_since_when_its_hit_stands() -> None:
    finding = hit(established_ms=START_MS - 40_000)
    assert only(evaluated(finding, now_ms=START_MS, settle_s=40))


def test_before_the_first_tick_a_settle_time_cannot_be_over_and_other_hits_are_said() -> None:
    assert evaluated(hit(), now_ms=0, settle_s=40).proposals == {}
    assert only(evaluated(hit(), now_ms=0))


def test_a_hit_that_is_held_back_is_no_finding_for_derivations() -> None:
    seen: list[Mapping[str, Sequence[Finding]]] = []

    def derive(view: View, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Derived]:
        seen.append(dict(findings))
        return []

    derivations = (Derivation("d", "kind", derive),)
    evaluated(hit(), now_ms=START_MS, settle_s=40, derivations=derivations)
    evaluated(hit(), now_ms=NOW_MS, settle_s=40, derivations=derivations)
    assert seen == [{"SUM": []}, {"SUM": [hit()]}]


def test_the_earliest_moment_to_come_wins_and_the_past_wakes_nobody() -> None:
    findings = [
        clear(wake_at_ms=NOW_MS + 9),
        clear(wake_at_ms=NOW_MS + 5),
        clear(wake_at_ms=NOW_MS),
        clear(wake_at_ms=NOW_MS - 1),
    ]
    assert evaluated(*findings).wake_at_ms == NOW_MS + 5
    assert evaluated(clear(wake_at_ms=NOW_MS)).wake_at_ms is None


# -- what a rule or derivation may not do ------------------------------------------------------------------------


def _throwing(view: View, *_: Any) -> Any:
    raise KeyError("amount")


def _throwing_late(view: View, *_: Any) -> Any:
    yield hit()
    raise KeyError("amount")


@pytest.mark.parametrize("evaluate", [_throwing, _throwing_late])
def test_a_rule_that_throws_is_named_and_the_others_speak(evaluate: Callable[..., Any]) -> None:
    broken, sound = Rule("SUM", evaluate), Rule("ABSENT", lambda view, parameters, now: [hit()])
    cards = {one.id: ActiveRule(one, card(one.id), "a", Parameters({})) for one in (broken, sound)}
    derivation = Derivation("d", "kind", lambda view, findings: [])
    join = Join(name="j", inputs=(), rules=(broken, sound), derivations=(derivation,))
    evaluation = evaluate_view(join, View("k", [statement()]), cards, NOW_MS)
    assert [proposal.owner for proposal in evaluation.proposals.values()] == ["ABSENT"]
    assert set(evaluation.failed) == {"SUM", "d"}, "what rests on a rule that failed is unknown, too"
    assert "amount" in evaluation.failed["SUM"]
    assert [owner for owner, _, _ in evaluation.outcomes] == ["ABSENT"]


@pytest.mark.parametrize(
    ("finding", "says"),
    [
        (hit(subject={}), "no subject"),
        (hit(evidence=()), "no evidence"),
        (hit(reason="unheard_of"), "unheard_of"),
        (hit(numbers={}), "total"),
        (hit(subject={"order": 1}), "text"),
        (hit(subject={"order": None}), "text"),
        (hit(jurisdiction="3301"), "jurisdiction"),
        (hit(jurisdiction=None), "jurisdiction"),
        (hit(office=None), "office"),
    ],
)
def test_a_hit_that_no_alert_could_carry_is_the_rule_s_failure(finding: Finding, says: str) -> None:
    evaluation = evaluated(finding)
    assert evaluation.proposals == {}
    assert says in evaluation.failed["SUM"]


def test_more_evidence_than_fits_into_a_message_is_the_rule_s_failure() -> None:
    """The broker would refuse it, and the judge that sends it would never get past that record."""

    def resting_on(records: int) -> Finding:
        trace = f"00-{'1' * 32}-{'2' * 16}-01"
        every = [replace(statement(f"{number:036d}"), traceparent=trace) for number in range(records)]
        return hit(*every)

    codec, settled = Codec(_registry()), only(evaluated(resting_on(20_000)))
    value = {
        **settled.content,
        "record_id": settled.id,
        "state": "raised",
        "content_digest": settled.digest,
        "position": 1,
        "times": {"occurred_ms": 1, "ingested_ms": 1, "judged_ms": 1},
        "evidence": [one.as_reference() for one in settled.evidence],
    }
    assert len(codec.encode(ALERT.subject, value)) < OUTPUT_BYTES_MAX
    evaluation = evaluated(resting_on(40_000))
    assert evaluation.proposals == {}
    assert "one message" in evaluation.failed["SUM"]


def _registry() -> InMemoryRegistry:
    registry = InMemoryRegistry()
    registry.register(ALERT.subject, json.dumps(ALERT.schema))
    return registry


def test_two_findings_about_one_subject_are_the_rule_s_failure() -> None:
    evaluation = evaluated(hit(), hit(numbers={"total": 8}))
    assert "same subject" in evaluation.failed["SUM"]
    assert evaluation.proposals == {}


def test_a_view_with_too_much_in_it_has_one_outcome() -> None:
    statements = [statement(f"o{number}") for number in range(3)]
    assert only(evaluated(hit(), statements=statements, statements_max=3))
    evaluation = evaluated(hit(), clear(), statements=statements, statements_max=2)
    assert evaluation.proposals == {}
    assert evaluation.outcomes == [("SUM", Outcome.INSUFFICIENT_DATA, "too_many_to_judge")]


# -- relations ---------------------------------------------------------------------------------------------------


def derived(*identity: str, **more: Any) -> Derived:
    given: dict[str, Any] = {
        "kind": "kind",
        "identity": identity or ("i",),
        "attributes": {"a": "b"},
        "evidence": (Evidence.of(statement()),),
    }
    return Derived(**{**given, **more})


def deriving(*found: Derived, **join: Any) -> Evaluation:
    derivation = Derivation("d", "kind", lambda view, findings: found)
    return evaluate_view(
        Join(name="j", inputs=(), derivations=(derivation,), **join), View("k", [statement()]), {}, NOW_MS
    )


def test_a_derived_record_becomes_a_relation() -> None:
    proposal = only(deriving(derived(depth=2, valid_from_ms=5)))
    assert (proposal.kind, proposal.owner) == (OutputKind.RELATION, "d")
    assert proposal.content["attributes"] == {"a": "b"}
    assert (proposal.content["depth"], proposal.content["valid_from_ms"]) == (2, 5)


def test_the_relation_id_follows_from_its_identity_and_not_from_its_attributes() -> None:
    one, other = only(deriving(derived("x"))), only(deriving(derived("x", attributes={"a": "c"})))
    assert one.id == other.id
    assert one.digest != other.digest
    assert only(deriving(derived("y"))).id != one.id
    assert only(deriving(derived("x", "y"))).id != only(deriving(derived("xy"))).id


def test_one_thing_derived_twice_is_the_derivation_s_failure() -> None:
    evaluation = deriving(derived("x"), derived("x"))
    assert "twice" in evaluation.failed["d"]
    assert evaluation.proposals == {}


def test_too_many_relations_are_none_and_one_outcome() -> None:
    found = [derived(str(number)) for number in range(3)]
    assert len(deriving(*found, fanout_max=3).proposals) == 3
    evaluation = deriving(*found, fanout_max=2)
    assert evaluation.proposals == {}
    assert evaluation.outcomes == [("d", Outcome.INSUFFICIENT_DATA, "too_many_to_judge")]


def relation(depth: int, number: int) -> Statement:
    """A relation that the join takes back from itself."""
    value = {"kind": "kind", "depth": depth}
    named = statement(f"r{depth}.{number}")
    return replace(named, record_type=RELATION, value=value)


def climbing(view: View, findings: Mapping[str, Sequence[Finding]]) -> Iterable[Derived]:
    """Depth 1 from each record, depth d + 1 from each relation of depth d."""
    for one in view.of(ORDER):
        yield derived("1", one.record_id, depth=1)
    for one in view.relations("kind"):
        yield derived(str(one["depth"] + 1), one.record_id, depth=one["depth"] + 1)


def depths(statements: Sequence[Statement], **join: Any) -> tuple[list[int], int]:
    """Depths of the relations derived, and how often there was too much."""
    derivations = (Derivation("d", "kind", climbing, by_depth=True),)
    whole = Join(name="j", inputs=(), derivations=derivations, **join)
    evaluation = evaluate_view(whole, View("k", statements), {}, NOW_MS)
    assert evaluation.failed == {}
    assert all(reason == "too_many_to_judge" for _, _, reason in evaluation.outcomes)
    return sorted(one.content["depth"] for one in evaluation.proposals.values()), len(evaluation.outcomes)


def test_too_many_relations_of_one_depth_do_not_silence_those_they_rest_on() -> None:
    statements = [statement("o1"), statement("o2"), *(relation(1, number) for number in range(3))]
    assert depths(statements, fanout_max=3) == ([1, 1, 2, 2, 2], 0)
    assert depths(statements, fanout_max=2) == ([1, 1], 1)
    assert depths(statements, fanout_max=1) == ([], 2)


def test_too_many_relations_of_one_depth_in_a_view_are_left_out_and_the_others_stay() -> None:
    statements = [statement("o1"), *(relation(1, number) for number in range(3)), relation(2, 0)]
    assert depths(statements, statements_max=3) == ([1, 2, 2, 2, 3], 0)
    assert depths(statements, statements_max=2) == ([1, 3], 1)
    statements = [*statements[:1], *statements[-1:]]
    assert depths([*statements, statement("o2"), statement("o3")], statements_max=2) == ([], 1)


def test_a_derivation_by_depth_starts_at_depth_one() -> None:
    derivation = Derivation("d", "kind", lambda view, findings: [derived(depth=0)], by_depth=True)
    join = Join(name="j", inputs=(), derivations=(derivation,))
    assert set(evaluate_view(join, View("k", []), {}, NOW_MS).failed) == {"d"}


@pytest.mark.parametrize(
    "broken",
    [
        derived(attributes={"a": 1}),
        derived(attributes={"a": None}),
        derived(jurisdiction="33"),
        derived(depth=-1),
        derived(depth=2**31),
        derived(valid_from_ms="2026"),
        derived(valid_to_ms=2**63),
    ],
)
def test_a_relation_that_no_record_could_carry_is_the_derivation_s_failure(broken: Derived) -> None:
    evaluation = deriving(broken)
    assert evaluation.proposals == {}
    assert set(evaluation.failed) == {"d"}


# -- parameters --------------------------------------------------------------------------------------------------


def test_the_most_specific_jurisdiction_wins_and_then_the_newest_day() -> None:
    parameters = Parameters(
        {
            "limit": [
                {"value": 1},
                {"value": 2, "from_ms": 100},
                {"value": 3, "jurisdiction": "33"},
                {"value": 4, "jurisdiction": "3301", "from_ms": 200},
            ]
        }
    )
    assert parameters.at("limit") == 2
    assert parameters.at("limit", 99) == 1
    assert parameters.at("limit", 100) == 2
    assert parameters.at("limit", None, "330200000000") == 3
    assert parameters.at("limit", 199, "330100000000") == 3
    assert parameters.at("limit", 200, "330100000000") == 4


def test_a_parameter_without_a_value_then_and_there_is_the_card_s_mistake() -> None:
    parameters = Parameters({"limit": [{"value": 1, "from_ms": 100, "jurisdiction": "33"}]})
    for when_ms, where in ((99, "330000000000"), (100, "110000000000")):
        with pytest.raises(KeyError, match="limit"):
            parameters.at("limit", when_ms, where)
    with pytest.raises(KeyError):
        parameters.at("unknown")


def test_of_two_settings_for_the_same_time_and_place_the_first_is_in_force() -> None:
    twice = [{"value": 1, "from_ms": 5}, {"value": 2, "from_ms": 5}, {"value": 3}]
    assert Parameters({"limit": twice}).at("limit", 5) == 1
    assert Parameters({"limit": twice[::-1]}).at("limit", 5) == 2
