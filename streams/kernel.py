"""The vocabulary of the streaming joins: statements, views, joins, rules, findings. Pure.

Nothing here knows Kafka, clocks, files or logging, and neither may the joins and rules written against it: an
answer depends on a view, parameters and `now` alone, so that the stream and the batch oracle cannot disagree.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction
from functools import cached_property
from operator import attrgetter, itemgetter
from typing import Any, Final, NamedTuple, Protocol, TypeVar

from xiezhi.contracts.naming import RELATION

Value = Mapping[str, Any]


class Source(NamedTuple):
    """Where the log holds a record: the address that evidence names. `ingested_ms` is the broker's append time."""

    topic: str
    partition: int
    offset: int
    ingested_ms: int


@dataclass(slots=True)
class Statement:
    """What a department says about one business object, as it stands in a view.

    Every record read becomes one, so it is the type checker that keeps it frozen: assignments that are guarded as the
    program runs make it take three times as long.
    """

    record_type: Final[str]  # topic of the contract
    record_id: Final[str]
    version: Final[int]
    occurred_ms: Final[int]
    event_id: Final[str]
    digest: Final[str]  # SHA-256 of the value bytes, hex
    value: Final[Value]
    source: Final[Source]
    jurisdiction: Final[str]
    traceparent: Final[str] = ""
    sent_ms: Final[int] = 0  # when the publisher sent it; 0: it did not say
    routed_ms: Final[int] = 0  # when the router filed it; 0: unknown
    rests_on: tuple[Evidence, ...] | None = field(default=None, init=False, repr=False, compare=False)

    @property
    def rank(self) -> tuple[int, int, str, str]:
        """Of two statements about one record the one with the greater rank stands."""
        return (self.version, self.occurred_ms, self.event_id, self.digest)

    def __getitem__(self, name: str) -> Any:
        return self.value[name]


_IN_VIEW = attrgetter("occurred_ms", "record_type", "record_id")
_Read = TypeVar("_Read")


class View:
    """Everything that stands under one key of one join, in a fixed order (occurred, type, record id)."""

    __slots__ = ("_by_type", "_read", "key", "statements")

    def __init__(self, key: str, statements: Iterable[Statement]) -> None:
        self.key = key
        self.statements = tuple(self._in_order(statements))
        self._by_type: defaultdict[str, list[Statement]] = defaultdict(list)
        for statement in self.statements:
            self._by_type[statement.record_type].append(statement)
        self._read: dict[Callable[[View], Any], Any] = {}

    @staticmethod
    def _in_order(statements: Iterable[Statement]) -> Iterable[Statement]:
        return sorted(statements, key=_IN_VIEW)

    def of(self, record_type: str) -> Sequence[Statement]:
        """Statements of one record type (a topic name from the catalogue)."""
        return self._by_type.get(record_type, ())

    def relations(self, kind: str) -> Sequence[Statement]:
        """Derived records of one kind."""
        return [s for s in self.of(RELATION) if s.value["kind"] == kind]

    def once(self, read: Callable[[View], _Read]) -> _Read:
        """What the pure function `read` makes of this view, made once for all rules that begin with it."""
        if read not in self._read:
            self._read[read] = read(self)
        found: _Read = self._read[read]
        return found


Number = int | Fraction  # what aggregates add up: exact, so that no order of adding makes a difference


@dataclass(frozen=True, slots=True)
class Totals:
    """How many contributions lie within bounds, and what they come to."""

    count: int
    sum: Number


class FoldView(Protocol):
    """What a rule sees of one key of a fold join: aggregates by name, and a few of the records behind them.

    Bounds are half-open, `low` <= number < `high`; None is no bound. With n records under the key every call costs
    O(log n), `ranked` O(log n + limit) and `days` O(log n + days). Raises KeyError for a name that the fold does not
    declare.
    """

    @property
    def key(self) -> str: ...

    @property
    def records(self) -> int:
        """How many records stand under the key."""
        ...

    @property
    def unfolded(self) -> int:
        """How many of them have no contribution because telling it failed: no rule speaks while there are any."""
        ...

    def sum(self, name: str) -> Number:
        """Of a SUM."""
        ...

    def distinct(self, name: str) -> int:
        """Of a DISTINCT: the number of different texts."""
        ...

    def within(self, name: str, low: Number | None = None, high: Number | None = None) -> Totals:
        """Of a MULTISET, or of the days of a PER_DAY."""
        ...

    def days(
        self, name: str, low: int | None = None, high: int | None = None
    ) -> Sequence[tuple[int, Totals]]:
        """Of a PER_DAY: the days within the bounds that have contributions, in order."""
        ...

    def quantile(
        self, name: str, share: Fraction, low: Number | None = None, high: Number | None = None
    ) -> Number | None:
        """Of a MULTISET, by Hyndman and Fan's definition 8, exactly; None where nothing lies within the bounds."""
        ...

    def ranked(
        self,
        name: str,
        limit: int,
        *,
        low: Number | None = None,
        high: Number | None = None,
        descending: bool = False,
    ) -> Sequence[Statement]:
        """Of a RANKED: the first `limit` records within the bounds by (number, record type, record id)."""
        ...


class Outcome(StrEnum):
    """What a rule says about a view."""

    HIT = "HIT"  # looks wrong
    CLEAR = "CLEAR"  # looked, nothing wrong
    NOT_APPLICABLE = "NOT_APPLICABLE"  # the rule does not speak about such a view
    INSUFFICIENT_DATA = "INSUFFICIENT_DATA"  # it would, but records are missing


class Tier(StrEnum):
    """How surely two records mean the same person or unit."""

    T1 = "T1"  # same official identifier
    T2 = "T2"  # two independent attributes
    T3 = "T3"  # name only: a hint, never an alert


@dataclass(frozen=True, slots=True)
class Evidence:
    """One record that a finding rests on, and which of its fields mattered."""

    record_type: str
    record_id: str
    version: int
    event_id: str
    digest: str
    source: Source
    occurred_ms: int
    fields: tuple[str, ...]
    traceparent: str = ""
    # A router that starts over files a record again, later: the same evidence, however it is reached.
    sent_ms: int = field(default=0, compare=False)
    routed_ms: int = field(default=0, compare=False)

    @classmethod
    def of(cls, statement: Statement, *fields: str) -> Evidence:
        return cls(
            record_type=statement.record_type,
            record_id=statement.record_id,
            version=statement.version,
            event_id=statement.event_id,
            digest=statement.digest,
            source=statement.source,
            occurred_ms=statement.occurred_ms,
            fields=fields,
            traceparent=statement.traceparent,
            sent_ms=statement.sent_ms,
            routed_ms=statement.routed_ms,
        )

    def as_reference(self) -> dict[str, Any]:
        """As the alert and relation contracts carry it (EvidenceRef)."""
        return {
            "record_type": self.record_type,
            "record_id": self.record_id,
            "version": self.version,
            "event_id": self.event_id,
            "digest": self.digest,
            "topic": self.source.topic,
            "partition": self.source.partition,
            "offset": self.source.offset,
            "ingested_ms": self.source.ingested_ms,
            "occurred_ms": self.occurred_ms,
            "fields": list(self.fields),
            "traceparent": self.traceparent,
            "sent_ms": self.sent_ms,
            "routed_ms": self.routed_ms,
        }

    @classmethod
    def through(cls, relation: Statement) -> tuple[Evidence, ...]:
        """The records that a relation rests on; a relation itself is never evidence."""
        if relation.rests_on is None:  # read once: a view is evaluated again with every record that joins it
            relation.rests_on = tuple(map(cls._of_reference, relation.value["evidence"]))
        return relation.rests_on

    @classmethod
    def _of_reference(cls, ref: Mapping[str, Any]) -> Evidence:
        return cls(
            record_type=ref["record_type"],
            record_id=ref["record_id"],
            version=ref["version"],
            event_id=ref["event_id"],
            digest=ref["digest"],
            source=Source(ref["topic"], ref["partition"], ref["offset"], ref["ingested_ms"]),
            occurred_ms=ref["occurred_ms"],
            fields=tuple(ref["fields"]),
            traceparent=ref["traceparent"],
            sent_ms=ref.get("sent_ms", 0),  # relations of earlier versions have neither
            routed_ms=ref.get("routed_ms", 0),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing a rule says about a view. Only a HIT may become an alert.

    `subject` names what the finding is about (e.g. {"contract_id": …}); with rule id and join key it makes the
    alert id, so it must not contain anything that a correction of the same matter would change. `numbers` fill
    the card's explanation; keys ending in `_minor` are money in the currency of `numbers["currency"]`, `_ms` instants,
    `_on` days, `_permille` shares.
    `established_ms` is the ingestion time from which the HIT stands, for settle times: it must not move when evidence
    joins a HIT that stands (default: newest evidence, for rules whose evidence cannot grow).
    `wake_at_ms`: the answer may change at this instant without any new record.
    """

    outcome: Outcome
    reason: str
    subject: Mapping[str, str] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()
    numbers: Mapping[str, int | str] = field(default_factory=dict)
    tier: Tier = Tier.T1
    jurisdiction: str = ""
    office: str = ""  # OrganisationId of the unit whose superior or own office is responsible; "" if unknown
    established_ms: int | None = None
    wake_at_ms: int | None = None

    @property
    def stands_since_ms(self) -> int:
        """Where a settle time begins."""
        if self.established_ms is not None:
            return self.established_ms
        return max((evidence.source.ingested_ms for evidence in self.evidence), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Derived:
    """A record that follows from a view and travels on to other joins as a relation.

    `identity` with derivation name and join key makes the relation id. `attributes` are what selectors and rules read.
    """

    kind: str
    identity: tuple[str, ...]
    attributes: Mapping[str, str]
    evidence: tuple[Evidence, ...]
    jurisdiction: str = ""
    valid_from_ms: int | None = None
    valid_to_ms: int | None = None
    depth: int = 0


class Parameters:
    """Effective-dated, jurisdiction-dependent parameters of one rule card."""

    __slots__ = ("_entries",)

    def __init__(self, entries: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
        # Of the most specific jurisdiction the newest first, of equals the one named first: the first that applies is
        # in force.
        self._entries = {
            name: sorted(map(_entry, settings), key=itemgetter(0, 1), reverse=True)
            for name, settings in entries.items()
        }

    def at(self, name: str, when_ms: int | None = None, jurisdiction: str = "") -> Any:
        """The value in force at `when_ms` (None: the newest) for the most specific jurisdiction prefix.

        Raises KeyError when the card does not define `name` for that instant: a mistake in the card, not in data.
        """
        for _, from_ms, prefix, value in self._entries[name]:
            if (when_ms is None or from_ms <= when_ms) and jurisdiction.startswith(prefix):
                return value
        raise KeyError(f"parameter {name!r} has no value at {when_ms} for {jurisdiction!r}")


def _entry(setting: Mapping[str, Any]) -> tuple[int, int, str, Any]:
    """(length of the jurisdiction prefix, since when, prefix, value) of one setting."""
    prefix = setting.get("jurisdiction", "")
    return len(prefix), setting.get("from_ms", -(2**62)), prefix, setting["value"]


Selector = Callable[[Value], Iterable[str]]
#: What these take first is a View, or the FoldView of a fold join: the mode of the join that they are written for.
Evaluate = Callable[[Any, Parameters, int], Iterable[Finding]]
Derive = Callable[[Any, Mapping[str, Sequence[Finding]]], Iterable[Derived]]
Contribute = Callable[[Statement], Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Input:
    """One record type that a join takes, and the keys under which it files a record. `kind` narrows relations."""

    record_type: str
    keys: Selector
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """A pure function with the id of its card. What it is given, a view or a fold view, its join's mode says."""

    id: str
    evaluate: Evaluate


@dataclass(frozen=True, slots=True)
class Derivation:
    """Derives relations of `kind` from a view and from the findings of the join's rules (by rule id).

    `by_depth`: the join takes its own relations back, and those of depth d + 1 rest on those of depth d alone.
    """

    name: str
    kind: str
    derive: Derive
    by_depth: bool = False


class Aggregate(StrEnum):
    """What a fold keeps of the contributions of one name. None of them depends on order, repeats or corrections."""

    SUM = "sum"  # contributions: numbers
    PER_DAY = "per_day"  # (day, number) pairs; how many and their sum, of a span of days or day by day
    DISTINCT = "distinct"  # texts; how many different ones
    MULTISET = "multiset"  # numbers; how many and their sum within bounds, quantiles
    RANKED = "ranked"  # numbers; the records themselves in that order, for evidence


@dataclass(frozen=True, slots=True)
class Fold:
    """The mode of a join whose keys have unbounded histories: its view is aggregates, not all that stands.

    `contribute` is pure and gives what one statement adds, by name of aggregate; a name left out adds nothing.
    """

    aggregates: Mapping[str, Aggregate]
    contribute: Contribute

    def contribution_of(self, statement: Statement) -> dict[str, Any] | None:
        """What `statement` adds; None when `contribute` raises, or gives what its aggregate cannot take."""
        try:
            given = self.contribute(statement)
            return {name: _checked(self.aggregates[name], value) for name, value in given.items()}
        except Exception:  # noqa: BLE001 -- plug-in code, as rules are: the view says that it failed, nothing else stops
            return None


def exact(number: Number) -> Number:
    """A whole number as an integer, so that equal numbers are written alike. Raises TypeError for anything inexact."""
    if type(number) is int:
        return number
    if not isinstance(number, Fraction):
        raise TypeError(f"aggregates add up integers and fractions, not {type(number).__name__}")
    return number.numerator if number.denominator == 1 else number


def _checked(aggregate: Aggregate, value: Any) -> Any:
    if aggregate is Aggregate.DISTINCT:
        if not isinstance(value, str):
            raise TypeError(f"a text was expected, not {type(value).__name__}")
        return value
    if aggregate is Aggregate.PER_DAY:
        day, number = value
        if type(day) is not int:
            raise TypeError(f"days are integers, not {type(day).__name__}")
        return [day, exact(number)]
    return exact(value)


@dataclass(frozen=True, kw_only=True)
class Join:
    """Records brought together under shared keys, with the rules and derivations that look at them.

    Without `fold` it is a timeline: its view holds everything that stands under a key, and is evaluated in O(n).

    A timeline with more than `statements_max` statements, or a derivation with more than `fanout_max` results, has one
    deterministic outcome ("too many to judge"), never "the first N". Relations by depth are counted per depth.
    """

    name: str
    inputs: tuple[Input, ...]
    rules: tuple[Rule, ...] = ()
    derivations: tuple[Derivation, ...] = ()
    fold: Fold | None = None
    statements_max: int = 20_000
    fanout_max: int = 5_000

    @cached_property
    def recursive_kinds(self) -> frozenset[str]:
        """Kinds of the relations that the join takes back from itself."""
        return frozenset(derivation.kind for derivation in self.derivations if derivation.by_depth)
