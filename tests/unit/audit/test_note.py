"""Signed notes, keys and checkpoints: published examples, and refusal of everything that is not in its one form.

Examples: C2SP signed-note and tlog-checkpoint, and Go's sumdb/note (golang.org/x/mod), used as data.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xiezhi.audit.checkpoint import Checkpoint, SignedCheckpoint
from xiezhi.audit.note import Note, Signer, Verifier
from xiezhi.errors import AuditError, AuditFormatError, AuditSignatureError, AuditUnusableError

GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
GO_LINE = (
    "— PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
OTHER_LINE = (
    "— EnochRoot "
    "rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n"
)
OTHER_VERIFIER = "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"
FOO_VERIFIER = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"
FOO_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo "
    "Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
SPEC_CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa "
    "Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
).encode()
GO_NOTE = (GO_TEXT + "\n" + GO_LINE).encode()

LOG = Signer("audit.test/log", bytes(range(32)))
CHECKPOINT = Checkpoint(LOG.name, 7, bytes(32))


def test_signing_gives_the_published_bytes() -> None:
    signer = Signer.parse(GO_SIGNER)
    assert signer.export() == GO_SIGNER
    assert str(signer.verifier) == GO_VERIFIER
    assert signer.sign(GO_TEXT) == GO_NOTE
    assert GO_SIGNER not in repr(signer)


@pytest.mark.parametrize(("verifier", "note"), [(GO_VERIFIER, GO_NOTE), (FOO_VERIFIER, FOO_NOTE)])
def test_published_notes_open(verifier: str, note: bytes) -> None:
    text = Verifier.parse(verifier).open(note)
    assert note.startswith(text.encode() + b"\n")
    assert str(Verifier.parse(verifier)) == verifier


def test_the_published_checkpoint_is_read() -> None:
    note = Note.parse(SPEC_CHECKPOINT)
    checkpoint = Checkpoint.parse(note.text)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == note.text
    assert note.to_bytes() == SPEC_CHECKPOINT


def test_lines_of_other_keys_are_passed_over_and_each_key_finds_its_own() -> None:
    both = (GO_TEXT + "\n" + OTHER_LINE + GO_LINE).encode()
    assert Verifier.parse(GO_VERIFIER).open(both) == GO_TEXT
    assert Verifier.parse(OTHER_VERIFIER).open(both) == GO_TEXT
    with pytest.raises(AuditSignatureError, match="another key"):
        LOG.verifier.open(both)


def test_a_wrong_signature_of_the_known_key_is_refused_whatever_others_say() -> None:
    forged = GO_LINE.replace("x08go/ZJ", "x08go/ZK")
    with pytest.raises(AuditSignatureError):
        Verifier.parse(GO_VERIFIER).open((GO_TEXT + "\n" + OTHER_LINE + forged).encode())


NOT_NOTES = {
    "nothing": b"",
    "text alone": GO_TEXT.encode(),
    "no newline at the end": GO_NOTE[:-1],
    "a hyphen for the dash": GO_NOTE.replace("—".encode(), b"-"),
    "no blank line": (GO_TEXT + GO_LINE).encode(),
    "two spaces": GO_NOTE.replace(b"PeterNeumann x", b"PeterNeumann  x"),
    "a key twice": (GO_TEXT + "\n" + GO_LINE + GO_LINE).encode(),
    "not UTF-8": b"\xff" + GO_NOTE,
    "carriage returns": GO_NOTE.replace(b"\n", b"\r\n"),
    "spare bits of base64 set": GO_NOTE.replace(b"JnAM=", b"JnAN="),
    "base64 without padding": GO_NOTE.replace(b"AM=", b"AM"),
    "base64 of another alphabet": GO_NOTE.replace(b"go/ZJ", b"go_ZJ"),
    "a signature shorter than its key id": (GO_TEXT + "\n— PeterNeumann x08g\n").encode(),
    "a plus in the name": GO_NOTE.replace(b"PeterNeumann", b"Peter+Neumann"),
    "too many signatures": (
        GO_TEXT + "\n" + "".join(GO_LINE.replace("Peter", f"P{n}") for n in range(101))
    ).encode(),
    "too long": b"a" * 2**20 + GO_NOTE,
}


@pytest.mark.parametrize("what", NOT_NOTES)
def test_what_is_not_a_note_in_its_one_form_is_refused(what: str) -> None:
    with pytest.raises(AuditFormatError):
        Verifier.parse(GO_VERIFIER).open(NOT_NOTES[what])


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_raise_anything_but_the_one_family(data: bytes) -> None:
    for read in (LOG.verifier.open, lambda raw: SignedCheckpoint.open(raw, LOG.verifier)):
        with pytest.raises(AuditError):
            read(data)


@given(st.integers(0, len(GO_NOTE) - 1), st.integers(1, 255))
def test_any_changed_byte_of_a_signed_note_is_refused(at: int, flip: int) -> None:
    changed = bytearray(GO_NOTE)
    changed[at] ^= flip
    with pytest.raises(AuditError):
        Verifier.parse(GO_VERIFIER).open(bytes(changed))


@given(st.integers(0, len(GO_VERIFIER) - 1), st.characters(max_codepoint=127))
def test_any_changed_character_of_a_key_is_refused(at: int, character: str) -> None:
    changed = GO_VERIFIER[:at] + character + GO_VERIFIER[at + 1 :]
    if changed != GO_VERIFIER:
        with pytest.raises(AuditFormatError):
            Verifier.parse(changed)


@pytest.mark.parametrize(
    "key",
    [
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        GO_VERIFIER + "\n",
        GO_SIGNER,
    ],
)
def test_keys_of_other_lengths_and_algorithms_are_refused(key: str) -> None:
    with pytest.raises(AuditFormatError):
        Verifier.parse(key)


def test_a_refused_signer_key_is_not_shown() -> None:
    with pytest.raises(AuditFormatError) as refused:
        Signer.parse(GO_SIGNER.replace("+c74f20a3+", "+c74f20a4+"))
    shown = f"{refused.value} {refused.value.__cause__} {refused.value.__context__}"
    assert "AYEKFALV" not in shown


def test_a_key_file_is_private_and_never_replaced(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "audit.key"
    LOG.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Signer.read(path) == LOG
    with pytest.raises(AuditUnusableError, match="never replaced"):
        Signer.create("other").write(path)
    path.chmod(0o640)
    with pytest.raises(AuditUnusableError, match="chmod 600") as refused:
        Signer.read(path)
    assert refused.value.exit_code == 78
    with pytest.raises(AuditUnusableError, match="cannot read"):
        Signer.read(tmp_path / "none")


def test_a_power_cut_leaves_no_key_that_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "audit.key"

    def cut(descriptor: int) -> None:
        assert not path.exists(), "the name comes when the bytes are durable"
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", cut)
        with pytest.raises(KeyboardInterrupt):
            LOG.write(path)
    assert not path.exists()
    before = os.umask(0o277)  # also where umask takes the owner's own rights away
    try:
        LOG.write(path)
    finally:
        os.umask(before)
    assert Signer.read(path) == LOG
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["audit.key"]


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u3000b", "a\nb", "a\u200bb"])
def test_names_that_would_break_a_note_are_refused(name: str) -> None:
    with pytest.raises(AuditFormatError):
        Signer.create(name)


def test_two_keys_made_alike_differ() -> None:
    assert Signer.create("a") != Signer.create("a")


NOT_CHECKPOINTS = {
    "an extension line": CHECKPOINT.text() + "more\n",
    "no root": "a\n1\n",
    "a leading zero": CHECKPOINT.text().replace("\n7\n", "\n07\n"),
    "a sign": CHECKPOINT.text().replace("\n7\n", "\n+7\n"),
    "other digits": CHECKPOINT.text().replace("\n7\n", "\n٧\n"),
    "too many leaves": CHECKPOINT.text().replace("\n7\n", f"\n{2**63}\n"),
    "a short root": CHECKPOINT.text().replace("AAAA", "", 1),
    "spare bits of base64 set": CHECKPOINT.text().replace("A=\n", "B=\n"),
    "no origin": CHECKPOINT.text().removeprefix(LOG.name),
}


@pytest.mark.parametrize("what", NOT_CHECKPOINTS)
def test_what_is_not_a_checkpoint_in_its_one_form_is_refused_though_signed(what: str) -> None:
    with pytest.raises(AuditFormatError):
        SignedCheckpoint.open(LOG.sign(NOT_CHECKPOINTS[what]), LOG.verifier)


def test_a_checkpoint_of_another_log_is_refused_though_the_key_signed_it() -> None:
    assert SignedCheckpoint.open(LOG.sign(CHECKPOINT.text()), LOG.verifier).checkpoint == CHECKPOINT
    other = Checkpoint("audit.test/other", 7, bytes(32))
    with pytest.raises(AuditFormatError, match="another log"):
        SignedCheckpoint.open(LOG.sign(other.text()), LOG.verifier)
