"""The consumer groups of the bus and what each must read: for whoever asks how far the bus is.

A service called `judge` consumes as group `xiezhi-judge`. Names of groups are shared like names of topics: nobody
else may use them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from xiezhi.contracts.naming import ACCESS, ACTIVATION, ALERT, CASE, DEAD_LETTER, RELATION, fact_topic

ROUTER, JUDGE, ALERT_STORE, AUDIT = "xiezhi-router", "xiezhi-judge", "xiezhi-alert-store", "xiezhi-audit"
#: A group without members: the judge commits as it the offset up to which activations are judged on every key.
REJUDGED = "xiezhi-rejudged"
#: The part of a topic's name that stands for its department; the bus's own topics have this one.
BUS_OWNER = "xiezhi"

Inputs = Mapping[str, tuple[str, ...]]  # group -> topics


def of_generation(name: str, generation: int) -> str:
    """A group or a folder as one generation of the fact topic has it; the first generation adds nothing to names."""
    return name if generation == 1 else f"{name}.g{generation}"


def owner_of(topic: str) -> str:
    """The department whose topic this is, or `xiezhi`."""
    return topic.partition(".")[0]


def inputs_of_groups(topics: Iterable[str], generation: int) -> dict[str, tuple[str, ...]]:
    """Every group that the bus can have, and what it reads of `topics` (departments', in their order) and the bus's."""
    departments = tuple(topic for topic in topics if owner_of(topic) != BUS_OWNER)
    return {
        of_generation(ROUTER, generation): (*departments, RELATION),
        of_generation(JUDGE, generation): (fact_topic(generation),),
        ALERT_STORE: (ALERT,),
        AUDIT: (*departments, ALERT, RELATION, ACTIVATION, DEAD_LETTER, ACCESS, CASE),
    }


def group_of(service: str) -> str:
    """The group as which a service consumes, if it consumes at all."""
    return f"xiezhi-{service}"


def service_of(group: str) -> str:
    return group.removeprefix("xiezhi-").partition(".")[0]
