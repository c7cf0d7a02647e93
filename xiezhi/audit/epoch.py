"""One log continued by another: when the key changes, or when the key or the end of a log was lost.

A log never changes its key. The old one is closed by a last leaf that names the key of the new one, so whoever trusts
the old key can come to trust the new one; the new one opens with a leaf that holds the last checkpoint of the old one,
so nothing can be appended to the old one afterwards without a contradiction. When the old key was lost, only the
opening leaf can be written, and the new key must be made known in another way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.note import Verifier
from xiezhi.errors import AuditFormatError

_VERSION = "xiezhi-epoch/v1\n"
_CLOSING = re.compile(rb"xiezhi-epoch/v1\nclosed\nnext ([^\n ]+)\n")
_OPENING = re.compile(rb"xiezhi-epoch/v1\nopened\nprevious ([^\n ]+)\n\n(.+)", re.S)


@dataclass(frozen=True, slots=True)
class Closing:
    """The last leaf of a log: `next` is the key of the log that continues it."""

    next: Verifier

    def to_bytes(self) -> bytes:
        return f"{_VERSION}closed\nnext {self.next}\n".encode()

    @classmethod
    def parse(cls, entry: bytes) -> Closing:
        """Raises AuditFormatError when the entry closes nothing."""
        matched = _CLOSING.fullmatch(entry)
        if matched is None:
            raise AuditFormatError("this leaf does not close a log")
        return cls(Verifier.parse(_text(matched[1])))


@dataclass(frozen=True, slots=True)
class Opening:
    """The first leaf of a log that continues another: its key, and its last checkpoint with the signature."""

    previous: Verifier
    last: SignedCheckpoint

    def to_bytes(self) -> bytes:
        return f"{_VERSION}opened\nprevious {self.previous}\n\n".encode() + self.last.note

    @classmethod
    def parse(cls, entry: bytes) -> Opening:
        """Raises AuditFormatError or AuditSignatureError when the entry opens nothing."""
        matched = _OPENING.fullmatch(entry)
        if matched is None:
            raise AuditFormatError("this leaf does not continue another log")
        previous = Verifier.parse(_text(matched[1]))
        return cls(previous, SignedCheckpoint.open(matched[2], previous))


def is_closing(entry: bytes) -> bool:
    """Whether nothing may follow this leaf."""
    return entry.startswith(_VERSION.encode() + b"closed\n")


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise AuditFormatError("a leaf between logs is UTF-8, this is not") from error
