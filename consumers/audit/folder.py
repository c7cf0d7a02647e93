"""Where the audit logs of this site are, and their keys: one log after the other, each with a key of its own.

    <data dir>/audit/1/           the first log (tiles, entries, salts, history)
    <data dir>/audit/1.pub        its public key, to be handed to whoever will check receipts
    <key dir>/1.key               its private key, for the owner alone; the key dir is <data dir>/audit/keys by default
    <data dir>/audit/index.sqlite3

A log is continued by another one when its key changes or was lost (`rekey`); the number of the last one is the newest.
"""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.epoch import Opening
from xiezhi.audit.files import CHECKPOINT
from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer, Verifier
from xiezhi.audit.reader import AuditLogReader
from xiezhi.audit.rotation import continue_log, rotate
from xiezhi.errors import AuditStorageError, AuditUnusableError, ConfigurationError
from xiezhi.settings import Settings


@dataclass(frozen=True, slots=True)
class AuditFolder:
    """The logs below `path`, their keys below `keys`."""

    path: Path
    keys: Path

    @classmethod
    def of(cls, settings: Settings) -> AuditFolder:
        path = settings.data_dir / "audit"
        return cls(path, settings.audit_key_dir or path / "keys")

    @property
    def index(self) -> Path:
        return self.path / "index.sqlite3"

    def log(self, number: int) -> Path:
        return self.path / str(number)

    def public_key(self, number: int) -> Path:
        return self.path / f"{number}.pub"

    def private_key(self, number: int) -> Path:
        return self.keys / f"{number}.key"

    def numbers(self) -> list[int]:
        """The logs that exist, oldest first."""
        found = (each.stem for each in self.path.glob("*.pub")) if self.path.is_dir() else ()
        return sorted(
            int(name) for name in found if name.isdigit() and (self.log(int(name)) / CHECKPOINT).exists()
        )

    def newest(self) -> int:
        """Raises ConfigurationError when there is none."""
        numbers = self.numbers()
        if not numbers:
            raise ConfigurationError(f"there is no audit log in {self.path}; run `xiezhi audit init` first")
        return numbers[-1]

    def verifier(self, number: int) -> Verifier:
        """The public key of a log. Raises AuditError."""
        path = self.public_key(number)
        try:
            return Verifier.parse(path.read_text("utf-8").removesuffix("\n"))
        except (OSError, UnicodeDecodeError) as error:
            raise AuditUnusableError(f"cannot read the public key {path}: {error}") from error

    def reader(self, number: int) -> AuditLogReader:
        return AuditLogReader(self.log(number), self.verifier(number))

    def readers(self) -> dict[int, AuditLogReader]:
        """Every log by its number."""
        return {number: self.reader(number) for number in self.numbers()}

    def open(self, number: int, *, at_least: SignedCheckpoint | None = None) -> AuditLog:
        """A log for appending. Raises AuditUnusableError."""
        return AuditLog.open(self.log(number), Signer.read(self.private_key(number)), at_least=at_least)

    def create_first(self, origin: str = "") -> Verifier:
        """The first log, with a key of its own; returns its public key. Goes on where an earlier attempt ended."""
        signer = self._key(1, f"{origin or f'xiezhi-{secrets.token_hex(4)}'}/1")
        if not (self.log(1) / CHECKPOINT).exists():
            AuditLog.create(self.log(1), signer.name, signer).close()
        return signer.verifier

    def continue_(self, last: SignedCheckpoint | None, *, lost_key: bool) -> Verifier:
        """A new log with a new key that continues the newest one, which is closed unless its key was lost.

        `last` is its last checkpoint as known from elsewhere, when that is beyond what is in the folder.
        """
        number = self.to_continue()
        reader, folder = self.reader(number), self.log(number + 1)
        signer = self._key(number + 1, f"{reader.verifier.name.rpartition('/')[0]}/{number + 1}")
        if lost_key:
            latest = reader.latest()
            known = last if last is not None and last.size > latest.size else latest
            continue_log(Opening(reader.verifier, known), folder, signer).close()
        else:
            with self.open(number, at_least=last) as old:
                try:
                    rotate(old, reader, folder, signer).close()
                except AuditUnusableError as error:
                    raise AuditUnusableError(
                        f"{error}; its place is {self.private_key(number + 1)}"
                    ) from error
        return signer.verifier

    def to_continue(self) -> int:
        """The log that a rekey continues: the newest one, or the one before when an attempt was interrupted."""
        number = self.newest()
        return number - 1 if self.is_unfinished(number) else number

    def is_unfinished(self, number: int) -> bool:
        """Whether a log was to continue another one and does not say so yet: `rekey` was interrupted."""
        return number > 1 and self.reader(number).latest().size == 0

    def _key(self, number: int, name: str) -> Signer:
        """The key of log `number`, made if it is not there; its public half beside the log."""
        path = self.private_key(number)
        if path.exists():
            signer = Signer.read(path)
        else:
            self.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            signer = Signer.create(name)
            signer.write(path)
        _write_public(self.public_key(number), signer.verifier)
        return signer


def _write_public(path: Path, verifier: Verifier) -> None:
    """It follows from the private key, so whatever stands there is replaced."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.draft")  # half of a key would stop whoever reads it, a rekey too
        with draft.open("w", encoding="utf-8") as file:
            file.write(f"{verifier}\n")
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise AuditStorageError(f"cannot write the public key {path}: {error}") from error
