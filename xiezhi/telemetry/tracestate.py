"""When a record was sent, as a member of `tracestate`: `xz=<milliseconds since 1970 UTC>`.

The broker's append time says when a record arrived, not when its publisher let it go. A header of our own would do,
too, but W3C Trace Context (section 3.3) has this place for it, and every client that hands trace context on keeps it.
"""

from __future__ import annotations

from xiezhi.envelope import INSTANT_MS_MAX, TRACESTATE_BYTES_MAX

MEMBER = "xz="
#: Of the specification: members of a list, and the length past which a member is the first to go when room is short.
MEMBERS_MAX = 32
_LONG_MEMBER = 128


def with_sent_ms(tracestate: str, sent_ms: int) -> str:
    """`tracestate` with our member in front, where the specification wants the latest one.

    The caller's members stay in their order; what exceeds the limits goes, long members first, then from the end.
    """
    if not tracestate:
        return f"{MEMBER}{sent_ms}"
    others = [one for one in map(str.strip, tracestate.split(",")) if one and not one.startswith(MEMBER)]
    members = [f"{MEMBER}{sent_ms}", *others][:MEMBERS_MAX]
    if _length(members) > TRACESTATE_BYTES_MAX:
        members = [one for one in members if len(one) <= _LONG_MEMBER]
    while _length(members) > TRACESTATE_BYTES_MAX:
        members.pop()
    return ",".join(members)


def sent_ms(tracestate: str) -> int:
    """The instant in our member; 0 without one that can be read: it is a stranger's text."""
    if not tracestate:
        return 0
    if not tracestate.startswith(
        MEMBER
    ):  # publishers of ours put it in front; a hop may have put its own before it
        member = next((one.strip() for one in tracestate.split(",") if one.strip().startswith(MEMBER)), "")
    else:
        member, _, _ = tracestate.partition(",")
    digits = member.strip()[len(MEMBER) :]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        return 0
    instant = int(digits)
    return instant if instant <= INSTANT_MS_MAX else 0


def _length(members: list[str]) -> int:
    return sum(map(len, members)) + len(members) - 1
