"""A log continued by another: a new key, a lost key, a lost end."""

from __future__ import annotations

from pathlib import Path

import pytest

from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.epoch import Closing, Opening
from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer
from xiezhi.audit.reader import AuditLogReader
from xiezhi.audit.rotation import continue_log, next_key, rotate, verify_continuation
from xiezhi.errors import AuditError, AuditFormatError, AuditProofError, AuditUnusableError

OLD, NEW = Signer("audit.test/1", bytes(range(32))), Signer("audit.test/2", bytes(range(1, 33)))
SALT = b"s" * 16


@pytest.fixture
def old(tmp_path: Path) -> AuditLog:
    log = AuditLog.create(tmp_path / "old", OLD.name, OLD)
    log.append([b"a", b"b"], [SALT, SALT])
    log.publish()
    return log


def test_whoever_trusts_the_old_key_comes_to_the_new_one_and_nothing_is_lost_between(
    old: AuditLog, tmp_path: Path
) -> None:
    old_reader = AuditLogReader(tmp_path / "old", OLD.verifier)
    old.append([b"not published yet"], [SALT])
    with rotate(old, old_reader, tmp_path / "new", NEW) as new:
        assert new.append([b"c"], [SALT]) == 1
        new.publish()
    old_reader.verify()
    assert list(old_reader.entries(0, 3)) == [b"a", b"b", b"not published yet"]
    new_reader = AuditLogReader(tmp_path / "new", next_key(old_reader))
    new_reader.verify()
    opening = verify_continuation(new_reader, old_reader.latest())
    assert (opening.previous, opening.last) == (OLD.verifier, old_reader.latest())


def test_a_closed_log_takes_no_more_leaves_also_after_opening(old: AuditLog, tmp_path: Path) -> None:
    rotate(old, AuditLogReader(tmp_path / "old", OLD.verifier), tmp_path / "new", NEW).close()
    with pytest.raises(AuditUnusableError, match="continued by another"):
        old.append([b"late"], [SALT])
    old.close()
    with AuditLog.open(tmp_path / "old", OLD) as again:
        assert again.is_closed
        with pytest.raises(AuditUnusableError, match="continued by another"):
            again.append([b"late"], [SALT])


@pytest.mark.parametrize("done", ["closed", "created", "opened"])
def test_a_rotation_that_was_cut_off_is_brought_to_its_end(old: AuditLog, tmp_path: Path, done: str) -> None:
    reader = AuditLogReader(tmp_path / "old", OLD.verifier)
    if done == "opened":
        rotate(old, reader, tmp_path / "new", NEW).close()
    else:
        old.append([Closing(NEW.verifier).to_bytes()], [SALT])
        old.publish()
        if done == "created":
            AuditLog.create(tmp_path / "new", NEW.name, NEW).close()
    old.close()
    with AuditLog.open(tmp_path / "old", OLD) as again, rotate(again, reader, tmp_path / "new", NEW) as new:
        assert (again.size, new.size) == (3, 1)
    verify_continuation(AuditLogReader(tmp_path / "new", NEW.verifier), reader.latest())


def test_a_log_is_continued_under_one_key_only_and_in_a_folder_of_its_own(
    old: AuditLog, tmp_path: Path
) -> None:
    reader = AuditLogReader(tmp_path / "old", OLD.verifier)
    rotate(old, reader, tmp_path / "new", NEW).close()
    with pytest.raises(AuditUnusableError, match=r"in favour of the key audit\.test/2"):
        rotate(old, reader, tmp_path / "third", Signer.create("audit.test/3"))
    other = AuditLog.create(tmp_path / "other", NEW.name, NEW)
    other.append([b"something else"], [SALT])
    other.publish()
    other.close()
    with pytest.raises(AuditUnusableError, match="holds another log"):
        rotate(old, reader, tmp_path / "other", NEW)


def test_after_a_lost_key_a_new_log_names_the_last_checkpoint_that_is_known(
    old: AuditLog, tmp_path: Path
) -> None:
    known = old.latest
    old.append([b"never signed again"], [SALT])
    old.close()
    with continue_log(Opening(OLD.verifier, known), tmp_path / "new", NEW):
        reader = AuditLogReader(tmp_path / "new", NEW.verifier)
        assert verify_continuation(reader, known).last == known
    with pytest.raises(AuditFormatError, match="does not close"):
        next_key(AuditLogReader(tmp_path / "old", OLD.verifier))


def test_a_log_that_continues_another_state_is_found_out(old: AuditLog, tmp_path: Path) -> None:
    known = old.latest
    with continue_log(Opening(OLD.verifier, known), tmp_path / "new", NEW):
        pass
    old.append([b"later"], [SALT])
    with pytest.raises(AuditProofError, match=r"not audit\.test/1 after 3"):
        verify_continuation(AuditLogReader(tmp_path / "new", NEW.verifier), old.publish())


@pytest.mark.parametrize(
    "entry",
    [
        b"",
        b"xiezhi-epoch/v1\nclosed\nnext \xff\n",
        b"xiezhi-epoch/v1\nclosed\nnext audit.test/2\n",
        Closing(NEW.verifier).to_bytes() + b"\n",
        b"xiezhi-epoch/v1\nopened\nprevious \xff\n\nx",
    ],
)
def test_leaves_between_logs_have_one_form(entry: bytes) -> None:
    with pytest.raises(AuditError):
        Closing.parse(entry)
    with pytest.raises(AuditError):
        Opening.parse(entry)


def test_an_opening_whose_checkpoint_another_key_signed_is_refused(old: AuditLog) -> None:
    forged = SignedCheckpoint.sign(old.latest.checkpoint, Signer(OLD.name, NEW.seed))
    entry = Opening(OLD.verifier, forged).to_bytes()
    with pytest.raises(AuditError):
        Opening.parse(entry)
