"""Every checkpoint that a log ever signed, in order, in files of 1,024 records: `history/000`, `history/001`, …

A record is the checkpoint's note, as it was in place, and a line with its number, counted from 0, and a signature over
number and note: the tree commits to its leaves, but not to how often it was signed, so without the number a checkpoint
could be dropped unseen. Record 0 is the empty log. A record is durable here before its note becomes the log's
`checkpoint`, so nobody ever saw a checkpoint that the history could have lost. Any pager shows the files.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.disk import Disk
from xiezhi.audit.note import Signer, Verifier, decode_base64
from xiezhi.audit.tiles import index_path
from xiezhi.errors import AuditFormatError, AuditUnusableError

FOLDER = "history"
RECORDS_PER_FILE = 1_024
#: No record of ours is longer, so no power cut leaves more than this after the last whole one.
RECORD_BYTES_MAX = 4_096
_RECORD = re.compile(rb"([^\n]+\n[0-9]+\n[^\n]+\n\n\xe2\x80\x94 [^\n]+\n)([0-9]+) ([A-Za-z0-9+/=]+)\n")


def record_of(signed: SignedCheckpoint, number: int, signer: Signer) -> bytes:
    """The bytes to keep of checkpoint `number`."""
    signature = base64.b64encode(signer.signature(_sealed(number, signed.note)))
    return signed.note + str(number).encode() + b" " + signature + b"\n"


def open_record(record: bytes, number: int, verifier: Verifier) -> SignedCheckpoint:
    """The checkpoint of a record that must have this number. Raises AuditFormatError or AuditSignatureError."""
    matched = _RECORD.fullmatch(record)
    if matched is None or matched[2] != str(number).encode():
        raise AuditFormatError(
            f"it does not have the number {number}: checkpoints were dropped, added or reordered"
        )
    verifier.check(_sealed(number, matched[1]), decode_base64(matched[3].decode()))
    return SignedCheckpoint.open(matched[1], verifier)


def _sealed(number: int, note: bytes) -> bytes:
    """What the number's signature is over. No note has this text, so neither can be passed off as the other."""
    return b"xiezhi-history/v1\n%d\n%b" % (number, note)


def file_of(folder: Path, number: int) -> Path:
    """Where record `number` lies."""
    return folder / FOLDER / index_path(number // RECORDS_PER_FILE)


def split_records(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole records from the front, and the bytes after them, which are no whole record."""
    records, at = [], 0
    while matched := _RECORD.match(data, at):
        records.append(matched[0])
        at = matched.end()
    return records, data[at:]


def read_records(folder: Path, disk: Disk) -> Iterator[tuple[str, list[bytes], bytes]]:
    """(Path below the folder, whole records, bytes after them) of each file in order, up to the first missing one."""
    number = 0
    while True:
        path = file_of(folder, number)
        try:
            data = disk.read(path)
        except FileNotFoundError:
            return
        yield str(path.relative_to(folder)), *split_records(data)
        number += RECORDS_PER_FILE


@dataclass(slots=True)
class HistoryEnd:
    """Where the next record goes: after `count` records, at `offset` bytes of its file."""

    count: int = 0
    offset: int = 0

    def path(self, folder: Path) -> Path:
        return file_of(folder, self.count)

    def after(self, record: bytes) -> HistoryEnd:
        full = (self.count + 1) % RECORDS_PER_FILE == 0
        return HistoryEnd(self.count + 1, 0 if full else self.offset + len(record))


@dataclass(frozen=True, slots=True)
class Tail:
    """The records of the last files that hold any: `first` is the number of the first, `rest` what follows the last."""

    first: int
    records: list[bytes]
    rest: bytes

    def end_after(self, count: int) -> HistoryEnd:
        """Where a record goes after the first `count` of these."""
        number = self.first + count
        in_file = self.records[count - number % RECORDS_PER_FILE : count]
        return HistoryEnd(number, sum(map(len, in_file)))

    def length_after(self, count: int) -> int:
        """Bytes that follow the first `count` of these."""
        return sum(map(len, self.records[count:])) + len(self.rest)


def read_tail(folder: Path, disk: Disk) -> Tail:
    """Reads at most two files. Raises AuditUnusableError when a file that others follow is not complete."""
    files = 0
    while disk.length(file_of(folder, files * RECORDS_PER_FILE)):
        files += 1
    first = max(0, files - 2) * RECORDS_PER_FILE
    records: list[bytes] = []
    rest = b""
    for number in range(first, files * RECORDS_PER_FILE, RECORDS_PER_FILE):
        if number != first and (rest or len(records) != RECORDS_PER_FILE):
            raise AuditUnusableError(f"{file_of(folder, first)} is damaged after {len(records)} checkpoints")
        found, rest = split_records(disk.read(file_of(folder, number)))
        records += found
    return Tail(first, records, rest)
