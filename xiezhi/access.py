"""The access trail: every act on evidence or on the bus itself leaves a record `xiezhi.access.v1`, before it is done.

Fail closed: whoever shows content or changes something calls `record_access` first, and goes on only once it returned.
Acts on the broker are recorded on the broker; reading the alert store also works without one, through the outbox of
`consumers/alerts/outbox.py`. A record names who, what, why and when, and nothing of what was seen.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from urllib.parse import quote
from uuid import uuid4

from pydantic import ValidationError

from xiezhi.contracts.access import OBJECTS_MAX, Access, Action
from xiezhi.errors import AccessRefusedError, XiezhiError
from xiezhi.settings import Settings
from xiezhi.wall_clock import now_ms

SOURCE = "urn:xiezhi:access"
#: An access concerns the bus, not a place.
JURISDICTION = "000000000000"
#: What stands for a purpose that was not stated, and for an object where there was none.
UNSTATED, NO_OBJECT = "unstated", "-"
#: How long a person waits for the broker before the act is refused.
_DELIVERY_TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Act:
    """What is about to be done: `command` as typed without arguments, e.g. `alerts show`; ids are opaque."""

    action: Action
    object_type: str
    object_ids: tuple[str, ...]
    command: str


def record_access(settings: Settings, act: Act, *, purpose: str = "") -> None:
    """Put `act` on the trail; durable on the broker when this returns. Blocks, at most about 20 s.

    `purpose` is why, "" takes XIEZHI_PURPOSE. Raises AccessRefusedError, upon which nothing may be shown or done.
    """
    records = accesses(settings, act, purpose=purpose, now_ms=now_ms())
    with refusing(act):
        publish_accesses(settings, records)


def publish_accesses(settings: Settings, records: tuple[Access, ...]) -> None:
    """Durable on the broker when this returns; raises XiezhiError."""
    from xiezhi.contracts.bus import (
        ACCESS,
    )  # these load the client, which reading a local database never needs
    from xiezhi.publish import Publisher

    with Publisher(settings, source=SOURCE, delivery_timeout_s=_DELIVERY_TIMEOUT_S) as publisher:
        for one in records:
            publisher.publish(ACCESS, one, occurred_ms=one.accessed_ms, jurisdiction=JURISDICTION)


@contextmanager
def refusing(act: Act) -> Iterator[None]:
    """Turns whatever kept an access from being recorded into AccessRefusedError."""
    try:
        yield
    except XiezhiError as error:
        raise AccessRefusedError(
            f"`{act.command}` is refused, since the access cannot be recorded: {error}"
        ) from error


def accesses(
    settings: Settings,
    act: Act,
    *,
    purpose: str,
    now_ms: int,
    new_id: Callable[[], str] = lambda: f"acs_{uuid4().hex}",
) -> tuple[Access, ...]:
    """The records of one act: one, or one for every 1,000 objects. Raises AccessRefusedError without a due purpose."""
    stated = purpose_of(settings, act.command, purpose)
    try:
        return tuple(
            Access(
                record_id=new_id(),
                actor=actor_of(settings),
                action=act.action,
                object_type=act.object_type,
                object_id=ids[0] if ids else NO_OBJECT,
                purpose=stated,
                accessed_ms=now_ms,
                object_ids=list(ids) if len(ids) > 1 else [],
                command=act.command,
                account=account_name(),
            )
            for ids in _portions(act.object_ids)
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise AccessRefusedError(
            f"`{act.command}` is refused, since its access record would break its contract: {where}: {first['msg']}"
        ) from error


def purpose_of(settings: Settings, command: str, purpose: str) -> str:
    """Why: `purpose`, else XIEZHI_PURPOSE, else `unstated`. Raises AccessRefusedError where one must be stated."""
    stated = purpose.strip() or settings.purpose.strip()
    if settings.purpose_required and not stated:
        raise AccessRefusedError(
            f"`{command}` needs a purpose here: state it with --purpose or XIEZHI_PURPOSE"
        )
    return stated or UNSTATED


def _portions(ids: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for start in range(0, max(len(ids), 1), OBJECTS_MAX):
        yield ids[start : start + OBJECTS_MAX]


def actor_of(settings: Settings) -> str:
    """Who acts: XIEZHI_ACTOR (a URN, or the name of a user), else the account of the operating system."""
    named = settings.actor.strip() or account_name()
    return named if named.startswith("urn:") else f"urn:xiezhi:user:{quote(named, safe='@._-')}"


def account_name() -> str:
    """Name of the account that this process runs under, as the kernel says: LOGNAME and USER can be set by anyone."""
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's number without a name
        return f"uid-{os.getuid()}"
