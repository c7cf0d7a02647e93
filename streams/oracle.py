"""The oracle: the alert set as a batch computes it from the whole log, without any stream.

Group all records by join key, evaluate once, stratum by stratum. It shares with the stream only `evaluate_view`, the
joins' own functions (key selectors, contributions) and the guard that tells good records from bad ones; merging,
filing, folding, positions, timers and retraction are written here a second time, in the plainest way, so that a mistake
on either side shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streams.evaluation import ActiveRule, Evaluation, OutputKind, Proposal, evaluate_view
from streams.folds.recomputed import Recomputed
from streams.kernel import Join, Outcome, Source, Statement, View
from streams.records import JURISDICTION_UNKNOWN, Guard, Withdrawal, filing_keys
from xiezhi.contracts.naming import RELATION
from xiezhi.errors import BadRecordError
from xiezhi.log import RawRecord

#: Recursion of ownership ends at its stated depth; more rounds than joins plus that means a cycle of relations.
ROUNDS_MAX = 40


@dataclass(slots=True)
class Verdict:
    """What stands, according to the batch: alerts by id, relations by id, outcomes counted per rule and reason."""

    alerts: dict[str, Proposal] = field(default_factory=dict)
    relations: dict[str, Proposal] = field(default_factory=dict)
    outcomes: dict[tuple[str, Outcome, str], int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)  # reason -> records the guard did not admit


def judge_log(
    records: Iterable[RawRecord],
    joins: Sequence[Join],
    active: Mapping[str, ActiveRule],
    guard: Guard,
    now_ms: int,
) -> Verdict:
    """The alert set of a log: departments' records (no relations), the active rules and the largest tick."""
    verdict = Verdict()
    standing = _standing(records, joins, guard, verdict)
    relations: dict[str, Proposal] = {}
    answers = _Answers(joins, active, now_ms)
    for _ in range(ROUNDS_MAX):
        found = _judge(joins, [*standing, *map(_as_statement, relations.values())], answers)
        settled = {key: one.digest for key, one in found.relations.items()} == {
            key: one.digest for key, one in relations.items()
        }
        relations = found.relations
        if settled:
            found.refused = verdict.refused
            return found
    raise RuntimeError("relations do not settle: the joins feed each other in a circle")


def _standing(
    records: Iterable[RawRecord], joins: Sequence[Join], guard: Guard, verdict: Verdict
) -> list[Statement]:
    """Of each record the statement of highest rank; of equal ones the one that the log holds first."""
    best: dict[tuple[str, str], Statement | Withdrawal] = {}
    for raw in records:
        try:
            record = guard.admit(raw)
            if isinstance(record, Statement):
                for join in joins:
                    _keys(join, record)
        except BadRecordError as error:
            verdict.refused[error.reason] = verdict.refused.get(error.reason, 0) + 1
            continue
        slot = (record.record_type, record.record_id)
        other = best.get(slot)
        if (
            other is None
            or record.rank > other.rank
            or (record.rank == other.rank and record.source.offset < other.source.offset)
        ):
            best[slot] = record
    return [record for record in best.values() if isinstance(record, Statement)]


class _Answers:
    """Evaluates views; a view whose members are the same as in the round before has the same answer."""

    def __init__(self, joins: Sequence[Join], active: Mapping[str, ActiveRule], now_ms: int) -> None:
        self._joins = {join.name: join for join in joins}
        self._active, self._now_ms = active, now_ms
        self._known: dict[tuple[str, str], tuple[frozenset[tuple[str, str]], Evaluation]] = {}

    def of(self, place: tuple[str, str], members: Sequence[Statement]) -> Evaluation:
        content = frozenset((one.record_id, one.digest) for one in members)
        known = self._known.get(place)
        if known is None or known[0] != content:
            join = self._joins[place[0]]
            view = View(place[1], members) if join.fold is None else Recomputed(place[1], join.fold, members)
            evaluation = evaluate_view(join, view, self._active, self._now_ms)
            self._known[place] = known = (content, evaluation)
        return known[1]


def _judge(joins: Sequence[Join], statements: Iterable[Statement], answers: _Answers) -> Verdict:
    """One round: file every statement, evaluate every view once."""
    views: dict[tuple[str, str], list[Statement]] = {}
    for statement in statements:
        for join in joins:
            for key in _keys(join, statement):
                views.setdefault((join.name, key), []).append(statement)
    verdict = Verdict()
    for place, members in sorted(views.items()):
        result = answers.of(place, members)
        verdict.failed |= {f"{owner} at {'|'.join(place)}": why for owner, why in result.failed.items()}
        for outcome in result.outcomes:
            verdict.outcomes[outcome] = verdict.outcomes.get(outcome, 0) + 1
        for proposal in result.proposals.values():
            target = verdict.alerts if proposal.kind is OutputKind.ALERT else verdict.relations
            target[proposal.id] = proposal
    return verdict


def _keys(join: Join, statement: Statement) -> set[str]:
    """The keys under which a join files a statement; raises BadRecordError when one of them cannot be a key."""
    return {
        key
        for taken in join.inputs
        if taken.record_type == statement.record_type
        and (not taken.kind or taken.kind == statement.value["kind"])
        for key in filing_keys(taken.keys, statement)
    }


def _as_statement(relation: Proposal) -> Statement:
    """A relation as the statement that the stream would read back from the relation topic."""
    evidence = relation.evidence
    return Statement(
        record_type=RELATION,
        record_id=relation.id,
        version=0,
        occurred_ms=max((one.occurred_ms for one in evidence), default=0),
        event_id="",
        digest=relation.digest,
        value={
            **relation.content,
            "record_id": relation.id,
            "evidence": [one.as_reference() for one in evidence],
        },
        source=Source(RELATION, 0, 0, max((one.source.ingested_ms for one in evidence), default=0)),
        jurisdiction=relation.content["jurisdiction"] or JURISDICTION_UNKNOWN,
    )
