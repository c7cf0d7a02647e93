"""The judge says what changed, once, and remembers what it and others said."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from streams.cores import JudgeCore
from streams.evaluation import ActiveRule, Elsewhere
from streams.facts import ACTIVATION_KEY, SEQUENCE_HEADER, TICK_AHEAD_MAX_MS, TICK_KEY
from streams.judge import Judge, Output, position_of
from streams.kernel import Finding, Input, Join, Parameters, Rule, View
from tests.simulation.desk import GENERATION, ROUTED_MS, Desk, FactLog, said_by, states
from tests.simulation.world import (
    ACCOUNT,
    CODEC,
    JOINS,
    ORDER,
    RECEIPT,
    RECEIPT_WAIT_MS,
    RULES,
    SENT_BEFORE_MS,
    SETTLE_S,
    START_MS,
    TRACEPARENT,
    by_account,
    card,
    order,
    sum_of_orders,
)
from xiezhi.log import RawRecord

DEADLINE_MS = START_MS + RECEIPT_WAIT_MS


@pytest.fixture
def log() -> FactLog:
    return FactLog()


@pytest.fixture
def desk(log: FactLog) -> Desk:
    """A judge that has read the activations of all rules."""
    desk = Desk()
    assert desk.read(log.activate_all()) == []
    return desk


def at(offset: int) -> int:
    return position_of(GENERATION, offset)


def only(outputs: list[Output]) -> Output:
    (output,) = outputs
    return output


# -- raise, change, withdraw -------------------------------------------------------------------------------------


def test_evidence_says_when_it_was_sent_and_routed_also_after_a_restart(desk: Desk, log: FactLog) -> None:
    desk.read(log.file(ORDER, "o1", order("a", 60)))
    raised = only(desk.restarted().read(log.file(ORDER, "o2", order("a", 60))))
    times = [
        (one["record_id"], one["traceparent"], one["sent_ms"], one["routed_ms"]) for one in raised.evidence
    ]
    sent_ms = START_MS - SENT_BEFORE_MS
    assert times == [("o1", TRACEPARENT, sent_ms, ROUTED_MS), ("o2", TRACEPARENT, sent_ms, ROUTED_MS)]


def test_an_alert_is_raised_changed_and_withdrawn_as_records_come(desk: Desk, log: FactLog) -> None:
    assert desk.read(log.file(ORDER, "o1", order("a", 60))) == []
    raised = only(desk.read(log.file(ORDER, "o2", order("a", 60))))
    assert (raised.said.owner, raised.state, raised.said.position) == ("SUM", "raised", at(log.last()))
    changed = only(desk.read(log.file(ORDER, "o2", order("a", 70), version=1)))
    assert (changed.state, changed.id) == ("changed", raised.id)
    assert changed.content["explanation"]["en"] == "comes to 130"
    withdrawn = only(desk.read(log.file(ORDER, "o1", None, version=1)))
    assert (withdrawn.state, withdrawn.id, withdrawn.said.digest) == ("withdrawn", raised.id, "")
    assert withdrawn.content["explanation"]["en"] == "comes to 130", "a withdrawal repeats what it takes back"
    assert withdrawn.evidence == changed.evidence
    again = only(desk.read(log.file(ORDER, "o1", order("a", 60), version=2)))
    assert (again.state, again.id) == ("raised", raised.id)
    positions = [one.said.position for one in (raised, changed, withdrawn, again)]
    assert all(one < other for one, other in pairwise(positions))


def test_what_has_not_changed_is_not_said_again(desk: Desk, log: FactLog) -> None:
    only(desk.read(log.file(ORDER, "o1", order("a", 101))))
    assert desk.read(log.file(ACCOUNT, "x", {"account": "a", "owner": "n"}))[0].said.owner == "flagged"
    assert desk.read(log.file(ACCOUNT, "y", {"account": "b", "owner": "n"})) == []
    copy = log.records[-3]
    assert desk.read([log.append(copy.key or b"", copy.value or b"", copy.headers)]) == []


def test_a_record_that_moved_away_no_longer_counts(desk: Desk, log: FactLog) -> None:
    desk.read(log.file(ORDER, "o1", order("a", 101)))
    outputs = desk.read(log.file(ORDER, "o1", order("b", 101), version=1))
    assert {(one.view, one.state) for one in outputs} == {("account|a", "withdrawn"), ("account|b", "raised")}


def test_facts_of_one_batch_are_judged_together(desk: Desk, log: FactLog) -> None:
    facts = [
        *log.file(ORDER, "o1", order("a", 101)),
        *log.file(ORDER, "o1", order("a", 5), version=1),
    ]
    assert desk.read(facts) == []


def test_facts_in_any_order_leave_the_greatest_version(log: FactLog) -> None:
    log.activate_all()
    for version, amount in ((0, 500), (1, 5), (3, 101), (2, 500)):
        log.file(ORDER, "o1", order("a", amount), version=version)
    facts = log.records[len(RULES) :]
    for shuffled in (facts, facts[::-1], facts[1:] + facts[:1], [*facts, *facts]):
        desk = Desk()
        desk.read(log.records[: len(RULES)])
        renumbered = [raw._replace(offset=len(RULES) + number) for number, raw in enumerate(shuffled)]
        assert only(desk.read(renumbered)).content["explanation"]["en"] == "comes to 101"


def test_of_two_copies_evidence_names_the_one_that_the_log_holds_first(desk: Desk, log: FactLog) -> None:
    late = log.file(ORDER, "o1", order("a", 101))[0]
    early = _renumbered(log, late, offset=-1)
    output = only(desk.read([late, early]))
    assert output.evidence[0]["offset"] == -1


def _renumbered(log: FactLog, raw: RawRecord, offset: int) -> RawRecord:
    """A copy of a fact whose record has another offset on its own topic."""
    name, filing = raw.headers[-1]
    parts = (filing or b"").split(b";")
    parts[3] = b"%d" % offset
    return log.append(raw.key or b"", raw.value or b"", [*raw.headers[:-1], (name, b";".join(parts))])


def test_a_rule_that_fails_holds_its_last_statement_and_others_go_on() -> None:
    def fussy(view: View, parameters: Parameters, now_ms: int) -> Iterable[Finding]:
        if len(view.of(ORDER)) == 2:
            raise OverflowError("two are too many")
        return sum_of_orders(view, parameters, now_ms)

    rules = (Rule("SUM", fussy), Rule("NEGATIVE", sum_of_orders))
    join = Join(name="account", inputs=(Input(ORDER, by_account),), rules=rules)
    log, desk = FactLog([join]), Desk(joins=[join])
    desk.read([log.activate(card("SUM")), log.activate(card("NEGATIVE", settle_s=0))])
    both = desk.read(log.file(ORDER, "o1", order("a", 101)))
    assert states(both) == [("SUM", "raised"), ("NEGATIVE", "raised")]
    assert states(desk.read(log.file(ORDER, "o2", order("a", 1)))) == [("NEGATIVE", "changed")]
    assert desk.failures == [("SUM", "account|a")]
    outputs = desk.read(log.file(ORDER, "o2", None, version=1))
    assert states(outputs) == [("NEGATIVE", "changed")], "the held statement is right again"


def test_nonsense_on_the_fact_topic_is_put_aside_and_the_rest_is_judged(desk: Desk, log: FactLog) -> None:
    good = log.file(ORDER, "o1", order("a", 101))[0]
    newer = [(n, b"9" if n == "ce_recordversion" else v) for n, v in good.headers]
    nonsense = [
        log.append(b"account|a", b"no headers"),
        log.append(b"account|a", b"", good.headers)._replace(key=None),
        log.append(b"account|a", b"", good.headers)._replace(value=None),
        log.append(b"\xff", good.value or b"", good.headers),
        log.append(b"account|a", b"junk", newer),
        log.append(b"account|" + b"a" * 100_000, good.value or b"", good.headers),
        log.append(b"#timers", good.value or b"", good.headers),
        log.append(TICK_KEY, b"junk"),
        log.append(TICK_KEY, b'{"now_ms": 1e400}'),
        log.append(TICK_KEY, b'{"now_ms": -1}'),
        log.append(ACTIVATION_KEY, b"junk"),
        log.append(ACTIVATION_KEY, b"junk", [(SEQUENCE_HEADER, b"9")]),
    ]
    output = only(desk.read([nonsense[0], nonsense[1], good, *nonsense[2:]]))
    assert (output.state, output.said.position) == ("raised", at(good.offset))
    assert [raw for raw, _ in desk.bad] == nonsense


@pytest.mark.parametrize(("schema_id", "reason"), [(99, "unknown_schema"), (1, "not_a_fact")])
def test_a_fact_of_a_topic_that_nobody_has_is_put_aside(
    desk: Desk, log: FactLog, schema_id: int, reason: str
) -> None:
    good = log.file(ORDER, "o1", order("a", 101))[0]
    name, filing = good.headers[-1]
    stranger = (filing or b"").replace(ORDER.encode(), b"nobody.thing.v1")
    frame = b"\x00" + schema_id.to_bytes(4, "big")
    forged = log.append(good.key or b"", frame, [*good.headers[:-1], (name, stranger)])
    assert only(desk.read([forged, good])).state == "raised"
    assert [(raw, error.reason) for raw, error in desk.bad] == [(forged, reason)]


def test_a_record_with_as_many_headers_as_are_allowed_is_judged(desk: Desk, log: FactLog) -> None:
    """The filing header comes on top of what the guard allows a record to bring."""
    fact = log.file(ORDER, "o1", order("a", 101))[0]
    extra = [(f"x-{number}", b"") for number in range(64 - (len(fact.headers) - 1))]
    full = log.append(fact.key or b"", fact.value or b"", [*fact.headers[:-1], *extra, fact.headers[-1]])
    assert only(desk.read([full])).state == "raised"
    assert desk.bad == []


# -- time --------------------------------------------------------------------------------------------------------


def test_an_absence_is_noticed_at_the_tick_that_passes_its_deadline(desk: Desk, log: FactLog) -> None:
    assert desk.read(log.file(ORDER, "o1", order(None, 1, "x"))) == []
    assert desk.read([log.tick(DEADLINE_MS - 1)]) == []
    raised = only(desk.read([log.tick(DEADLINE_MS)]))
    assert (raised.said.owner, raised.said.position) == ("ABSENT", at(log.last()))
    late = only(desk.read(log.file(RECEIPT, "r1", {"items": ["x"]}, occurred_ms=DEADLINE_MS)))
    assert late.state == "withdrawn"


def test_a_tick_wakes_each_key_once_and_only_those_due(desk: Desk, log: FactLog) -> None:
    desk.read(log.file(ORDER, "o1", order(None, 1, "x")))
    desk.read(log.file(ORDER, "o2", order(None, 1, "y"), occurred_ms=START_MS + 10))
    assert only(desk.read([log.tick(DEADLINE_MS)])).view == "item|x"
    assert only(desk.read([log.tick(DEADLINE_MS + 10)])).view == "item|y"
    assert desk.read([log.tick(DEADLINE_MS + 20)]) == []


def test_an_older_tick_does_not_turn_time_back(desk: Desk, log: FactLog) -> None:
    desk.read([log.tick(DEADLINE_MS)])
    desk.read([log.tick(START_MS)])
    assert desk.judge.now_ms == DEADLINE_MS
    assert only(desk.read(log.file(ORDER, "o1", order(None, 1, "x")))).state == "raised"


def test_a_tick_ahead_of_its_own_append_is_refused_and_time_goes_on(desk: Desk, log: FactLog) -> None:
    tick, earliest_ms = b'{"now_ms": %d}' % DEADLINE_MS, DEADLINE_MS - TICK_AHEAD_MAX_MS
    facts = log.file(ORDER, "o1", order(None, 1, "x"))
    wrong = log.append(TICK_KEY, tick, ingested_ms=earliest_ms - 1)
    assert desk.read([*facts, wrong]) == []
    assert [(raw, error.reason) for raw, error in desk.bad] == [(wrong, "tick_ahead")]
    assert desk.judge.now_ms < DEADLINE_MS
    barely = log.append(TICK_KEY, tick, ingested_ms=earliest_ms)
    assert only(desk.restarted().read([barely])).state == "raised"


def test_time_survives_a_restart(desk: Desk, log: FactLog) -> None:
    desk.read([log.tick(DEADLINE_MS)])
    assert only(desk.restarted().read(log.file(ORDER, "o1", order(None, 1, "x")))).state == "raised"


def test_timers_survive_a_restart(desk: Desk, log: FactLog) -> None:
    desk.read(log.file(ORDER, "o1", order(None, 1, "x")))
    assert only(desk.restarted().read([log.tick(DEADLINE_MS)])).state == "raised"


def test_a_deadline_that_a_correction_moved_is_the_one_that_counts(desk: Desk, log: FactLog) -> None:
    desk.read(log.file(ORDER, "o1", order(None, 1, "x")))
    desk.read(log.file(ORDER, "o1", order(None, 1, "x"), version=1, occurred_ms=START_MS + 5_000))
    assert desk.read([log.tick(DEADLINE_MS)]) == []
    assert only(desk.read([log.tick(DEADLINE_MS + 5_000)])).state == "raised"
    assert desk.restarted().read([log.tick(DEADLINE_MS + 9_000)]) == []


def test_what_came_before_a_tick_is_judged_before_it(desk: Desk, log: FactLog) -> None:
    """Whether order and tick share a batch or not, it is the tick that bears on the alert."""
    batch = [*log.file(ORDER, "o1", order(None, 1, "x")), log.tick(DEADLINE_MS)]
    together = desk.read(batch)
    other = Desk()
    other.read(log.records[: len(RULES)])
    assert together == [output for raw in batch for output in other.read([raw])]
    assert only(together).said.position == at(log.last())


def test_a_settle_time_holds_a_hit_back_until_a_tick_past_it(desk: Desk, log: FactLog) -> None:
    desk.read([log.tick(START_MS)])
    assert desk.read(log.file(ORDER, "o1", order("a", -1))) == []
    assert desk.read([log.tick(START_MS + SETTLE_S * 1000 - 1)]) == []
    assert only(desk.read([log.tick(START_MS + SETTLE_S * 1000)])).said.owner == "NEGATIVE"


def test_a_hit_that_goes_within_its_settle_time_is_never_said(desk: Desk, log: FactLog) -> None:
    desk.read([log.tick(START_MS)])
    desk.read(log.file(ORDER, "o1", order("a", -1)))
    desk.read(log.file(ORDER, "o1", order("a", 1), version=1))
    assert desk.read([log.tick(START_MS + 10 * SETTLE_S * 1000)]) == []


# -- activations -------------------------------------------------------------------------------------------------


def test_an_activation_bears_on_every_key_of_its_join(desk: Desk, log: FactLog) -> None:
    for account in ("a", "b", "c"):
        desk.read(log.file(ORDER, f"o-{account}", order(account, 50)))
    outputs = desk.read([log.activate(card("SUM", limit=20), sequence=1)])
    assert [(one.view, one.state, one.said.position) for one in outputs] == [
        (f"account|{account}", "raised", at(log.last())) for account in ("a", "b", "c")
    ]


def test_switching_a_rule_off_takes_its_alerts_back_and_on_again_raises_them(
    desk: Desk, log: FactLog
) -> None:
    desk.read(log.file(ORDER, "o1", order("a", 101)))
    assert only(desk.read([log.activate(card("SUM"), 1, enabled=False)])).state == "withdrawn"
    assert desk.read(log.file(ORDER, "o2", order("a", 101))) == []
    assert only(desk.read([log.activate(card("SUM"), 2)])).state == "raised"


def test_a_withdrawal_says_that_the_rule_was_removed_and_why(desk: Desk, log: FactLog) -> None:
    raised = only(desk.read(log.file(ORDER, "o1", order("a", 101))))
    off = log.activate(card("SUM"), 1, enabled=False, reason="repealed")
    withdrawn = only(desk.read([off]))
    assert (withdrawn.id, withdrawn.state) == (raised.id, "withdrawn")
    assert withdrawn.content == {**raised.content, "reason": "rule_off: repealed"}
    again = only(desk.restarted().read([log.activate(card("SUM"), 2)]))
    assert again.content["reason"] == "suspicious", "rolling back is another activation"
    corrected = only(desk.restarted().read(log.file(ORDER, "o1", None, version=1)))
    assert corrected.content["reason"] == "suspicious", "here the record is the reason, not the rule"


@pytest.mark.parametrize("gone", ["its rule", "its join"])
def test_a_rule_whose_code_is_gone_is_taken_back_all_the_same(desk: Desk, log: FactLog, gone: str) -> None:
    """The tree that removes the code reads a log, and has a store, in which the rule still stood."""
    raised = desk.read(log.file(ORDER, "o1", order("a", 101)))
    assert states(raised) == [("SUM", "raised")]
    joins = [
        replace(join, rules=tuple(rule for rule in join.rules if rule.id != "SUM"), derivations=())
        for join in JOINS
        if gone == "its rule" or join.name != "account"
    ]

    def activate(value: bytes) -> ActiveRule | Elsewhere | str:
        activated = CODEC.activator()(value)
        if isinstance(activated, ActiveRule) and activated.rule.id == "SUM":
            return Elsewhere("SUM")
        return activated

    later = desk.restarted(joins=joins, activate=activate)
    assert later.read(log.file(ORDER, "o2", order("a", 5))) == [], "until the log says so, it is held"
    withdrawn = only(later.read([log.activate(card("SUM"), 1, enabled=False, reason="repealed")]))
    assert (withdrawn.id, withdrawn.state, withdrawn.said.position) == (
        raised[0].id,
        "withdrawn",
        at(log.last()),
    )
    assert withdrawn.content["reason"] == "rule_off: repealed"


@pytest.mark.parametrize("enabled", [True, False])
def test_an_activation_broadcast_again_or_late_changes_nothing(
    desk: Desk, log: FactLog, enabled: bool
) -> None:
    desk.read([log.activate(card("SUM", limit=10), 5)])
    only(desk.read(log.file(ORDER, "o1", order("a", 50))))
    for sequence in (5, 4, 0):
        assert desk.read([log.activate(card("SUM", limit=99), sequence, enabled=enabled)]) == []
    assert desk.restarted().read([log.activate(card("SUM", limit=99), 5, enabled=enabled)]) == []


def test_what_is_active_survives_a_restart(desk: Desk, log: FactLog) -> None:
    desk.read([log.activate(card("SUM", limit=10), 1), log.activate(card("NEGATIVE"), 2, enabled=False)])
    desk = desk.restarted()
    assert only(desk.read(log.file(ORDER, "o1", order("a", 50)))).said.owner == "SUM"
    desk.read(log.file(ORDER, "o2", order("b", -5)))
    assert desk.read([log.tick(START_MS + 10**9)]) == []


def test_facts_before_an_activation_in_one_batch_are_judged_without_it(desk: Desk, log: FactLog) -> None:
    batch = [
        *log.file(ORDER, "o1", order("a", 101)),
        log.activate(card("SUM", limit=200), 1),
    ]
    assert [one.state for one in desk.read(batch)] == ["raised", "withdrawn"]


def test_alerts_of_a_rule_whose_code_is_gone_are_held_and_taken_back_when_it_is_switched_off(
    desk: Desk, log: FactLog
) -> None:
    desk.read(log.file(ORDER, "o1", order("a", 101)))
    without = tuple(
        replace(join, rules=tuple(rule for rule in join.rules if rule.id != "SUM")) for join in JOINS
    )
    newer = desk.restarted(joins=without)
    assert newer.read(log.file(ORDER, "o2", order("a", 1))) == []
    taken_back = only(newer.read([log.activate(card("SUM"), 9, enabled=False)]))
    assert (taken_back.said.owner, taken_back.state) == ("SUM", "withdrawn")


# -- the memory of what was said ---------------------------------------------------------------------------------


def test_after_a_restart_nothing_is_said_twice(desk: Desk, log: FactLog) -> None:
    desk.read(log.file(ORDER, "o1", order("a", 101)))
    again = desk.restarted()
    assert again.read([log.append(*_copy(log.records[-1]))]) == []
    assert only(again.read(log.file(ORDER, "o1", None, version=1))).state == "withdrawn"


def _copy(raw: RawRecord) -> tuple[bytes, bytes, list[tuple[str, bytes | None]]]:
    return raw.key or b"", raw.value or b"", list(raw.headers)


def test_its_own_statement_read_back_is_nothing_new(desk: Desk, log: FactLog) -> None:
    output = only(desk.read(log.file(ORDER, "o1", order("a", 101))))
    assert not desk.judge.adopt(*said_by(output))
    assert desk.judge.evaluate() == []


def test_a_stale_statement_of_a_zombie_is_taken_back(desk: Desk, log: FactLog) -> None:
    """The zombie judged after the first order, this judge only after the correction: it never raised the alert."""
    zombie = Desk()
    zombie.read(log.records)
    first = log.file(ORDER, "o1", order("a", 101))
    said = only(zombie.read(first))
    assert desk.read([*first, *log.file(ORDER, "o1", order("a", 1), version=1)]) == []
    assert desk.judge.adopt(*said_by(said))
    withdrawn = only(desk.judge.evaluate())
    assert (withdrawn.id, withdrawn.state, withdrawn.said.position) == (said.id, "withdrawn", at(log.last()))


@pytest.mark.parametrize(("digest", "answer"), [("", "raised"), ("ab" * 32, "changed")])
def test_what_others_said_is_answered_beyond_their_position(
    desk: Desk, log: FactLog, digest: str, answer: str
) -> None:
    """As when judges with other code spoke. Consumers pass over what is not beyond the position that they hold."""
    output_id, view, said = said_by(only(desk.read(log.file(ORDER, "o1", order("a", 101)))))
    foreign = replace(said, position=said.position + 1, digest=digest)
    desk.read([log.tick(START_MS)])
    assert desk.judge.adopt(output_id, view, foreign)
    assert desk.judge.evaluate() == [], "the position of the last record read is taken"
    desk.read([*log.file(ORDER, "o2", order("b", 1)), log.tick(START_MS + 1)])
    desk.judge.adopt(output_id, view, replace(foreign, position=foreign.position + 1))
    answered = only(desk.judge.evaluate())
    assert (answered.state, answered.said.position) == (answer, at(log.last()))


def test_a_forged_alert_is_withdrawn_beyond_its_position(desk: Desk, log: FactLog) -> None:
    _, view, said = said_by(only(desk.read(log.file(ORDER, "o1", order("a", 101)))))
    desk.read([*log.file(ORDER, "o2", order("b", 1)), *log.file(ORDER, "o3", order("c", 1))])
    assert desk.judge.adopt("f" * 32, view, replace(said, position=at(log.last() - 1)))
    withdrawn = only(desk.judge.evaluate())
    assert (withdrawn.id, withdrawn.state, withdrawn.said.position) == ("f" * 32, "withdrawn", at(log.last()))


def test_a_statement_older_than_the_one_known_is_ignored(desk: Desk, log: FactLog) -> None:
    raised = only(desk.read(log.file(ORDER, "o1", order("a", 101))))
    withdrawn = only(desk.read(log.file(ORDER, "o1", None, version=1)))
    assert not desk.judge.adopt(*said_by(raised))
    assert not desk.judge.adopt(*said_by(withdrawn))
    assert desk.judge.evaluate() == []


def test_a_judge_behind_stays_silent_until_it_has_read_what_the_other_had(log: FactLog) -> None:
    ahead, behind = Desk(), Desk()
    ahead.read(log.activate_all())
    behind.read(log.records)
    first, second, third = (
        log.file(ORDER, "o1", order("a", 101)),
        log.file(ORDER, "o1", order("a", 1), version=1),
        log.file(ORDER, "o2", order("a", 200)),
    )
    said = only(ahead.read([*first, *second, *third]))
    assert behind.judge.adopt(*said_by(said))
    assert behind.judge.evaluate() == []
    assert behind.read(first) == []
    assert behind.read(second) == [], "what it would say is older than what was said"
    assert behind.read(third) == []
    changed = only(behind.read(log.file(ORDER, "o2", order("a", 300), version=1)))
    assert (changed.id, changed.state) == (said.id, "changed")


def test_silence_is_about_one_key_only(log: FactLog) -> None:
    ahead, behind = Desk(), Desk()
    ahead.read(log.activate_all())
    behind.read(log.records)
    facts = log.file(ORDER, "o1", order("a", 101)) + log.file(ORDER, "o2", order("b", 101))
    said = ahead.read(facts)
    behind.judge.adopt(*said_by(said[0]))
    assert only(behind.read(facts)).view == "account|b"


def test_a_judge_without_memory_learns_from_the_outputs_what_to_take_back(log: FactLog) -> None:
    first = Desk()
    first.read(log.activate_all())
    raised = only(first.read(log.file(ORDER, "o1", order("a", 101))))
    log.file(ORDER, "o1", order("a", 1), version=1)
    fresh = Desk()
    fresh.restore(log.records)
    fresh.judge.adopt(*said_by(raised))
    withdrawn = only(fresh.judge.evaluate())
    assert (withdrawn.id, withdrawn.state) == (raised.id, "withdrawn")
    assert withdrawn.content["explanation"]["en"] == "comes to 101"


def test_what_was_said_at_a_tick_counts_as_read_by_a_judge_that_only_restored_it(log: FactLog) -> None:
    """A restore merges without judging, so it cannot know which ticks bore on a key: what was said then tells."""
    log.activate_all()
    log.tick(START_MS)
    log.file(ORDER, "o1", order(None, 1, "x"))
    log.file(ORDER, "o2", order(None, 1, "x"), occurred_ms=START_MS - RECEIPT_WAIT_MS)
    zombie = Desk()
    phantom = only(zombie.read(log.records))
    log.file(ORDER, "o2", None, version=1)
    log.tick(DEADLINE_MS)
    first = Desk()
    raised = only(first.read(log.records))
    assert (phantom.content["subject"]["order"], raised.content["subject"]["order"]) == ("o2", "o1")

    fresh = Desk()
    fresh.restore(log.records)
    fresh.judge.adopt(*said_by(raised))
    assert fresh.judge.evaluate() == []
    fresh.judge.adopt(*said_by(phantom))
    withdrawn = only(fresh.judge.evaluate())
    assert (withdrawn.id, withdrawn.state) == (phantom.id, "withdrawn")


def test_what_a_judge_says_after_a_restore_has_the_position_that_it_had_before(log: FactLog) -> None:
    """A tick made two alerts due, and the log has only one of them."""
    log.activate_all()
    log.file(ORDER, "o1", order(None, 1, "x"))
    log.file(ORDER, "o2", order(None, 1, "x"))
    log.tick(DEADLINE_MS)
    first = Desk()
    arrived, lost = first.read(log.records)
    fresh = Desk()
    fresh.restore(log.records)
    fresh.judge.adopt(*said_by(arrived))
    again = only(fresh.judge.evaluate())
    assert (again.id, again.said.position, again.digest) == (lost.id, at(log.last()), lost.digest)


# -- restoring ---------------------------------------------------------------------------------------------------


def test_restoring_says_nothing_and_the_next_evaluation_says_what_is_missing(log: FactLog) -> None:
    log.activate_all()
    log.file(ORDER, "o1", order("a", 101))
    desk = Desk()
    desk.restore(log.records)
    output = only(desk.judge.evaluate())
    assert (output.state, output.said.position) == ("raised", at(log.last()))


def test_a_restored_key_wakes_at_its_deadline(log: FactLog) -> None:
    log.activate_all()
    log.file(ORDER, "o1", order(None, 1, "x"))
    desk = Desk()
    desk.restore(log.records)
    assert desk.judge.evaluate() == []
    assert only(desk.read([log.tick(DEADLINE_MS)])).state == "raised"


def test_a_restored_key_wakes_though_the_judge_died_before_it_first_judged(log: FactLog) -> None:
    log.activate_all()
    log.file(ORDER, "o1", order(None, 1, "x"))
    desk = Desk()
    desk.restore(log.records)
    assert only(desk.restarted().read([log.tick(DEADLINE_MS)])).state == "raised"


def test_an_adopted_statement_is_judged_though_the_judge_died_before_it_did(desk: Desk, log: FactLog) -> None:
    zombie = Desk()
    zombie.read(log.records)
    first = log.file(ORDER, "o1", order("a", 101))
    phantom = only(zombie.read(first))
    assert desk.read([*first, *log.file(ORDER, "o1", order("a", 1), version=1)]) == []
    desk.judge.adopt(*said_by(phantom))
    desk.judge.postpone()
    desk.commit()
    assert only(desk.restarted().judge.evaluate()).state == "withdrawn"


def test_what_was_judged_is_not_judged_again_after_a_restart(log: FactLog) -> None:
    log.activate_all()
    log.file(ORDER, "o1", order("a", 101))
    desk = Desk()
    desk.restore(log.records)
    only(desk.judge.evaluate())
    desk.commit()
    again = desk.restarted()
    outcomes: list[str] = []
    again.judge._judging = replace(
        again.judge._judging, on_outcome=lambda rule, outcome, reason: outcomes.append(rule)
    )
    assert again.judge.evaluate() == []
    assert outcomes == []


def test_restoring_in_pieces_is_restoring_at_once(log: FactLog) -> None:
    log.activate_all()
    _much(log)
    at_once, in_pieces = Desk(), Desk()
    at_once.restore(log.records)
    for raw in log.records:
        in_pieces.restore([raw])
        in_pieces = in_pieces.restarted()
    assert _contents(in_pieces.judge.evaluate()) == _contents(at_once.judge.evaluate()) != {}


def test_restored_and_read_judges_agree_about_everything(log: FactLog) -> None:
    log.activate_all()
    _much(log)
    reader, restorer = Desk(), Desk()
    for output in reader.read(log.records):
        restorer.judge.adopt(*said_by(output))
    restorer.restore(log.records)
    assert restorer.judge.evaluate() == []
    more = log.file(ORDER, "o3", order("a", 77, "x"), version=7)
    assert _contents(reader.read(more)) == _contents(restorer.read(more))


def _much(log: FactLog) -> None:
    """Orders that come, move, change and go, with time passing."""
    for number in range(8):
        log.file(
            ORDER, f"o{number}", order("ab"[number % 2], 30 * number, "x"), occurred_ms=START_MS + number
        )
    log.tick(DEADLINE_MS + 3)
    log.file(ORDER, "o7", order("a", -1), version=1)
    log.file(ORDER, "o6", None, version=1)
    log.activate(card("SUM", limit=40), 1)
    log.file(RECEIPT, "r1", {"items": ["x"]}, occurred_ms=START_MS + 5)
    log.tick(DEADLINE_MS + 1_000_000)


def _contents(outputs: list[Output]) -> dict[str, tuple[str, str]]:
    return {output.id: (output.state, output.digest) for output in outputs}


def _in_order(outputs: list[Output]) -> list[Output]:
    """Alerts of one moment have no order among themselves."""
    return sorted(outputs, key=lambda output: (output.said.position, output.id))


@pytest.mark.parametrize("cached", [0, 1, 2])
def test_the_size_of_the_cache_makes_no_difference(log: FactLog, cached: int) -> None:
    log.activate_all()
    _much(log)
    roomy, cramped, hurried = Desk(), Desk(cached=cached), Desk(cached=cached)
    for raw in log.records:
        assert _in_order(cramped.read([raw])) == _in_order(roomy.read([raw]))
    hurried.restore(log.records)
    roomy_again = Desk()
    roomy_again.restore(log.records)
    assert _in_order(hurried.judge.evaluate()) == _in_order(roomy_again.judge.evaluate())


@pytest.mark.parametrize("restores", [False, True])
def test_an_activation_does_not_bring_all_views_into_memory(
    log: FactLog, monkeypatch: pytest.MonkeyPatch, restores: bool
) -> None:
    log.activate_all()
    for number in range(60):
        log.file(ORDER, f"o{number}", order(f"a{number}", 101))
    desk, held, load = Desk(cached=10), list[int](), Judge._load
    desk.read(log.records)

    def counting(judge: Judge, view: str) -> Any:
        held.append(len(judge._cache))
        return load(judge, view)

    monkeypatch.setattr(Judge, "_load", counting)
    off = [log.activate(card("SUM"), sequence=9, enabled=False)]
    if restores:
        desk.restore(off)
    assert states(desk.read([] if restores else off)) == [("SUM", "withdrawn")] * 60
    assert len(held) >= 60 - 10
    assert max(held) <= 10 + 1


# -- generations -------------------------------------------------------------------------------------------------


def _second(log: FactLog, first: Desk, **more: Any) -> Desk:
    """A judge of the next generation over the same partition, which has read what the first one said."""
    second = Desk(generation=2, **more)
    second.take(log.records)
    for output in first.said:
        second.judge.adopt(*said_by(output))
    assert second.judge.evaluate() == []
    second.commit()
    return second


def test_a_new_generation_is_silent_until_it_takes_over_and_says_only_what_differs(
    desk: Desk, log: FactLog
) -> None:
    desk.read(log.file(ORDER, "o1", order("a", 101)))
    desk.read(log.file(ORDER, "o2", order("b", 101)))
    second = _second(log, desk)
    assert second.take(log.file(ORDER, "o3", order("c", 101))) == []
    assert second.take(log.file(ORDER, "o2", order("b", 1), version=1)) == []
    assert JudgeCore(second.judge, 0, CODEC.encode, CODEC.decode, lambda: 0).sweeping == ()
    second = second.restarted()
    said = second.read([log.take_over()])
    taken_over = position_of(2, log.last())
    assert [(one.view, one.state, one.said.position) for one in said] == [
        ("account|b", "withdrawn", taken_over),
        ("account|c", "raised", taken_over),
    ]
    assert second.read([log.take_over()]) == [], "told again, it says nothing again"
    again = second.restarted()
    assert only(again.read(log.file(ORDER, "o3", None, version=1))).state == "withdrawn", (
        "it goes on speaking"
    )


def test_what_a_generation_without_the_key_or_the_join_still_holds_is_withdrawn(
    desk: Desk, log: FactLog
) -> None:
    """Filed elsewhere now, or nowhere: the views hold nothing but what an earlier generation said."""
    desk.read(log.file(ORDER, "o1", order("a", 101)))
    other = FactLog()
    other.activate_all()
    second = Desk(generation=2)
    second.take(other.records)
    for output in desk.said:
        second.judge.adopt("f" * 32, "gone|x", replace(said_by(output)[2]))
        second.judge.adopt(*said_by(output))
    second.judge.postpone()
    second.commit()
    assert {(one.view, one.state) for one in second.restarted().read([other.take_over()])} == {
        ("account|a", "withdrawn"),
        ("gone|x", "withdrawn"),
    }


def test_late_words_of_an_earlier_generation_are_answered(desk: Desk, log: FactLog) -> None:
    desk.read(log.file(ORDER, "o1", order("a", 101)))
    second = _second(log, desk)
    log.take_over()
    second.read(log.records[-1:])
    late = only(desk.read(log.file(ORDER, "o1", None, version=1)))
    assert second.judge.adopt(*said_by(late))
    answered = only(second.judge.evaluate())
    assert (answered.id, answered.state) == (late.id, "raised"), "it has not read the withdrawal yet"
    assert answered.said.position > late.said.position
    assert only(second.read(log.records[-1:])).state == "withdrawn"


def test_an_earlier_generation_is_silent_on_keys_of_which_a_later_one_has_spoken(
    desk: Desk, log: FactLog
) -> None:
    desk.read(log.file(ORDER, "o1", order("a", 50)))
    second = _second(log, desk)
    second.take([log.take_over()])
    raised = only(second.read(log.file(ORDER, "o1", order("a", 101), version=1)))
    desk.judge.adopt(*said_by(raised))
    assert desk.read(log.file(ORDER, "o1", order("a", 7), version=2)) == []


def test_a_take_over_is_one_sweep_over_everything_whatever_was_to_be_swept_before(
    desk: Desk, log: FactLog
) -> None:
    desk.read(_accounts(log, 3))
    second = _second(log, desk)
    second.take([log.activate(card("SUM", limit=20), 1), log.take_over()])
    assert list(second.judge.sweeps.open) == [""]
    assert [one.view for one in second.sweep(99)] == ["account|a00", "account|a01", "account|a02"]
    assert list(second.judge.sweeps.open) == []


def test_timers_are_set_by_the_take_over(desk: Desk, log: FactLog) -> None:
    desk.read(log.file(ORDER, "o1", order(None, 1, "x")))
    second = _second(log, desk)
    assert second.read([log.take_over()]) == []
    assert only(second.read([log.tick(DEADLINE_MS)])).said.owner == "ABSENT"


# -- sweeps: judging again in the background ---------------------------------------------------------------------


def _accounts(log: FactLog, number: int, amount: int = 50) -> list[RawRecord]:
    return [raw for n in range(number) for raw in log.file(ORDER, f"o{n:02}", order(f"a{n:02}", amount))]


def test_an_activation_is_judged_some_keys_at_a_time(desk: Desk, log: FactLog) -> None:
    desk.read(_accounts(log, 5))
    assert desk.take([log.activate(card("SUM", limit=20), 1)]) == []
    activated = at(log.last())
    said = [desk.sweep(2) for _ in range(3)]
    assert [[one.view for one in some] for some in said] == [
        ["account|a00", "account|a01"],
        ["account|a02", "account|a03"],
        ["account|a04"],
    ]
    assert {one.said.position for some in said for one in some} == {activated}
    assert desk.judge.sweeps.open == ()
    assert desk.sweep(2) == []


def test_a_fresh_fact_is_judged_by_the_new_rule_though_the_sweep_has_not_come_to_its_key(
    desk: Desk, log: FactLog
) -> None:
    desk.read(_accounts(log, 3))
    desk.take([log.activate(card("SUM", limit=20), 1)])
    desk.sweep(1)
    fresh = only(desk.take(log.file(ORDER, "o02", order("a02", 60), version=1)))
    assert (fresh.view, fresh.state, fresh.said.position) == ("account|a02", "raised", at(log.last()))
    assert [one.view for one in desk.sweep(9)] == ["account|a01"], "what was said is not said again"


def test_a_sweep_goes_on_where_a_killed_judge_had_committed(desk: Desk, log: FactLog) -> None:
    desk.read(_accounts(log, 4))
    desk.take([log.activate(card("SUM", limit=20), 1)])
    assert [one.view for one in desk.sweep(2)] == ["account|a00", "account|a01"]
    desk.judge.rejudge(1)  # not committed, as by a judge that is killed
    assert [one.view for one in desk.restarted().sweep(9)] == ["account|a02", "account|a03"]


def test_another_activation_begins_the_sweep_again(desk: Desk, log: FactLog) -> None:
    desk.read(_accounts(log, 3))
    desk.take([log.activate(card("SUM", limit=20), 1)])
    assert len(desk.sweep(2)) == 2
    desk.take([log.activate(card("SUM", limit=70), 2)])
    assert [(one.view, one.state) for one in desk.sweep(9)] == [
        ("account|a00", "withdrawn"),
        ("account|a01", "withdrawn"),
    ]


def test_keys_that_are_not_yet_durable_are_swept_too(desk: Desk, log: FactLog) -> None:
    desk.judge.apply(_accounts(log, 2), lambda raw, error: pytest.fail(str(error)))
    desk.take([log.activate(card("SUM", limit=20), 1)])
    assert [one.view for one in desk.sweep(9)] == ["account|a00", "account|a01"]


def test_what_a_sweep_says_late_has_the_position_of_the_last_tick(desk: Desk, log: FactLog) -> None:
    """One position, one content: a judge that came to the key before the tick would have said something else."""
    desk.read([log.activate(card("ABSENT"), 1, enabled=False)])
    desk.read(log.file(ORDER, "o1", order(None, 1, "x")))
    desk.read([log.tick(START_MS)])
    desk.take([log.activate(card("ABSENT"), 2)])
    desk.take([log.tick(DEADLINE_MS)])
    ticked = at(log.last())
    again = desk.restarted()
    for one in (desk, again):
        raised = only(one.judge.rejudge(9))
        assert (raised.said.owner, raised.said.position) == ("ABSENT", ticked)


def test_a_key_that_the_sweep_passed_wakes_at_its_deadline(desk: Desk, log: FactLog) -> None:
    desk.read([log.activate(card("ABSENT"), 1, enabled=False)])
    desk.read(log.file(ORDER, "o1", order(None, 1, "x")))
    desk.take([log.activate(card("ABSENT"), 2)])
    assert desk.sweep(9) == []
    assert only(desk.take([log.tick(DEADLINE_MS)])).said.owner == "ABSENT"


def test_a_sweep_leaves_the_cache_to_the_views_that_facts_come_for(log: FactLog) -> None:
    log.activate_all()
    _accounts(log, 30)
    desk = Desk(cached=2)
    desk.read(log.records)
    hot = set(desk.judge._cache)
    desk.read([log.activate(card("SUM", limit=20), 1)])
    assert set(desk.judge._cache) == hot


def test_batches_that_are_sealed_but_not_committed_count(log: FactLog) -> None:
    """Pipelining: several batches under way, views evicted in between, the store far behind."""
    log.activate_all()
    _much(log)
    roomy, cramped = Desk(), Desk(cached=0)
    sealed = []
    for raw in log.records:
        outputs = cramped.judge.apply([raw], lambda raw, error: pytest.fail(str(error)))
        while cramped.judge.sweeps.open:
            outputs += cramped.judge.rejudge(1)
        sealed.append(cramped.store.seal(raw.offset + 1))
        assert _in_order(outputs) == _in_order(roomy.read([raw]))
    for one in sealed:
        cramped.store.commit(one)
    assert cramped.store.next_offset == len(log.records)
