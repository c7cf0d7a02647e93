"""A span as a value: what is computed from an alert, drawn in a terminal, and read back from the local store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

Attribute = str | bool | int | float

#: The stages of a record, then of the alert that rests on it.
Stage = Literal["publish", "route", "judge", "alert", "store", "deliver", "acknowledge"]
STAGES: tuple[Stage, ...] = get_args(Stage)
#: Of OpenTelemetry, those in use here.
Kind = Literal["INTERNAL", "CLIENT", "PRODUCER", "CONSUMER"]
#: The attribute that names the stage.
STAGE = "xiezhi.stage"


class Context(NamedTuple):
    """What names a span everywhere: 32 and 16 lower-case hexadecimal digits, not all zero."""

    trace_id: str
    span_id: str

    def traceparent(self, *, sampled: bool = True) -> str:
        """The W3C header of version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{int(sampled):02x}"


def parse(traceparent: str) -> tuple[Context, bool] | None:
    """(context, sampled) of a traceparent as `Envelope` lets through; None for "" and for anything else."""
    version, _, rest = traceparent.partition("-")
    if len(traceparent) != 55 or version != "00" or rest.count("-") != 2:
        return None
    trace_id, span_id, flags = rest.split("-")
    return Context(trace_id, span_id), bool(int(flags, 16) & 1)


@dataclass(frozen=True, slots=True)
class Link:
    """A span in another trace that this one rests on."""

    context: Context
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class StageSpan:
    """One stage of one record or alert. Instants are nanoseconds since 1970 UTC; `parent_id` is "" at a root."""

    name: str
    kind: Kind
    service: str
    context: Context
    parent_id: str
    start_ns: int
    end_ns: int
    attributes: Mapping[str, Attribute]
    links: tuple[Link, ...] = ()

    @property
    def stage(self) -> str:
        return str(self.attributes.get(STAGE, ""))
