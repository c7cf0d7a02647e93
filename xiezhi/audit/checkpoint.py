"""Checkpoints: what a log says of itself at one size, signed. C2SP tlog-checkpoint 1.0.0, in its strictest reading.

Text of three lines: origin, number of leaves, root in base64. Extension lines are refused, as nobody could audit them.
The origin is the name of the key that signs, so a key speaks for one log only.
"""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass

from xiezhi.audit.merkle import HASH_BYTES
from xiezhi.audit.note import Signer, Verifier, checked_name, decode_base64
from xiezhi.errors import AuditFormatError

_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")  # fewer than 2**63 leaves


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The log `origin` has `size` leaves, and their root is `root` (32 bytes)."""

    origin: str
    size: int
    root: bytes

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Raises AuditFormatError when the text is not a checkpoint in its one form."""
        lines = text.split("\n")
        if len(lines) != 4 or lines[3]:
            raise AuditFormatError("a checkpoint has three lines: origin, size, root")
        origin, size, root = lines[:3]
        if not _SIZE.fullmatch(size, 0) or not size.isascii():
            raise AuditFormatError(f"the size of a checkpoint is a plain number, not {size[:40]!r}")
        raw = decode_base64(root)
        if len(raw) != HASH_BYTES:
            raise AuditFormatError(f"the root of a checkpoint has {HASH_BYTES} bytes, not {len(raw)}")
        return cls(checked_name(origin), int(size), raw)

    def text(self) -> str:
        return f"{self.origin}\n{self.size}\n{base64.b64encode(self.root).decode()}\n"


@dataclass(frozen=True, slots=True)
class SignedCheckpoint:
    """A checkpoint whose signature was made here or verified. `note` are the bytes to keep and to hand on."""

    checkpoint: Checkpoint
    note: bytes

    @property
    def size(self) -> int:
        return self.checkpoint.size

    @property
    def root(self) -> bytes:
        return self.checkpoint.root

    @property
    def origin(self) -> str:
        return self.checkpoint.origin

    @classmethod
    def sign(cls, checkpoint: Checkpoint, signer: Signer) -> SignedCheckpoint:
        return cls(checkpoint, signer.sign(checkpoint.text()))

    @classmethod
    def open(cls, note: bytes, verifier: Verifier) -> SignedCheckpoint:
        """Raises AuditFormatError or AuditSignatureError; also when the key belongs to another log."""
        checkpoint = Checkpoint.parse(verifier.open(note))
        if checkpoint.origin != verifier.name:
            raise AuditFormatError(f"{verifier.name} signed a checkpoint of another log, {checkpoint.origin}")
        return cls(checkpoint, note)
