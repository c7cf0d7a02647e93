"""Tokens: the same person gives the same token, nobody else does, and the key is a secret."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from xiezhi.contracts.types import PersonToken
from xiezhi.errors import ConfigurationError
from xiezhi.tokeniser import IdentityKind, LocalTokeniser, normalised

RESIDENT = IdentityKind.RESIDENT


def nobodys_number(serial: int) -> str:
    """Well formed, and nobody's: division 000000 does not exist. Check by ISO 7064 MOD 11-2, digit by digit."""
    digits, carry = f"00000020000101{serial:03}", 0
    for digit in digits:
        carry = (carry + int(digit)) * 2 % 11
    check = (12 - carry) % 11
    return digits + ("X" if check == 10 else str(check))


NOBODY = nobodys_number(1)
NOBODY_X = next(number for number in map(nobodys_number, range(20)) if number.endswith("X"))


@pytest.fixture
def tokeniser(tmp_path: Path) -> LocalTokeniser:
    return LocalTokeniser(tmp_path / "home" / "token.key")


def test_a_token_is_what_contracts_accept_and_holds_160_bits(tokeniser: LocalTokeniser) -> None:
    token = tokeniser.token(RESIDENT, NOBODY)
    assert TypeAdapter(PersonToken).validate_python(token) == token
    assert token.startswith("pt1_")
    assert len(token.removeprefix("pt1_")) * 5 >= 160


def test_the_same_key_gives_the_same_token_in_another_process(
    tmp_path: Path, tokeniser: LocalTokeniser
) -> None:
    again = LocalTokeniser(tmp_path / "home" / "token.key")
    assert again.token(RESIDENT, NOBODY) == tokeniser.token(RESIDENT, NOBODY)


def test_another_key_gives_another_token(tmp_path: Path, tokeniser: LocalTokeniser) -> None:
    other = LocalTokeniser(tmp_path / "other.key")
    assert other.token(RESIDENT, NOBODY) != tokeniser.token(RESIDENT, NOBODY)


@pytest.mark.parametrize(
    "written",
    [
        f" {NOBODY_X}\t",
        NOBODY_X.lower(),
        NOBODY_X.translate({ord(char): ord(char) + 0xFEE0 for char in "0123456789X"}),  # full width
        f"{NOBODY_X[:6]} {NOBODY_X[6:14]} {NOBODY_X[14:]}",
    ],
)
def test_ways_of_writing_one_identity_give_one_token(tokeniser: LocalTokeniser, written: str) -> None:
    assert tokeniser.token(RESIDENT, written) == tokeniser.token(RESIDENT, NOBODY_X)


def test_kinds_of_identity_never_meet(tokeniser: LocalTokeniser) -> None:
    assert len({tokeniser.token(kind, NOBODY) for kind in IdentityKind}) == len(IdentityKind)


@pytest.mark.parametrize(
    "wrong", ["", "   ", NOBODY[:-1] + NOBODY_X[-1], NOBODY[:-1], NOBODY + "0", "x" * 18]
)
def test_what_is_no_identity_number_is_refused_without_repeating_it(wrong: str) -> None:
    with pytest.raises(ValueError, match="expected") as error:
        normalised(RESIDENT, wrong)
    assert not wrong.strip() or wrong not in str(error.value)


def test_the_key_is_256_bits_and_the_owners_alone(tmp_path: Path, tokeniser: LocalTokeniser) -> None:
    key = tmp_path / "home" / "token.key"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert len(bytes.fromhex(key.read_text())) == 32
    assert [file.name for file in key.parent.iterdir()] == ["token.key"]


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: LocalTokeniser(tmp_path / "token.key"), range(32)))
    assert len({each.token(RESIDENT, NOBODY) for each in made}) == 1


def test_a_key_that_others_can_read_is_not_used(tmp_path: Path) -> None:
    key = tmp_path / "token.key"
    LocalTokeniser(key)
    key.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        LocalTokeniser(key)


@pytest.mark.parametrize("content", ["", "not hex", "ab" * 16, "\xff"])
def test_a_broken_key_is_not_replaced_but_named(tmp_path: Path, content: str) -> None:
    key = tmp_path / "token.key"
    key.write_text(content, "utf-8")
    key.chmod(0o600)
    with pytest.raises(ConfigurationError, match=r"token\.key"):
        LocalTokeniser(key)
    assert key.read_text("utf-8") == content


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=r"token\.key"):
        LocalTokeniser(tmp_path / "file" / "token.key")
    assert os.listdir(tmp_path) == ["file"]
