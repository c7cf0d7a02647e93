"""Tokens instead of persons: identities are replaced at the edge, before a record leaves the department.

A token is a keyed hash, the same for the same person wherever the same key is used, so that records of different
departments meet. `LocalTokeniser` is for development only: whoever holds its key can try all identity numbers and
undo every token. A site uses a rate-limited token service behind the same interface. Numbers follow GB 11643-1999.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import secrets
import unicodedata
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from xiezhi.errors import ConfigurationError

DEFAULT_KEY_FILE = Path(".xiezhi/token.key")

_PREFIX = "pt1_"  # the version of key and method; a new key gets a new prefix
_KEY_BYTES = 32
_TOKEN_BYTES = 20  # 160 bits: no two persons of any country meet in one token
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECKS = "10X98765432"


class IdentityKind(StrEnum):
    """What kind of document an identity is from. The same text of two kinds gives two tokens."""

    RESIDENT = "resident"  # citizen identification number, 18 characters (居民身份证号)
    PASSPORT = "passport"  # passport number, preceded by the issuing country's ISO 3166-1 alpha-3 code
    BODS_PERSON = "bods-person"  # a person known by the id of a beneficial-ownership statement alone
    SYNTHETIC = "synthetic"  # made-up persons of demonstrations and tests; never equal to a real one's token


class Tokeniser(Protocol):
    """Makes tokens at the edge."""

    def token(self, kind: IdentityKind, identity: str) -> str:
        """The person token of an identity, e.g. `pt1_…`.

        May block when a service is behind it. Raises ValueError, without the identity in its message, when
        `identity` cannot be one of this kind.
        """
        ...


class LocalTokeniser:
    """HMAC-SHA-256 with a key from a file. For development: see the module's text."""

    def __init__(self, key_file: Path = DEFAULT_KEY_FILE) -> None:
        """Reads the key, or makes one (256 bits, mode 0600). Raises ConfigurationError when it cannot be used."""
        self._key = _load_key(key_file)

    def token(self, kind: IdentityKind, identity: str) -> str:
        message = f"xiezhi person token 1\0{kind.value}\0{normalised(kind, identity)}"
        digest = hmac.digest(self._key, message.encode(), hashlib.sha256)[:_TOKEN_BYTES]
        return _PREFIX + base64.b32encode(digest).decode().lower()


def normalised(kind: IdentityKind, identity: str) -> str:
    """The one way in which an identity is written: half-width, upper case, no white space.

    Raises ValueError for an empty identity and for a resident's number whose check character is wrong: a typing
    error would silently make another person of it.
    """
    text = "".join(unicodedata.normalize("NFKC", identity).split()).upper()
    if not text or not text.isprintable():
        raise ValueError(f"expected an identity of kind {kind.value}")
    if kind is IdentityKind.RESIDENT and not _is_resident_number(text):
        raise ValueError(
            "expected a citizen identification number of 18 characters with a right check character"
        )
    return text


def _is_resident_number(text: str) -> bool:
    digits = text[:17]
    if len(text) != 18 or not (digits.isascii() and digits.isdigit()):
        return False
    total = sum(int(digit) * weight for digit, weight in zip(digits, _WEIGHTS, strict=True))
    return text[17] == _CHECKS[total % 11]


def _load_key(file: Path) -> bytes:
    try:
        if not file.exists():
            _create_key(file)
        if file.stat().st_mode & 0o077:
            raise ConfigurationError(f"others can read the token key {file}; run: chmod 600 {file}")
        key = bytes.fromhex(file.read_text("ascii"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"cannot use the token key {file}: {error}") from error
    if len(key) != _KEY_BYTES:
        raise ConfigurationError(f"the token key {file} has {len(key)} bytes, expected {_KEY_BYTES}")
    return key


def _create_key(file: Path) -> None:
    """Complete or not at all, and once only: of two processes that start together, both use the first's key."""
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f"{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as opened:
            opened.write(secrets.token_hex(_KEY_BYTES) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        os.link(draft, file)
    except FileExistsError:
        pass  # the other was first
    finally:
        draft.unlink()
