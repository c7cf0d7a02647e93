"""The spans of statements that took effect: what their records tell of the way up to here, and the store's own.

The alert store tells them, not the judge: it has the record as the log has it, knows which statements took effect, and
nothing hot waits behind it. A store that is filled again tells the same spans with the same identifiers.
"""

from __future__ import annotations

from collections.abc import Callable

from consumers.alerts.statement import Statement
from xiezhi.telemetry.alert_spans import trace_of
from xiezhi.telemetry.alert_stages import record_stage
from xiezhi.telemetry.setup import Tracing, endpoint


def tell_nobody(statement: Statement, begun_ns: int) -> None:
    """For whoever traces nothing."""


def teller(traced: Tracing) -> Callable[[Statement, int], None]:
    """What tells of a statement and of the nanosecond at which storing it began.

    Without an endpoint the spans up to the alert are not told: `xiezhi trace` computes them from the record.
    """
    whole = bool(endpoint())

    def tell(statement: Statement, begun_ns: int) -> None:
        if whole:
            traced.tell(trace_of(statement.alert, statement.said).spans)
        record_stage("store", statement.alert, statement.said, statement.traceparent, start_ns=begun_ns)

    return tell
