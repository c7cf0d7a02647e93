"""The consumer groups of the bus and what each must read: for whoever asks how far the bus is.

A service called `judge` consumes as group `xiezhi-judge`. Names of groups are shared like names of topics: nobody
else may use them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xiezhi.contracts.naming import ACCESS, ACTIVATION, ALERT, CASE, DEAD_LETTER, RELATION, fact_topic

ROUTER, JUDGE, ALERT_STORE, AUDIT = "xiezhi-router", "xiezhi-judge", "xiezhi-alert-store", "xiezhi-audit"
#: The part of a topic's name that stands for its department; the bus's own topics have this one.
BUS_OWNER = "xiezhi"

Inputs = Mapping[str, tuple[str, ...]]  # group -> topics


def owner_of(topic: str) -> str:
    """The department whose topic this is, or `xiezhi`."""
    return topic.partition(".")[0]


def inputs_of_groups(topics: Iterable[str], generation: int) -> dict[str, tuple[str, ...]]:
    """Every group that the bus can have, and what it reads of `topics` (departments', in their order) and the bus's."""
    departments = tuple(topic for topic in topics if owner_of(topic) != BUS_OWNER)
    return {
        ROUTER: (*departments, RELATION),
        JUDGE: (fact_topic(generation),),
        ALERT_STORE: (ALERT,),
        AUDIT: (*departments, ALERT, RELATION, ACTIVATION, DEAD_LETTER, ACCESS, CASE),
    }


def group_of(service: str) -> str:
    """The group as which a service consumes, if it consumes at all."""
    return f"xiezhi-{service}"


def service_of(group: str) -> str:
    return group.removeprefix("xiezhi-")
