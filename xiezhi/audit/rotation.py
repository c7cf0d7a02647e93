"""Changing the key of a log, and going on after a loss: a new log takes up where the old one ends (see `epoch`).

Every step can be repeated after a crash, with the same new key and folder.
"""

from __future__ import annotations

from pathlib import Path
from secrets import token_bytes

from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.disk import Disk
from xiezhi.audit.epoch import Closing, Opening
from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer, Verifier
from xiezhi.audit.reader import AuditLogReader
from xiezhi.audit.salts import SALT_BYTES
from xiezhi.errors import AuditFormatError, AuditProofError, AuditUnusableError


def rotate(
    old: AuditLog, old_reader: AuditLogReader, folder: Path, signer: Signer, *, disk: Disk | None = None
) -> AuditLog:
    """Close `old` and return the open log in `folder` that continues it under the new key.

    The last leaf of the old log names the new key; the first leaf of the new one holds the old one's last checkpoint.
    Both are published on return. Raises AuditUnusableError when the old log is closed in favour of another key.
    """
    if not old.is_closed:
        old.append([Closing(signer.verifier).to_bytes()], [token_bytes(SALT_BYTES)])
    final = old.publish()
    closing = Closing.parse(next(old_reader.entries(final.size - 1, final.size)))
    if closing.next != signer.verifier:
        raise AuditUnusableError(
            f"{old.origin} was closed in favour of the key {closing.next}; bring back that private key, or continue "
            "the log as one whose key is lost (`xiezhi audit rekey --lost-key`), which every later check will name"
        )
    return continue_log(Opening(old_reader.verifier, final), folder, signer, disk=disk)


def continue_log(opening: Opening, folder: Path, signer: Signer, *, disk: Disk | None = None) -> AuditLog:
    """A log in `folder` whose first leaf is `opening`, published. Alone when the old key or the end of its log is lost.

    `opening.last` should then be the greatest checkpoint that anybody has: what the old log held beyond is not proven.
    Raises AuditUnusableError when the folder holds another log.
    """
    try:
        log = AuditLog.create(folder, signer.name, signer, disk=disk)
    except AuditUnusableError:
        log = AuditLog.open(folder, signer, disk=disk)
    try:
        if not log.size:
            log.append([opening.to_bytes()], [token_bytes(SALT_BYTES)])
            log.publish()
        first = next(AuditLogReader(folder, signer.verifier, disk=disk).entries(0, 1))
        if first != opening.to_bytes():
            raise AuditUnusableError(f"{folder} holds another log; name a new folder")
    except BaseException:
        log.close()
        raise
    return log


def next_key(old: AuditLogReader) -> Verifier:
    """The key that the last leaf of a closed log names; verify the old log, or that leaf's proof, before trusting it.

    Raises AuditFormatError when the log is not closed.
    """
    size = old.latest().size
    if not size:
        raise AuditFormatError("an empty log is not closed")
    return Closing.parse(next(old.entries(size - 1, size))).next


def verify_continuation(new: AuditLogReader, last: SignedCheckpoint) -> Opening:
    """That `new` continues the log whose last checkpoint is `last`. Raises AuditProofError or AuditFormatError."""
    if not new.latest().size:
        raise AuditFormatError("an empty log continues nothing")
    opening = Opening.parse(next(new.entries(0, 1)))
    if opening.last.checkpoint != last.checkpoint:
        raise AuditProofError(
            f"{new.verifier.name} continues {opening.last.origin} after {opening.last.size} leaves with another root, "
            f"not {last.origin} after {last.size}"
        )
    return opening
