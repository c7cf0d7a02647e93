"""The judge: keeps every view of one fact partition, and says what changed. Pure of Kafka.

`apply` takes facts, ticks and activations in offset order, merges them, evaluates each touched view once and returns
the statements to send. What was said before is remembered per alert and relation (`said`), together with its
*position*: the offset of the last fact, tick or activation that bears on the key. On a key the judge stays silent
until it has reached the position already said, and then speaks only if the content differs. So other batch
boundaries, replays and late writes of a zombie worker cannot change what finally stands.
"""

from __future__ import annotations

import heapq
import json
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streams.evaluation import ActiveRule, Elsewhere, Evaluation, OutputKind, evaluate_view
from streams.fact_rows import Fact, Rank, row_of
from streams.facts import (
    ACTIVATION_KEY,
    TAKE_OVER_KEY,
    TICK_KEY,
    Filing,
    sequence_of,
    split_filing,
    tick_of,
    view_name,
)
from streams.folds.state import DEFAULT_BOUNDS, Bounds, Folds
from streams.kernel import FoldView, Join, Statement, View
from streams.sweeps import Sweeps
from xiezhi.contracts.naming import ACTIVATION
from xiezhi.envelope import Envelope
from xiezhi.errors import BadRecordError, UnknownSchemaError, UnregisteredSubjectError
from xiezhi.log import RawRecord
from xiezhi.store import KeyedStore
from xiezhi.telemetry.tracestate import sent_ms

#: Views kept decoded per partition. Without a bound memory grows with the number of keys; a miss costs ~10 µs.
VIEWS_CACHED_MAX = 50_000

#: The reason of a withdrawal because the rule was switched off; what its activation gives as reason follows.
RULE_OFF = "rule_off"

_CONTROL, _TIMERS, _UNJUDGED = b"#control", b"#timers", b"#unjudged"
_META, _FACT, _SAID = b"m", b"f", b"s"
_TAKEN_OVER = b"taken-over"
_NOW, _TICKED, _ACTIVATION, _OUTPUT_NEXT = b"now", b"ticked", b"activation|", b"output|"
#: Bits of a position that hold the offset; the generation is above them, and both fit a 53-bit record version.
_OFFSET_BITS = 44

Decode = Callable[[str, bytes], Mapping[str, Any]]
Activate = Callable[[bytes], ActiveRule | Elsewhere | str]


def position_of(generation: int, offset: int) -> int:
    """(generation, offset) as one growing integer: the version of a relation, the order of statements on an alert."""
    return generation << _OFFSET_BITS | offset


@dataclass(frozen=True, slots=True)
class Said:
    """The last statement about one alert or relation.

    `content` is JSON of what was said, kept while it stands so that a withdrawal can repeat what it takes back.
    """

    kind: OutputKind
    owner: str
    position: int
    digest: str  # "" once withdrawn
    content: str

    @property
    def stands(self) -> bool:
        return bool(self.digest)

    def to_bytes(self) -> bytes:
        return json.dumps([self.kind, self.owner, self.position, self.digest, self.content]).encode()

    @classmethod
    def from_bytes(cls, row: bytes) -> Said:
        kind, owner, position, digest, content = json.loads(row)
        return cls(OutputKind(kind), owner, position, digest, content)


@dataclass(frozen=True, slots=True)
class Output:
    """One statement for the alert or relation topic. `state` is raised, changed or withdrawn."""

    id: str
    view: str
    said: Said
    state: str
    digest: str  # of the content, also of what a withdrawal takes back
    content: Mapping[str, Any]
    evidence: tuple[Mapping[str, Any], ...]
    occurred_ms: int
    ingested_ms: int
    routed_ms: int
    traceparent: str


@dataclass(frozen=True, slots=True)
class _Body:
    """What a statement says, or takes back."""

    state: str
    digest: str
    content: Mapping[str, Any]
    evidence: tuple[Mapping[str, Any], ...]


@dataclass(slots=True)
class _Held:
    """One record as it stands under a key; `statement` is None when it has left."""

    rank: Rank
    offset: int
    statement: Statement | None


@dataclass(slots=True)
class _Key:
    """A view, decoded: what stands, what was said, the position reached and when to look again."""

    held: dict[tuple[str, str], _Held] = field(default_factory=dict)
    said: dict[str, Said] = field(default_factory=dict)
    position: int = -1
    wake_at_ms: int | None = None
    routed_ms: int = 0
    traceparent: str = ""


@dataclass(frozen=True, slots=True)
class Judging:
    """What a judge is made of; shared by all partitions of a worker."""

    joins: Sequence[Join]
    decode: Decode
    activate: (
        Activate  # activation bytes -> active rule, or one without its code here, or the id of one now off
    )
    generation: int
    on_outcome: Callable[[str, str, str], None] = lambda rule, outcome, reason: None
    on_failure: Callable[[str, str, str], None] = lambda owner, view, error: None
    views_cached_max: int = VIEWS_CACHED_MAX
    fold_bounds: Bounds = DEFAULT_BOUNDS


class Judge:
    """Judges one fact partition. `store` holds views, what was said, timers, ticks and activations."""

    def __init__(self, judging: Judging, store: KeyedStore) -> None:
        self._judging = judging
        self._joins = {join.name: join for join in judging.joins}
        self._cache: OrderedDict[str, _Key] = OrderedDict()
        self._folds = Folds(judging.joins, store, self._statement_of, judging.fold_bounds)
        self.store = store
        control = store.load(_CONTROL)
        self.now_ms = int(control.get(_NOW, b"0"))
        self._ticked = int(control.get(_TICKED, b"-1"))  # position of the tick that said so
        taken_over = control.get(_TAKEN_OVER)
        self._speaks = judging.generation == 1 or taken_over is not None
        self._active: dict[str, ActiveRule] = {}
        self._elsewhere: set[str] = set()  # rules that speak with code that is not here
        self._off: dict[str, str] = {}  # rules that were switched off, and why
        self._sequences: dict[str, int] = {}  # rule id -> which activation is in force
        self._bearing: dict[str, int] = {}  # join ("": all) -> position of what bears on all of its keys
        if taken_over is not None:
            self._bearing[""] = int(taken_over)
        for row, value in control.items():
            if row.startswith(_ACTIVATION):
                position, sequence, raw = value.split(b";", 2)
                self._install(row.removeprefix(_ACTIVATION).decode(), raw, int(position), int(sequence))
        self._timers = [_timer_from_row(row) for row in store.load(_TIMERS)]
        heapq.heapify(self._timers)
        self._reached = position_of(judging.generation, store.next_offset) - 1  # of the last record read
        self._sweeps = Sweeps(store)
        self._controls: Mapping[bytes | None, Callable[[RawRecord], None]] = {
            TICK_KEY: self._tick,
            ACTIVATION_KEY: self._activation,
            TAKE_OVER_KEY: self._take_over,
        }
        self._dirty: dict[str, None] = {}
        self._postponed = {row.decode(): None for row in store.load(_UNJUDGED)}

    # -- input ---------------------------------------------------------------------------------------------------

    def apply(
        self, records: Iterable[RawRecord], bad: Callable[[RawRecord, BadRecordError], None]
    ) -> list[Output]:
        """Merge and judge records in offset order; a record that breaks its contract goes to `bad`.

        Ticks and activations divide the batch: what came before them is evaluated before them, so that an answer
        depends on the log alone and not on where a batch happened to end.
        """
        outputs: list[Output] = []
        for raw in records:
            if raw.key in self._controls:
                outputs += self.evaluate()
            self._take(raw, bad)
        return outputs + self.evaluate()

    def restore(self, records: Iterable[RawRecord]) -> None:
        """Merge without evaluating: the touched keys are left for the next `evaluate`."""
        for raw in records:
            self._take(raw, lambda *_: None)  # it went to the dead letters when it was first read
        self.postpone()

    def postpone(self) -> None:
        """Leave the touched keys for the next `evaluate`, durably with the current batch: a judge that dies before it
        would otherwise never set their timers, nor take back what a zombie said about them."""
        self._folds.flush()
        for view in self._dirty:
            key = self._cache.get(view)  # no other view has changed in memory
            if key is not None:
                self._write_meta(view, key)  # so that it may leave the cache before it is evaluated
            if view not in self._postponed and self._speaks:
                self.store.put(_UNJUDGED, view.encode(), b"")
        if self._speaks:  # else the take-over will bear on all of them
            self._postponed.update(self._dirty)
        self._dirty.clear()
        self._shrink()

    def _take(self, raw: RawRecord, bad: Callable[[RawRecord, BadRecordError], None]) -> None:
        try:
            self._controls.get(raw.key, self._merge)(raw)
        except BadRecordError as error:
            bad(raw, error)
        self._reached = position_of(self._judging.generation, raw.offset)

    def _merge(self, raw: RawRecord) -> None:
        header, headers = split_filing(raw.headers)
        if raw.key is None or header is None or raw.value is None:
            raise BadRecordError("not_a_fact", "a fact has a key, a value and a filing header")
        fact = Fact(header, Filing.from_bytes(header), Envelope.from_headers(headers), raw.value)
        view = _view(raw.key)
        key = self._key(view)
        if self._folds.takes(view):
            self._folds.merge(view, fact, self._first_seen)
        else:
            self._hold(view, key, fact)
        key.position = position_of(self._judging.generation, raw.offset)
        key.routed_ms, key.traceparent = fact.filing.routed_ms, fact.envelope.traceparent
        self._dirty[view] = None

    def _hold(self, view: str, key: _Key, fact: Fact) -> None:
        """Let `fact` stand for its record in a timeline if it outranks what does."""
        slot = fact.slot
        held = key.held.get(slot)
        if held is None or fact.replaces(held.rank, held.offset):
            statement = self._first_seen(fact) if fact.is_present else None
            key.held[slot] = _Held(fact.rank, fact.filing.source.offset, statement)
            self.store.put(view.encode(), row_of(_FACT, slot), fact.to_bytes())

    def _first_seen(self, fact: Fact) -> Statement:
        """The statement in a fact that the router need not have written: anybody's bytes. Raises BadRecordError."""
        try:
            return self._statement_of(fact)
        except UnknownSchemaError as error:
            raise BadRecordError("unknown_schema", str(error)) from error
        except UnregisteredSubjectError as error:
            raise BadRecordError("not_a_fact", "the topic that it names has no contract") from error

    def _statement_of(self, fact: Fact) -> Statement:
        filing, envelope = fact.filing, fact.envelope
        return Statement(
            record_type=filing.source.topic,
            record_id=envelope.subject,
            version=envelope.version,
            occurred_ms=envelope.occurred_ms,
            event_id=envelope.event_id,
            digest=filing.digest,
            value=self._judging.decode(filing.source.topic, fact.value),
            source=filing.source,
            jurisdiction=envelope.jurisdiction,
            traceparent=envelope.traceparent,
            sent_ms=sent_ms(envelope.tracestate),
            routed_ms=filing.routed_ms,
        )

    def _tick(self, raw: RawRecord) -> None:
        now_ms = tick_of(raw)
        if now_ms <= self.now_ms:
            return  # a second clock, or one whose machine's time stepped back: now is the largest tick
        self.now_ms, self._ticked = now_ms, position_of(self._judging.generation, raw.offset)
        self.store.put(_CONTROL, _NOW, str(now_ms).encode())
        self.store.put(_CONTROL, _TICKED, str(self._ticked).encode())
        while self._timers and self._timers[0][0] <= now_ms:
            at_ms, view = heapq.heappop(self._timers)
            self.store.put(_TIMERS, _timer_row(at_ms, view), None)
            key = self._key(view)
            if key.wake_at_ms == at_ms:
                key.wake_at_ms = None
                key.position = position_of(self._judging.generation, raw.offset)
                self._dirty[view] = None

    def _take_over(self, raw: RawRecord) -> None:
        """From here on this generation speaks. It compares every key with what was said."""
        if self._speaks:
            return  # broadcast again, or the first generation, which nobody has to wait for
        self._speaks = True
        self._bearing[""] = position_of(self._judging.generation, raw.offset)
        self.store.put(_CONTROL, _TAKEN_OVER, str(self._bearing[""]).encode())
        self._sweeps.begin(b"", raw.offset)

    def _activation(self, raw: RawRecord) -> None:
        value, sequence = raw.value or b"", sequence_of(raw.headers)
        activated = self._judging.activate(value)
        rule_id = _rule_id(activated)
        if sequence <= self._sequences.get(rule_id, -1):
            return  # broadcast again, or late by a second clock: what is in force is newer
        position = position_of(self._judging.generation, raw.offset)
        row = b"%d;%d;%s" % (position, sequence, value)
        self.store.put(_CONTROL, _ACTIVATION + rule_id.encode(), row)
        self._install(rule_id, value, position, sequence)
        for name in self._joins_of(rule_id):
            self._sweeps.begin(f"{name}|".encode() if name else b"", raw.offset)

    def _install(self, rule_id: str, value: bytes, position: int, sequence: int) -> None:
        activated = self._judging.activate(value)
        self._active.pop(rule_id, None)
        self._elsewhere.discard(rule_id)
        self._off.pop(rule_id, None)
        if isinstance(activated, Elsewhere):
            self._elsewhere.add(rule_id)
        elif isinstance(activated, str):
            self._off[rule_id] = str(self._judging.decode(ACTIVATION, value)["reason"])
        else:
            self._active[rule_id] = activated
        self._sequences[rule_id] = sequence
        for name in self._joins_of(rule_id):
            self._bearing[name] = max(position, self._bearing.get(name, -1))

    def _joins_of(self, rule_id: str) -> list[str]:
        """Names of the joins in which a rule speaks; "" stands for all, where its code is gone but not what it said."""
        joins = self._judging.joins
        return [join.name for join in joins if any(rule.id == rule_id for rule in join.rules)] or [""]

    # -- what was said -------------------------------------------------------------------------------------------

    def knows(self, output_id: str, view: str, position: int) -> bool:
        """Whether what was said there of an alert or relation is known: it was said here, or somebody answered it."""
        known = self._key(view).said.get(output_id)
        return known is not None and position <= known.position

    def adopt(self, output_id: str, view: str, said: Said) -> bool:
        """Take note of a statement read from an output topic; True if it was not ours, so its key is to be judged."""
        if self.knows(output_id, view, said.position):
            return False
        self._remember(view, self._key(view), output_id, said)
        self._dirty[view] = None
        return True

    def outputs_read(self, topic: str) -> int:
        """The next offset to read of this partition of an output topic."""
        return int(self.store.get(_CONTROL, _OUTPUT_NEXT + topic.encode()) or b"0")

    def note_outputs_read(self, topic: str, next_offset: int) -> None:
        """Remember how far this partition of an output topic was read; durable with the current batch."""
        self.store.put(_CONTROL, _OUTPUT_NEXT + topic.encode(), str(next_offset).encode())

    def _remember(self, view: str, key: _Key, output_id: str, said: Said) -> None:
        key.said[output_id] = said
        self.store.put(view.encode(), _SAID + output_id.encode(), said.to_bytes())

    # -- evaluation ----------------------------------------------------------------------------------------------

    def evaluate(self) -> list[Output]:
        """Evaluate every touched key once and return what changed; nothing before this generation speaks."""
        if not self._speaks:
            self.postpone()
            return []
        self._folds.flush()
        outputs: list[Output] = []
        if len(self._dirty) > self._judging.views_cached_max:
            self.postpone()  # a tick may wake every key: not all of them at once in memory
        for view in self._dirty:
            outputs += self._evaluate(view)
        for view in self._postponed:
            self.store.put(_UNJUDGED, view.encode(), None)
            if view not in self._dirty:
                outputs += self._evaluate(view)
                self._shrink()  # after a restore these may be all keys there are
        self._dirty.clear()
        self._postponed.clear()
        self._shrink()
        return outputs

    @property
    def speaks(self) -> bool:
        """Whether this generation has taken over from the one before."""
        return self._speaks

    @property
    def sweeps(self) -> Sweeps:
        """Which views are still to be judged again, and why."""
        return self._sweeps

    def rejudge(self, views_max: int) -> list[Output]:
        """Judge the next views of an open sweep again and return what changed; nothing when none is open."""
        outputs: list[Output] = []
        found = self._sweeps.next(views_max)
        if found is None:
            return outputs
        for view in found.views:
            was_cached = view in self._cache
            outputs += self._evaluate(view)
            if not was_cached:
                self._cache.pop(view, None)  # or views that facts come for would have to make room
        self._sweeps.passed(found)
        return outputs

    def _evaluate(self, view: str) -> list[Output]:
        join_name, _, join_key = view.partition("|")
        join, key = self._joins.get(join_name), self._key(view)
        result = Evaluation()  # of a join that is no more nothing stands
        if join is not None:
            seen: View | FoldView
            if self._folds.takes(view):
                seen = self._folds.view(view)
            else:
                statements = [held.statement for held in key.held.values() if held.statement is not None]
                seen = View(join_key, statements)
            result = evaluate_view(join, seen, self._active, self.now_ms, self._elsewhere)
        for rule_id, outcome, reason in result.outcomes:
            self._judging.on_outcome(rule_id, outcome, reason)
        for owner, error in result.failed.items():
            self._judging.on_failure(owner, view, error)
        self._keep(view, key, result.wake_at_ms)
        if not key.said and not result.proposals:
            return []
        last_said = max((said.position for said in key.said.values()), default=-1)
        if self._must_wait(last_said):
            return []
        position = self._position(join_name, key, last_said)
        if self._sweeps.is_ahead(view):
            # No timer stands yet to tell which tick bears on the key: the last may.
            position = max(position, self._ticked)
        return [
            *self._raise_or_change(view, key, position, result),
            *self._withdraw(view, key, position, result),
        ]

    def _position(self, join_name: str, key: _Key, last_said: int) -> int:
        """Of the last record that bears on a key.

        Who spoke last about the key knew one; a restore, which does not judge, cannot tell it of a tick.
        """
        everywhere = self._bearing.get("", -1)
        return max(key.position, self._bearing.get(join_name, -1), everywhere, last_said)

    def _beyond(self, known: Said | None, position: int) -> int | None:
        """Where a statement takes effect: `position`, unless the one known has it, since nobody hears a second there.

        Judges with the same code say the same at the same position. What others said there is answered at the last
        record read, which bears on every key in so far as the answer takes it into account; None: not even there yet.
        """
        if known is None or known.position < position:
            return position
        return self._reached if known.position < self._reached else None

    def _must_wait(self, last_said: int) -> bool:
        """More was said about a key than has been read here: silence until that is reached."""
        return last_said > self._reached

    def _raise_or_change(self, view: str, key: _Key, position: int, result: Evaluation) -> Iterable[Output]:
        for proposal in result.proposals.values():
            known = key.said.get(proposal.id)
            if known is not None and known.digest == proposal.digest:
                continue
            state = "changed" if known is not None and known.stands else "raised"
            evidence = tuple(one.as_reference() for one in proposal.evidence)
            body = {"content": proposal.content, "evidence": evidence}
            at = self._beyond(known, position)
            if at is None:
                continue
            said = Said(proposal.kind, proposal.owner, at, proposal.digest, json.dumps(body))
            yield self._say(
                view, key, proposal.id, said, _Body(state, proposal.digest, proposal.content, evidence)
            )

    def _withdraw(self, view: str, key: _Key, position: int, result: Evaluation) -> Iterable[Output]:
        for output_id, known in list(key.said.items()):
            is_held = known.owner in result.failed or known.owner in self._elsewhere
            if known.stands and output_id not in result.proposals and not is_held:
                at = self._beyond(known, position)
                if at is None:
                    continue
                body = json.loads(known.content)
                said = Said(known.kind, known.owner, at, "", "")
                content = self._with_reason(known, body["content"])
                taken_back = _Body("withdrawn", known.digest, content, tuple(body["evidence"]))
                yield self._say(view, key, output_id, said, taken_back)

    def _with_reason(self, known: Said, content: Mapping[str, Any]) -> Mapping[str, Any]:
        """What a withdrawal takes back; why, where it is that the rule no longer speaks."""
        if known.kind is OutputKind.ALERT and known.owner in self._off:
            why = self._off[known.owner]
            return {**content, "reason": f"{RULE_OFF}: {why}" if why else RULE_OFF}
        return content

    def _say(self, view: str, key: _Key, output_id: str, said: Said, body: _Body) -> Output:
        self._remember(view, key, output_id, said)
        return Output(
            id=output_id,
            view=view,
            said=said,
            state=body.state,
            digest=body.digest,
            content=body.content,
            evidence=body.evidence,
            occurred_ms=max((one["occurred_ms"] for one in body.evidence), default=0),
            ingested_ms=max((one["ingested_ms"] for one in body.evidence), default=0),
            routed_ms=key.routed_ms,
            traceparent=key.traceparent,
        )

    def _keep(self, view: str, key: _Key, wake_at_ms: int | None) -> None:
        """Write the position reached and the timer of a key."""
        if wake_at_ms != key.wake_at_ms:
            if key.wake_at_ms is not None:
                self.store.put(_TIMERS, _timer_row(key.wake_at_ms, view), None)
            if wake_at_ms is not None:
                self.store.put(_TIMERS, _timer_row(wake_at_ms, view), b"")
                heapq.heappush(self._timers, (wake_at_ms, view))
            key.wake_at_ms = wake_at_ms
        self._write_meta(view, key)

    def _write_meta(self, view: str, key: _Key) -> None:
        wake = "" if key.wake_at_ms is None else str(key.wake_at_ms)
        meta = f"{key.position};{wake};{key.routed_ms};{key.traceparent}"
        self.store.put(view.encode(), _META, meta.encode())

    # -- views ---------------------------------------------------------------------------------------------------

    def _key(self, view: str) -> _Key:
        key = self._cache.get(view)
        if key is None:
            key = self._cache[view] = self._load(view)
        else:
            self._cache.move_to_end(view)
        return key

    def _load(self, view: str) -> _Key:
        key = _Key()
        for row, value in self.store.load(view.encode()).items():
            if row == _META:
                position, wake, routed_ms, key.traceparent = value.decode().split(";")
                key.position, key.routed_ms = int(position), int(routed_ms)
                key.wake_at_ms = int(wake) if wake else None
            elif row.startswith(_SAID):
                key.said[row[1:].decode()] = Said.from_bytes(value)
            else:
                fact = Fact.from_bytes(value)
                statement = self._statement_of(fact) if fact.is_present else None
                key.held[fact.slot] = _Held(fact.rank, fact.filing.source.offset, statement)
        return key

    def _shrink(self) -> None:
        """Forget the views used longest ago; their rows are in the store or, uncommitted, in its overlay."""
        while len(self._cache) > self._judging.views_cached_max:
            self._cache.popitem(last=False)


def _rule_id(activated: ActiveRule | Elsewhere | str) -> str:
    if isinstance(activated, str):
        return activated
    return activated.rule_id if isinstance(activated, Elsewhere) else activated.rule.id


def _view(key: bytes) -> str:
    try:
        return view_name(key.decode())
    except ValueError as error:
        raise BadRecordError("not_a_fact", f"its key names no view: {error}") from error


def _timer_row(at_ms: int, view: str) -> bytes:
    return at_ms.to_bytes(8, "big") + view.encode()


def _timer_from_row(row: bytes) -> tuple[int, str]:
    return int.from_bytes(row[:8], "big"), row[8:].decode()
