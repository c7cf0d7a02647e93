"""`xiezhi audit check` finds whatever is missing, twice, changed or invented: in Kafka, in the log, in the index."""

from __future__ import annotations

import json
import shutil
import sqlite3
import stat
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import pytest

from consumers.audit import checking
from consumers.audit.checking import Findings
from consumers.audit.erasures import erasure, stated
from tests.audited import CLUSTER, TOPIC_ID, AuditedBus
from xiezhi.access import Act, accesses
from xiezhi.audit.checkpoint import Checkpoint, SignedCheckpoint
from xiezhi.audit.epoch import Opening
from xiezhi.audit.leaf import GapLeaf, RecordLeaf, parse, record_leaf
from xiezhi.audit.log import AuditLog
from xiezhi.audit.note import Signer
from xiezhi.codec import Codec
from xiezhi.contracts.bus import ACCESS
from xiezhi.errors import AuditUnusableError
from xiezhi.settings import Settings

TOPIC = "finance.payment.v1"


@pytest.fixture
def bus(tmp_path: Path) -> AuditedBus:
    bus = AuditedBus(tmp_path)
    bus.accuse(payments=20)
    for number in range(600):
        bus.kafka.put("tender.notice.v1", b"notice %d" % number, partition=number % 2)
    bus.audit(checkpoint_every=100)
    return bus


def check(
    bus: AuditedBus, seen: list[SignedCheckpoint] | None = None, erased: Container[str] = ()
) -> Findings:
    topics = sorted({topic for topic, _ in bus.kafka.places})
    index = bus.index()
    try:
        return checking.check(
            bus.folder.readers(),
            bus.kafka,
            index=index.content(),
            seen={bus.folder.newest(): seen or []},
            ends=checking.ends_of(bus.kafka, topics),
            erased=lambda: erased,
            progress=lambda *_: None,
        )
    finally:
        index.close()


@pytest.mark.parametrize("missing", [1, 2])
def test_a_log_that_is_missing_between_others_is_a_finding(bus: AuditedBus, missing: int) -> None:
    for _ in range(2):
        bus.folder.continue_(None, lost_key=False)
    shutil.rmtree(bus.folder.log(missing))
    assert any(f"log {missing}: it is missing" in problem for problem in check(bus).problems)


def test_the_index_is_for_its_owner_alone(bus: AuditedBus) -> None:
    assert stat.S_IMODE(bus.folder.index.stat().st_mode) == 0o600


def test_a_log_as_the_service_writes_it_is_good(bus: AuditedBus) -> None:
    findings = check(bus)
    assert findings.problems == []
    records = len(bus.kafka.everything())
    assert findings.compared == records
    assert findings.leaves == records + len({topic for topic, _ in bus.kafka.places})
    assert findings.checkpoints > 5
    assert findings.partitions == 7


def test_small_chunks_find_the_same(bus: AuditedBus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checking, "CHUNK_LEAVES", 7)
    assert check(bus).problems == []


def _drop_last_record(bus: AuditedBus) -> None:
    bus.kafka.places[TOPIC, 0].pop()


def _drop_record(bus: AuditedBus) -> None:
    del bus.kafka.places[TOPIC, 0][5]


def _change(**changes: Any) -> Callable[[AuditedBus], None]:
    def change(bus: AuditedBus) -> None:
        held = bus.kafka.places[TOPIC, 0]
        held[5] = held[5]._replace(**changes)

    return change


def _more(bus: AuditedBus) -> None:
    bus.kafka.put(TOPIC, b"not audited")


def _index(statement: str) -> Callable[[AuditedBus], None]:
    def change(bus: AuditedBus) -> None:
        connection = sqlite3.connect(bus.folder.index)
        with connection:
            connection.execute(statement)
        connection.close()

    return change


def _flip(pattern: str, at: int) -> Callable[[AuditedBus], None]:
    """One bit of a file of the log."""

    def change(bus: AuditedBus) -> None:
        path = sorted(bus.folder.log(1).glob(pattern))[0]
        data = bytearray(path.read_bytes())
        data[at % len(data)] ^= 1
        path.write_bytes(data)

    return change


def _other_checkpoint(bus: AuditedBus) -> None:
    path = bus.folder.log(1) / "checkpoint"
    signer = Signer.read(bus.folder.private_key(1))
    path.write_bytes(SignedCheckpoint.sign(Checkpoint(signer.name, 10, bytes(32)), signer).note)


HARMS: dict[str, tuple[Callable[[AuditedBus], None], str]] = {
    "a record gone from Kafka": (_drop_record, "/5 is a leaf, and Kafka has no such record"),
    "the last record gone from Kafka": (_drop_last_record, "/19 is a leaf, and Kafka has no such record"),
    "another value": (_change(value=b"x"), "other value"),
    "a value that became null": (_change(value=None), "other value"),
    "another key": (_change(key=b"x"), "other key"),
    "other headers": (_change(headers=[("a", b"1")]), "other headers"),
    "another time": (_change(ingested_ms=1), "other ingested_ms"),
    "a record that is not audited": (_more, "offsets 20 to 20 have no leaf"),
    "a run moved in the index": (
        _index("UPDATE runs SET leaf = leaf + 1 WHERE topic = 'finance.payment.v1'"),
        "index:",
    ),
    "a run lost in the index": (_index("DELETE FROM runs WHERE topic = 'finance.payment.v1'"), "index:"),
    "a run invented in the index": (_index("INSERT INTO runs VALUES ('x.y.v1', 0, 0, 1, 1, 3)"), "index:"),
    "a tile": (_flip("tile/0/**/[0-9]*", 100), "tile/"),
    "an entry": (_flip("tile/entries/**/[0-9]*", 100), "tile/entries"),
    "a checkpoint of the history": (_flip("history/*", 60), "history/"),
    "a salt": (_flip("salt/*", 16 * 30), "or another salt"),
    "the checkpoint in place": (_other_checkpoint, "checkpoint"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_harm_is_found_and_named(bus: AuditedBus, harm: str) -> None:
    do_harm, said = HARMS[harm]
    do_harm(bus)
    problems = check(bus).problems
    assert problems
    assert any(said in problem for problem in problems), problems


def test_a_whole_log_put_back_is_found_by_the_checkpoint_on_the_bus(bus: AuditedBus, tmp_path: Path) -> None:
    signer = Signer.read(bus.folder.private_key(1))
    size = bus.folder.reader(1).latest().size
    later = SignedCheckpoint.sign(Checkpoint(signer.name, size + 5, bytes(32)), signer)
    assert any("was signed" in problem for problem in check(bus, [later]).problems)


def forged(bus: AuditedBus, *leaves: RecordLeaf | GapLeaf) -> None:
    """Whoever holds the key can sign anything; it must still agree with Kafka."""
    with AuditLog.open(bus.folder.log(1), Signer.read(bus.folder.private_key(1))) as log:
        log.append([leaf.to_bytes() for leaf in leaves], [bytes([1]) * 16] * len(leaves))
        log.publish()


def test_a_leaf_that_is_signed_twice_is_found(bus: AuditedBus) -> None:
    forged(bus, record_leaf(bus.kafka.places[TOPIC, 0][3], bytes([1]) * 16))
    assert any("finance.payment.v1/0/3 is a leaf twice" in each for each in check(bus).problems)


def test_a_leaf_of_a_record_that_never_was_is_found(bus: AuditedBus) -> None:
    invented = bus.kafka.places[TOPIC, 0][-1]._replace(offset=20, value=b"invented")
    forged(bus, record_leaf(invented, bytes([1]) * 16))
    assert any("/20 is a leaf, and Kafka has no such record" in each for each in check(bus).problems)


def test_offsets_that_are_skipped_or_said_to_be_a_gap_are_found(bus: AuditedBus) -> None:
    for number in range(3):
        bus.kafka.put(TOPIC, b"late %d" % number)
    last = bus.kafka.places[TOPIC, 0][-1]
    forged(bus, record_leaf(last, bytes([1]) * 16))
    assert any("offsets 20 to 21 have no leaf" in each for each in check(bus).problems)


def test_a_gap_that_hides_records_is_found(bus: AuditedBus) -> None:
    for number in range(3):
        bus.kafka.put(TOPIC, b"late %d" % number)
    first, _, last = bus.kafka.places[TOPIC, 0][-3:]
    salt = bytes([1]) * 16
    forged(bus, record_leaf(first, salt), GapLeaf(TOPIC, 0, 21, 22, "hole", 1), record_leaf(last, salt))
    assert any("/21 is in Kafka and has no leaf" in each for each in check(bus).problems)


@pytest.mark.parametrize("at", ["the beginning", "the end"])
def test_a_gap_that_hides_the_first_or_last_records_is_found(tmp_path: Path, at: str) -> None:
    bus = AuditedBus(tmp_path)
    for number in range(6):
        bus.kafka.put(TOPIC, b"value %d" % number)
    if at == "the beginning":
        bus.audit(bus.kafka.everything()[3:])
        hidden = range(3)
    else:
        bus.audit(bus.kafka.everything()[:4])
        forged(bus, GapLeaf(TOPIC, 0, 4, 6, "hole", 1))
        hidden = range(4, 6)
    assert check(bus).problems == [f"{TOPIC}/0/{offset} is in Kafka and has no leaf" for offset in hidden]


def test_a_hole_that_kafka_has_too_is_no_problem_and_a_cut_is_one(tmp_path: Path) -> None:
    bus = AuditedBus(tmp_path)
    for offset in (0, 1, 5, 6):
        bus.kafka.put(TOPIC, b"value", offset=offset)
    bus.audit()
    assert check(bus).problems == []
    forged(bus, GapLeaf("tender.bid.v1", 0, 0, 9, "cut", 1))
    assert any("dropped records 0 to 8" in each for each in check(bus).problems)


def test_salts_erased_on_purpose_are_counted_and_others_that_are_gone_are_a_problem(bus: AuditedBus) -> None:
    with bus.folder.open(1) as log:
        log.erase_salt(30)
    address = next(
        f"{leaf.topic}/{leaf.partition}/{leaf.offset}"
        for leaf in map(parse, bus.folder.reader(1).entries(30, 31))
        if isinstance(leaf, RecordLeaf)
    )
    findings = check(bus, erased={address})
    assert (findings.problems, findings.erased) == ([], 1)
    (problem,) = check(bus).problems
    assert problem.startswith(f"{address}: the salt of leaf 30 is gone, and no access record says")


def test_the_access_trail_says_which_salts_were_erased(bus: AuditedBus) -> None:
    codec = Codec(bus.registry)
    bus.registry.register(ACCESS.subject, json.dumps(ACCESS.schema))
    acts = [erasure((f"{TOPIC}/0/3",)), erasure((f"{TOPIC}/0/4", f"{TOPIC}/1/5"))]
    acts.append(Act("read", "record", (f"{TOPIC}/0/9",), "dead-letters show"))
    assert stated(bus.kafka, codec) == frozenset(), "nobody did anything"
    for act in acts:
        for one in accesses(Settings(), act, purpose="", now_ms=1):
            bus.kafka.put(ACCESS.topic, codec.encode(ACCESS.subject, one.model_dump()))
    bus.kafka.put(ACCESS.topic, b"nonsense")
    assert stated(bus.kafka, codec) == {f"{TOPIC}/0/3", f"{TOPIC}/0/4", f"{TOPIC}/1/5"}


def test_only_what_people_are_shown_says_that_a_salt_was_erased(bus: AuditedBus) -> None:
    codec = Codec(bus.registry)
    bus.registry.register(ACCESS.subject, json.dumps(ACCESS.schema))
    (told,) = accesses(Settings(), erasure((f"{TOPIC}/0/3",)), purpose="", now_ms=1)
    written = told.model_dump()
    for forged in (
        written | {"object_id": f"{TOPIC}/0/5"},  # its id again: the first is the one that counts
        written | {"record_id": "f" * 32, "object_id": f"{TOPIC}/0/6", "action": "read"},
        written | {"record_id": "e" * 32, "object_id": f"{TOPIC}/0/7", "actor": ""},  # breaks the contract
    ):
        bus.kafka.put(ACCESS.topic, codec.encode(ACCESS.subject, written))
        bus.kafka.put(ACCESS.topic, codec.encode(ACCESS.subject, forged))
    assert stated(bus.kafka, codec) == {f"{TOPIC}/0/3"}


def test_a_trail_that_was_cut_says_what_is_left_of_it(bus: AuditedBus) -> None:
    codec = Codec(bus.registry)
    bus.registry.register(ACCESS.subject, json.dumps(ACCESS.schema))
    (told,) = accesses(Settings(), erasure((f"{TOPIC}/0/3",)), purpose="", now_ms=1)
    bus.kafka.put(ACCESS.topic, codec.encode(ACCESS.subject, told.model_dump()), offset=7)
    bus.kafka.lows[ACCESS.topic, 0] = 7
    assert stated(bus.kafka, codec) == {f"{TOPIC}/0/3"}


def test_the_trail_cannot_excuse_itself(bus: AuditedBus) -> None:
    """Or a record of it could be rewritten into one that says that it was itself to be erased."""
    bus.kafka.put(ACCESS.topic, b"whatever it says")
    bus.audit()
    size = bus.folder.reader(1).latest().size
    place = f"kind record\ntopic {ACCESS.topic}\n".encode()
    (leaf,) = (at for at, entry in enumerate(bus.folder.reader(1).entries(0, size)) if place in entry)
    with bus.folder.open(1) as log:
        log.erase_salt(leaf)
    (problem,) = check(bus, erased={f"{ACCESS.topic}/0/0"}).problems
    assert "the access trail cannot be erased" in problem


def test_the_trail_is_asked_after_all_salts_were_looked_at(bus: AuditedBus) -> None:
    """What is erased while a check is under way is on the trail by the time it asks."""
    asked = []

    class Late:
        def __contains__(self, address: object) -> bool:
            asked.append(address)
            return True

    with bus.folder.open(1) as log:
        log.erase_salt(30)
    assert check(bus, erased=Late()).problems == []
    assert len(asked) == 1


def test_an_index_that_is_behind_is_no_problem(bus: AuditedBus) -> None:
    bus.folder.index.unlink()
    assert check(bus).problems == []


@pytest.mark.parametrize("lost_key", [False, True])
def test_a_log_that_continues_another_is_good(bus: AuditedBus, lost_key: bool) -> None:
    if lost_key:
        bus.folder.private_key(1).unlink()
    bus.folder.continue_(None, lost_key=lost_key)
    bus.kafka.put(TOPIC, b"under the new key")
    bus.audit()
    findings = check(bus)
    assert findings.problems == []
    assert findings.logs == 2


def test_a_log_that_was_written_to_after_it_was_continued_is_found(bus: AuditedBus) -> None:
    bus.folder.continue_(None, lost_key=True)
    forged(bus, record_leaf(bus.kafka.places[TOPIC, 0][-1]._replace(offset=20), bytes([1]) * 16))
    assert any("written to after log 2" in each for each in check(bus).problems)


def test_a_log_whose_end_was_lost_is_found(bus: AuditedBus) -> None:
    signer = Signer.read(bus.folder.private_key(1))
    seen = SignedCheckpoint.sign(Checkpoint(signer.name, 10_000, bytes(32)), signer)
    bus.folder.continue_(seen, lost_key=True)
    assert any("its end is lost" in each for each in check(bus).problems)


def test_a_rekey_that_was_interrupted_anywhere_goes_on(
    bus: AuditedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    def crash(*_: object, **__: object) -> None:
        raise Crash

    for owner, name in ((AuditLog, "create"), (AuditLog, "publish"), (Opening, "to_bytes")):
        monkeypatch.setattr(owner, name, crash)
        with pytest.raises(Crash):
            bus.folder.continue_(None, lost_key=False)
        monkeypatch.undo()
    bus.folder.continue_(None, lost_key=False)
    assert bus.folder.numbers() == [1, 2]
    assert check(bus).problems == []
    first = next(bus.folder.reader(2).entries(0, 1))
    assert Opening.parse(first).previous == bus.folder.verifier(1)


def test_an_interrupted_rekey_asks_the_bus_about_the_log_that_it_continues(
    bus: AuditedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else what the bus knows of a lost end would be forgotten, and a smaller log be continued."""

    class Crash(Exception):
        pass

    def crash(*_: object) -> None:
        raise Crash

    monkeypatch.setattr(Opening, "to_bytes", crash)
    with pytest.raises(Crash):
        bus.folder.continue_(None, lost_key=True)
    monkeypatch.undo()
    assert (bus.folder.newest(), bus.folder.to_continue()) == (2, 1)
    bus.folder.continue_(None, lost_key=True)
    assert (bus.folder.newest(), bus.folder.to_continue()) == (2, 2)


def test_a_log_that_was_closed_in_favour_of_a_lost_key_is_not_continued_by_another(
    bus: AuditedBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Crash(Exception):
        pass

    def crash(*_: object, **__: object) -> None:
        raise Crash

    monkeypatch.setattr(AuditLog, "create", crash)
    with pytest.raises(Crash):
        bus.folder.continue_(None, lost_key=False)
    monkeypatch.undo()
    bus.folder.private_key(2).unlink()
    with pytest.raises(AuditUnusableError, match="closed in favour of the key xiezhi-test/2") as refused:
        bus.folder.continue_(None, lost_key=False)
    assert str(bus.folder.private_key(2)) in str(refused.value), "where the key has to be"
    bus.folder.continue_(None, lost_key=True)
    held = bus.kafka.places[TOPIC, 0]
    held[-1] = held[-1]._replace(value=b"changed")
    problems = check(bus).problems
    assert any("do not name each other's keys" in each for each in problems), "as if log 2 had been swapped"
    assert any("is not the one in leaf" in each for each in problems), "and the rest is still compared"


def test_an_empty_log_whose_key_is_lost_can_be_continued(tmp_path: Path) -> None:
    bus = AuditedBus(tmp_path)
    bus.folder.private_key(1).unlink()
    bus.folder.continue_(None, lost_key=True)
    bus.kafka.put(TOPIC, b"value")
    bus.audit()
    assert check(bus).problems == []


def test_leaves_of_topics_are_part_of_the_log(bus: AuditedBus) -> None:
    text = next(bus.folder.reader(1).entries(0, 1))
    assert f"cluster {CLUSTER}\ntopic_id {TOPIC_ID}\n" in text.decode()
    assert parse(text)
