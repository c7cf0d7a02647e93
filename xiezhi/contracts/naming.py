"""The naming rule for topics, and the names of the bus's own topics.

A topic is `<owner>.<record>.v<major>`, one record type each. Departments' topics are declared in the project's
catalogue; the names below belong to the bus. No other module may spell a topic name.
"""

from __future__ import annotations

import re

_TOPIC = re.compile(r"[a-z][a-z0-9-]*\.[a-z][a-z0-9-]*\.[vg][1-9][0-9]*")

ALERT = "xiezhi.alert.v1"
RELATION = "xiezhi.relation.v1"
ACTIVATION = "xiezhi.activation.v1"
DEAD_LETTER = "xiezhi.dead-letter.v1"
ACCESS = "xiezhi.access.v1"
CASE = "xiezhi.case.v1"
CHECKPOINT = "xiezhi.checkpoint.v1"


def topic_name(owner: str, record: str, major: int) -> str:
    """`<owner>.<record>.v<major>`; raises ValueError when a part breaks the rule."""
    name = f"{owner}.{record}.v{major}"
    if not _TOPIC.fullmatch(name):
        raise ValueError(f"{name!r} is not a topic name of the form <owner>.<record>.v<major>")
    return name


def is_topic_name(name: str) -> bool:
    """Whether a topic that a broker has can be one of the bus's."""
    return _TOPIC.fullmatch(name) is not None


def fact_topic(generation: int) -> str:
    """The fact topic of one generation: `xiezhi.fact.g<generation>`."""
    return f"xiezhi.fact.g{generation}"
