"""The log on a real disk: what is appended can be read, proven and verified, across publications and openings."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from xiezhi.audit import merkle
from xiezhi.audit.checkpoint import SignedCheckpoint
from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer
from xiezhi.audit.reader import AuditLogReader
from xiezhi.errors import AuditError, AuditFormatError, AuditTamperedError, AuditUnusableError

ORIGIN = "audit.test/log"
SIGNER = Signer(ORIGIN, bytes(range(32)))
SALT = b"s" * 16


def entry(index: int) -> bytes:
    return f"entry {index}".encode() * (index % 7)


def grow(log: AuditLog, count: int) -> None:
    first = log.size
    entries = [entry(index) for index in range(first, first + count)]
    salts = [f"{index:016}".encode() for index in range(first, first + count)]
    assert log.append(entries, salts) == first


@pytest.mark.parametrize("steps", [[1], [256], [255, 1, 1], [700, 3, 600], [65_536, 70]])
def test_what_is_published_can_be_read_proven_and_verified(tmp_path: Path, steps: list[int]) -> None:
    folder = tmp_path / "log"
    with AuditLog.create(folder, ORIGIN, SIGNER) as log:
        for step in steps[:1]:
            grow(log, step)
            log.publish()
    for step in steps[1:]:
        with AuditLog.open(folder, SIGNER) as log:
            grow(log, step)
            log.publish()
    size = sum(steps)
    reader = AuditLogReader(folder, SIGNER.verifier)
    latest = reader.latest()
    assert latest.size == size
    assert list(reader.entries(0, size)) == [entry(index) for index in range(size)]
    assert reader.salt(size - 1) == f"{size - 1:016}".encode()
    checkpoints = list(reader.checkpoints())
    assert [each.size for each in checkpoints] == [0, *(sum(steps[: n + 1]) for n in range(len(steps)))]
    for each in checkpoints:
        proof = reader.consistency_proof(each.size, size)
        merkle.verify_consistency(each.size, each.root, size, latest.root, proof)
        for index in {0, each.size // 2, each.size - 1} if each.size else ():
            proof = reader.inclusion_proof(index, each.size)
            merkle.verify_inclusion(merkle.leaf_hash(entry(index)), index, each.size, proof, each.root)
    verified = reader.verify(seen=checkpoints)
    assert (verified.size, verified.checkpoints) == (size, len(steps) + 1)
    bare = folder.rglob("*.p")
    assert all(sum(1 for _ in each.iterdir()) for each in bare)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AuditLog]:
    with AuditLog.create(tmp_path / "log", ORIGIN, SIGNER) as log:
        grow(log, 5)
        log.publish()
        yield log


def test_nothing_is_signed_when_the_tree_has_not_grown(log: AuditLog, tmp_path: Path) -> None:
    before = log.latest
    assert log.publish() == before
    assert log.append([], []) == 5
    assert log.publish() == before
    assert len(list(AuditLogReader(tmp_path / "log", SIGNER.verifier).checkpoints())) == 2


def test_appended_leaves_are_not_read_before_they_are_published(log: AuditLog, tmp_path: Path) -> None:
    grow(log, 2)
    reader = AuditLogReader(tmp_path / "log", SIGNER.verifier)
    assert (log.size, reader.latest().size) == (7, 5)
    with pytest.raises(AuditError, match="5 entries"):
        list(reader.entries(5, 7))
    with pytest.raises(AuditError):
        reader.inclusion_proof(5, 7)


@pytest.mark.parametrize(
    ("entries", "salts", "why"),
    [
        ([b"a"], [], "came with 1 salts"),
        ([b"a" * 65_536], [SALT], "at most 65535"),
        ([b"a"], [b"short"], "16 bytes"),
        ([b"a"], [bytes(16)], "not all zero"),
    ],
)
def test_what_the_format_cannot_hold_is_refused_and_nothing_of_it_appended(
    log: AuditLog, entries: list[bytes], salts: list[bytes], why: str
) -> None:
    with pytest.raises(AuditFormatError, match=why):
        log.append([b"good", *entries], [SALT, *salts])
    assert log.size == 5


def test_the_longest_entry_and_the_empty_one_come_back(log: AuditLog, tmp_path: Path) -> None:
    log.append([b"x" * 65_535, b""], [SALT, SALT])
    log.publish()
    reader = AuditLogReader(tmp_path / "log", SIGNER.verifier)
    assert list(reader.entries(5, 7)) == [b"x" * 65_535, b""]
    reader.verify()


def test_no_more_entries_wait_than_the_bound_allows(log: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xiezhi.audit.log.PENDING_ENTRIES_MAX", 3)
    grow(log, 3)
    with pytest.raises(AuditUnusableError, match="publish, then append"):
        grow(log, 1)
    log.publish()
    grow(log, 1)


def test_an_erased_salt_is_gone_from_the_disk_and_the_tree_stays(log: AuditLog, tmp_path: Path) -> None:
    folder = tmp_path / "log"
    salt = b"0000000000000003"
    assert salt in (folder / "salt/000").read_bytes()
    log.erase_salt(3)
    reader = AuditLogReader(folder, SIGNER.verifier)
    assert reader.salt(3) is None
    assert reader.salt(2) == b"0000000000000002"
    assert all(salt not in path.read_bytes() for path in folder.rglob("*") if path.is_file())
    reader.verify()
    with pytest.raises(AuditFormatError, match="no leaf 5"):
        log.erase_salt(5)


def test_salts_are_for_their_owner_alone_and_the_tree_is_not(tmp_path: Path) -> None:
    umask = os.umask(0o022)
    try:
        with AuditLog.create(tmp_path / "log", ORIGIN, SIGNER) as log:
            grow(log, 5)
            log.publish()
    finally:
        os.umask(umask)
    modes = {name: (tmp_path / "log" / name).stat().st_mode & 0o777 for name in ("salt", "tile", "history")}
    assert modes == {"salt": 0o700, "tile": 0o755, "history": 0o755}


def test_a_log_has_one_appender(log: AuditLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xiezhi.audit.disk.LOCK_TIMEOUT_S", 0.05)
    reader = AuditLogReader(tmp_path / "log", SIGNER.verifier)
    assert reader.is_being_written()
    with pytest.raises(AuditUnusableError, match="one appender") as refused:
        AuditLog.open(tmp_path / "log", SIGNER)
    assert refused.value.exit_code == 78
    log.close()
    assert not reader.is_being_written()
    AuditLog.open(tmp_path / "log", SIGNER).close()


def test_a_backup_put_back_is_refused_when_a_later_checkpoint_is_known(log: AuditLog, tmp_path: Path) -> None:
    copytree(tmp_path / "log", tmp_path / "backup")
    grow(log, 3)
    known = log.publish()
    with pytest.raises(AuditUnusableError, match="older copy of the folder") as refused:
        AuditLog.open(tmp_path / "backup", SIGNER, at_least=known)
    assert refused.value.exit_code == 78
    with pytest.raises(AuditUnusableError, match="its end was lost"):
        AuditLog.create(tmp_path / "nothing", ORIGIN, SIGNER, at_least=known)
    log.close()
    AuditLog.open(tmp_path / "log", SIGNER, at_least=known).close()


def test_a_log_that_went_another_way_than_a_known_checkpoint_is_refused(
    log: AuditLog, tmp_path: Path
) -> None:
    copytree(tmp_path / "log", tmp_path / "fork")
    grow(log, 3)
    known = log.publish()
    with AuditLog.open(tmp_path / "fork", SIGNER) as fork:
        fork.append([b"other"] * 300, [SALT] * 300)
        fork.publish()
    with pytest.raises(AuditUnusableError, match="two logs were written with one key"):
        AuditLog.open(tmp_path / "fork", SIGNER, at_least=known)
    with pytest.raises(AuditTamperedError, match="seen elsewhere"):
        AuditLogReader(tmp_path / "fork", SIGNER.verifier).verify(seen=[known])


def test_a_checkpoint_of_another_key_is_no_anchor(log: AuditLog, tmp_path: Path) -> None:
    log.close()
    forged = SignedCheckpoint.sign(log.latest.checkpoint, Signer(ORIGIN, bytes(32)))
    with pytest.raises(AuditUnusableError, match="none of this log"):
        AuditLog.open(tmp_path / "log", SIGNER, at_least=forged)


@pytest.mark.parametrize("name", ["tile/0/000.p/5", "tile/entries/000.p/5", "checkpoint", "history/000"])
def test_a_damaged_log_is_not_continued(log: AuditLog, tmp_path: Path, name: str) -> None:
    log.close()
    path = tmp_path / "log" / name
    data = bytearray(path.read_bytes())
    data[-9] ^= 1
    path.write_bytes(data)
    with pytest.raises(AuditUnusableError):
        AuditLog.open(tmp_path / "log", SIGNER)
    path.unlink()
    with pytest.raises(AuditUnusableError):
        AuditLog.open(tmp_path / "log", SIGNER)


def test_a_log_is_not_created_over_another_and_not_opened_where_none_is(
    log: AuditLog, tmp_path: Path
) -> None:
    log.close()
    with pytest.raises(AuditUnusableError, match="holds an audit log"):
        AuditLog.create(tmp_path / "log", ORIGIN, SIGNER)
    for folder in (tmp_path / "none", tmp_path):
        with pytest.raises(AuditUnusableError, match="no audit log"):
            AuditLog.open(folder, SIGNER)
    with pytest.raises(AuditUnusableError, match="must have that name"):
        AuditLog.create(tmp_path / "other", "audit.test/other", SIGNER)
    with pytest.raises(AuditUnusableError, match="not signed by"):
        AuditLog.open(tmp_path / "log", Signer(ORIGIN, bytes(32)))


def test_a_reader_verifies_and_proves_while_the_log_is_written(log: AuditLog, tmp_path: Path) -> None:
    reader = AuditLogReader(tmp_path / "log", SIGNER.verifier)
    checked = 0

    def publish_more(done: int, size: int) -> None:
        nonlocal checked
        checked += 1
        grow(log, 300)
        log.publish()

    size = log.size
    assert reader.verify(publish_more, being_written=True).size == size
    assert checked == 1
    leaf = merkle.leaf_hash(entry(4))
    merkle.verify_inclusion(leaf, 4, size, reader.inclusion_proof(4, size), reader.root(size))


def test_findings_name_file_and_place(log: AuditLog, tmp_path: Path) -> None:
    grow(log, 300)
    log.publish()
    path = tmp_path / "log/tile/entries/001.p/49"
    data = path.read_bytes()
    path.write_bytes(data.replace(b"entry 303", b"entry 404"))
    (tmp_path / "log/notes.txt").write_text("hello")
    with pytest.raises(AuditTamperedError) as found:
        AuditLogReader(tmp_path / "log", SIGNER.verifier).verify(being_written=True)
    assert found.value.findings == (
        "tile/entries/001.p/49: entry 47 (leaf 303) is not the one whose hash is in tile/0/001.p/49",
        "notes.txt: no such file belongs to an audit log",
    )


def test_findings_are_bounded(log: AuditLog, tmp_path: Path) -> None:
    for number in range(300):
        (tmp_path / f"log/{number}.txt").write_text("")
    with pytest.raises(AuditTamperedError) as found:
        AuditLogReader(tmp_path / "log", SIGNER.verifier).verify()
    assert len(found.value.findings) == 101


def test_what_a_power_cut_garbled_into_the_form_of_a_record_is_cut_off(log: AuditLog, tmp_path: Path) -> None:
    log.close()
    history = tmp_path / "log/history/000"
    whole = history.read_bytes()
    history.write_bytes(whole + f"{ORIGIN}\n9\nAAAA\n\n— {ORIGIN} AAAA\n2 AAAA\nand a tor".encode())
    with AuditLog.open(tmp_path / "log", SIGNER) as again:
        assert history.read_bytes() == whole
        assert again.size == 5
    AuditLogReader(tmp_path / "log", SIGNER.verifier).verify()
