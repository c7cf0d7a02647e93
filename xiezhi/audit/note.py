"""Signed notes and their keys, as C2SP signed-note 1.0.0 says, with Ed25519.

A note is text, a blank line, and one line per signature. Whoever reads one trusts a verifier key that was obtained
separately; lines of other keys are passed over, so that witnesses and other algorithms can ride along. Bytes have one
form only: base64 with spare bits set, a second line of the same key or anything else in two spellings is refused.
All that is wrong with a note or a key raises AuditError.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from xiezhi.errors import AuditFormatError, AuditSignatureError, AuditStorageError, AuditUnusableError
from xiezhi.private_file import create_private

#: C2SP asks for at least 16 signatures of up to 5 kB. Without a bound a note could fill the memory of who checks it.
NOTE_BYTES_MAX = 1_048_576
SIGNATURES_MAX = 100
_ED25519 = b"\x01"
_KEY_BYTES = 33
_SIGNER_PREFIX = "PRIVATE+KEY+"
_KEY = re.compile(r"([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)")
_SIGNATURE = re.compile(r"— ([^ ]+) ([A-Za-z0-9+/=]+)")


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: whose, by which key, over the text."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> str:
        return f"— {self.name} {base64.b64encode(self.key_id + self.signature).decode()}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """Text (ending in a newline) and its signatures, none of them checked."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, data: bytes) -> Note:
        """Raises AuditFormatError when the bytes are not a note in its one form."""
        if len(data) > NOTE_BYTES_MAX:
            raise AuditFormatError(f"a note of {len(data)} bytes is too long")
        try:
            whole = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise AuditFormatError("a note is UTF-8, this is not") from error
        if any(character < " " and character != "\n" for character in whole):
            raise AuditFormatError("a note has no control characters but newlines")
        text, blank, lines = whole.rpartition("\n\n")
        if not blank or not lines.endswith("\n"):
            raise AuditFormatError("a note is text, a blank line and signature lines; this is not")
        return cls(text + "\n", _signatures(lines[:-1].split("\n")))

    def to_bytes(self) -> bytes:
        return (self.text + "\n" + "".join(each.line() for each in self.signatures)).encode()


def _signatures(lines: Sequence[str]) -> tuple[Signature, ...]:
    if len(lines) > SIGNATURES_MAX:
        raise AuditFormatError(f"a note has at most {SIGNATURES_MAX} signatures")
    found = tuple(_signature(line) for line in lines)
    if len({(each.name, each.key_id) for each in found}) != len(found):
        raise AuditFormatError("a key signed the note twice")
    return found


def _signature(line: str) -> Signature:
    matched = _SIGNATURE.fullmatch(line)
    if matched is None:
        raise AuditFormatError(f"not a signature line: {line[:100]!r}")
    name = checked_name(matched[1])
    raw = decode_base64(matched[2])
    if len(raw) < 5:
        raise AuditFormatError(f"the signature of {name} is too short")
    return Signature(name, raw[:4], raw[4:])


def checked_name(name: str) -> str:
    """A key name: not empty, no space of any kind, no plus, no control character. Raises AuditFormatError."""
    if not name or "+" in name or any(each.isspace() or not each.isprintable() for each in name):
        raise AuditFormatError(f"{name!r} is no key name: it must not be empty or hold spaces or plus signs")
    return name


def decode_base64(text: str) -> bytes:
    """Standard base64 with padding, in the one spelling that encoding gives. Raises AuditFormatError."""
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise AuditFormatError(f"not base64: {text[:100]!r}") from error
    if base64.b64encode(raw).decode() != text:
        raise AuditFormatError(f"base64 that encoding never gives: {text[:100]!r}")
    return raw


@dataclass(frozen=True)
class Verifier:
    """A public key: what must be obtained from the log's keeper by another way than the log itself."""

    name: str
    public: bytes

    @classmethod
    def parse(cls, text: str) -> Verifier:
        """From `name+hash+base64`. Raises AuditFormatError."""
        name, public = _parse_key(text)
        return cls(name, public)

    def __str__(self) -> str:
        return f"{self.name}+{self.key_id.hex()}+{base64.b64encode(_ED25519 + self.public).decode()}"

    @cached_property
    def key_id(self) -> bytes:
        return _key_id(self.name, self.public)

    def open(self, data: bytes) -> str:
        """The text of a note that this key signed. Raises AuditFormatError or AuditSignatureError."""
        note = Note.parse(data)
        for each in note.signatures:
            if (each.name, each.key_id) == (self.name, self.key_id):
                self.check(note.text.encode(), each.signature)
                return note.text
        raise AuditSignatureError(f"the note has no signature of {self}; was it signed with another key?")

    def check(self, data: bytes, signature: bytes) -> None:
        """That this is the key's signature over `data`. Raises AuditSignatureError."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature as error:
            raise AuditSignatureError(f"the signature of {self.name} is not one over these bytes") from error

    @cached_property
    def _key(self) -> Ed25519PublicKey:
        return Ed25519PublicKey.from_public_bytes(self.public)


@dataclass(frozen=True)
class Signer:
    """A private key. It never shows in a representation."""

    name: str
    seed: bytes = field(repr=False)

    @classmethod
    def create(cls, name: str) -> Signer:
        """A new key pair from the system's randomness. Raises AuditFormatError for a name that no key may have."""
        return cls(checked_name(name), Ed25519PrivateKey.generate().private_bytes_raw())

    @classmethod
    def parse(cls, text: str) -> Signer:
        """From `PRIVATE+KEY+name+hash+base64`. Raises AuditFormatError, which never shows the key."""
        if not text.startswith(_SIGNER_PREFIX):
            raise AuditFormatError(f"a signer key starts with {_SIGNER_PREFIX}")
        try:
            matched = _KEY.fullmatch(text, len(_SIGNER_PREFIX))
            name, seed = _parse_material(matched)
            signer = cls(name, seed)
        except AuditFormatError:
            matched = None
        if matched is None or signer.verifier.key_id.hex() != matched[2]:
            raise AuditFormatError("this is not a signer key; was it cut or changed?")
        return signer

    @classmethod
    def read(cls, path: Path) -> Signer:
        """From a key file. Raises AuditUnusableError when others may read it, or it is none."""
        try:
            mode, text = path.stat().st_mode, path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise AuditUnusableError(f"cannot read the signing key {path}: {error}") from error
        if mode & 0o077:
            raise AuditUnusableError(f"others may read the signing key {path}; run: chmod 600 {path}")
        try:
            return cls.parse(text.removesuffix("\n"))
        except AuditFormatError as error:
            raise AuditUnusableError(f"{path}: {error}") from error

    def write(self, path: Path) -> None:
        """A key file that only its owner may read, durable on return. A file that exists is never replaced.

        It gets its name when all of it is on the disk: a power cut leaves no key that is cut off.
        """
        draft = path.with_name(f".{path.name}.draft")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.unlink(missing_ok=True)  # of an attempt that was cut off
            create_private(draft)
            with draft.open("w", encoding="utf-8") as file:
                file.write(self.export() + "\n")
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(draft, path)
            finally:
                draft.unlink()
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except FileExistsError as error:
            raise AuditUnusableError(f"{path} exists; a signing key is never replaced") from error
        except OSError as error:
            raise AuditStorageError(f"cannot write the signing key {path}: {error}") from error

    def export(self) -> str:
        key = base64.b64encode(_ED25519 + self.seed).decode()
        return f"{_SIGNER_PREFIX}{self.name}+{self.verifier.key_id.hex()}+{key}"

    def sign(self, text: str) -> bytes:
        """A note with one signature, ours. Raises AuditFormatError for text that no note may hold."""
        signature = Signature(self.name, self.verifier.key_id, self.signature(text.encode()))
        data = Note(text, (signature,)).to_bytes()
        if Note.parse(data).text != text:
            raise AuditFormatError("a note's text ends with one newline")
        return data

    def signature(self, data: bytes) -> bytes:
        """The bare signature (64 bytes). What is signed must not be mistakable for a note's text."""
        return self._key.sign(data)

    @cached_property
    def verifier(self) -> Verifier:
        return Verifier(self.name, self._key.public_key().public_bytes_raw())

    @cached_property
    def _key(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def _parse_key(text: str) -> tuple[str, bytes]:
    matched = _KEY.fullmatch(text)
    name, public = _parse_material(matched)
    if matched is None or _key_id(name, public).hex() != matched[2]:
        raise AuditFormatError(f"{text[:200]!r} was cut or changed: its hash is not the one of its key")
    return name, public


def _parse_material(matched: re.Match[str] | None) -> tuple[str, bytes]:
    if matched is None:
        raise AuditFormatError("a key is written name+hash+base64")
    raw = decode_base64(matched[3])
    if len(raw) != _KEY_BYTES or raw[:1] != _ED25519:
        raise AuditFormatError("the key is no Ed25519 key")
    return checked_name(matched[1]), raw[1:]


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]
