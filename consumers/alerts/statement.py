"""What the alert store holds: statements about alerts, and the filter people put on them.

`accept` decides, without any database, which statements of a batch take effect.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, FromClause, and_, true
from sqlalchemy.engine import RowMapping

from xiezhi.contracts.alert import Alert
from xiezhi.envelope import Envelope
from xiezhi.log import RawRecord
from xiezhi.telemetry.alert_spans import Said


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement about one alert, and where the log holds it."""

    alert: Alert
    event_id: str
    traceparent: str
    topic: str
    partition: int
    offset: int
    said_ms: int  # append time on the alert topic

    @classmethod
    def of(cls, alert: Alert, envelope: Envelope, record: RawRecord) -> Statement:
        return cls(
            alert=alert,
            event_id=envelope.event_id,
            traceparent=envelope.traceparent,
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            said_ms=record.ingested_ms,
        )

    @property
    def said(self) -> Said:
        """Its place in the log, as spans name it."""
        return Said(self.topic, self.partition, self.offset, self.event_id, self.said_ms)

    def to_row(self, seq: int, stored_ms: int) -> dict[str, Any]:
        alert = self.alert
        return {
            "seq": seq,
            "alert_id": alert.record_id,
            "position": alert.position,
            "state": alert.state,
            "severity": alert.severity,
            "handling": alert.handling,
            "rule_id": alert.rule_id,
            "jurisdiction": alert.jurisdiction,
            "occurred_ms": alert.times.occurred_ms,
            "ingested_ms": alert.times.ingested_ms,
            "judged_ms": alert.times.judged_ms,
            "said_ms": self.said_ms,
            "stored_ms": stored_ms,
            "topic": self.topic,
            "partition": self.partition,
            "offset": self.offset,
            "event_id": self.event_id,
            "traceparent": self.traceparent,
            "content": alert.model_dump_json(),
        }


@dataclass(frozen=True, slots=True)
class Stored:
    """An accepted statement as the store gives it back."""

    seq: int
    stored_ms: int
    statement: Statement

    @property
    def alert(self) -> Alert:
        return self.statement.alert

    @classmethod
    def from_row(cls, row: RowMapping) -> Stored:
        statement = Statement(
            alert=Alert.model_validate_json(row["content"]),
            event_id=row["event_id"],
            traceparent=row["traceparent"],
            topic=row["topic"],
            partition=row["partition"],
            offset=row["offset"],
            said_ms=row["said_ms"],
        )
        return cls(row["seq"], row["stored_ms"], statement)


@dataclass(frozen=True, slots=True)
class Filter:
    """Which alerts a reader asks for. An empty field means all; `jurisdiction` is the beginning of a code."""

    states: tuple[str, ...] = ()
    severities: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    handling: str = ""
    jurisdiction: str = ""

    def __str__(self) -> str:
        """The same text for the same filter, whatever the order in which it was written."""
        parts = {
            "state": ",".join(sorted(set(self.states))),
            "severity": ",".join(sorted(set(self.severities))),
            "rule": ",".join(sorted(set(self.rules))),
            "handling": self.handling,
            "jurisdiction": self.jurisdiction,
        }
        return " ".join(f"{name}={value}" for name, value in parts.items() if value) or "everything"

    def clause(self, table: FromClause) -> ColumnElement[bool]:
        """This filter over `alerts`, `alert_history` or an alias of them."""
        column = table.columns
        clauses: list[ColumnElement[bool]] = [true()]
        for name, values in (("state", self.states), ("severity", self.severities), ("rule_id", self.rules)):
            if values:
                clauses.append(column[name].in_(values))
        if self.handling:
            clauses.append(column.handling == self.handling)
        if self.jurisdiction:
            clauses.append(column.jurisdiction.startswith(self.jurisdiction, autoescape=True))
        return and_(*clauses)


def accept(held: Mapping[str, int], statements: Iterable[Statement]) -> list[Statement]:
    """The statements that take effect, in order: each beyond the position held for its alert by then.

    A withdrawal holds its position like any other statement, so nothing older can bring an alert back.
    """
    positions = dict(held)
    accepted = []
    for statement in statements:
        alert = statement.alert
        if alert.position > positions.get(alert.record_id, -1):
            positions[alert.record_id] = alert.position
            accepted.append(statement)
    return accepted
