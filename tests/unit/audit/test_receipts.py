"""A receipt proves an alert without the bus, proves nothing else, and shows no more than it must."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from tests.audited import CARD, SECRETS, AuditedBus, accusation
from tests.edits import edited
from xiezhi.audit import verify_receipt
from xiezhi.audit.note import Signer
from xiezhi.audit.receipt import LoggedLeaf, LoggedRecord, canonical, full_receipt, redacted_receipt
from xiezhi.audit.verify_receipt import NotProvenError, verify
from xiezhi.cli.main import run
from xiezhi.contracts import golden
from xiezhi.contracts.bus import ACTIVATION, ALERT
from xiezhi.errors import AuditError
from xiezhi.log import RawRecord

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "xiezhi/audit/verify_receipt.py"
Change = Callable[[dict[str, Any]], None]


class Given:
    """One alert and both of its receipts."""

    def __init__(self, path: Path) -> None:
        self.bus = AuditedBus(path)
        self.said = self.bus.accuse(payments=3)
        for number in range(300):  # so that proofs have some length
            self.bus.kafka.put("tender.notice.v1", b"notice %d" % number, partition=number % 2)
        self.bus.audit(checkpoint_every=7)
        case, self.key = self.bus.case(self.said)
        self.full, self.redacted = full_receipt(case), redacted_receipt(case)


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Given:
    return Given(tmp_path_factory.mktemp("audited"))


def changed(receipt: bytes, change: Change) -> bytes:
    value = json.loads(receipt)
    change(value)
    return canonical(value)


def test_both_variants_prove_the_alert(given: Given) -> None:
    full, redacted = verify(given.full, given.key), verify(given.redacted, given.key)
    assert (full.variant, full.evidence, full.shown) == ("full", 4, 4)
    assert (redacted.variant, redacted.evidence, redacted.shown) == ("redacted", 4, 3)
    assert any("suspicious-explanation" in fact for fact in full.facts)


def test_a_redacted_receipt_holds_nothing_of_the_alert(given: Given) -> None:
    """Neither the words, nor any digest or salt of the record and its evidence, in any of the usual spellings."""
    text = given.redacted.decode()
    evidence = json.loads(given.full)
    decoded = "".join(
        base64.b64decode(word).decode("latin-1") for word in _strings(json.loads(text)) if _is_base64(word)
    )
    digests = [sha256(each.value or b"").hexdigest() for each in given.bus.kafka.everything()[:4]]
    salts = [each["salt"] for each in (*evidence["evidence"], *evidence["alert"]["opened"].values())]
    for secret in (*SECRETS, "al_1", *digests, *salts, "civil.kinship", "kinship"):
        assert secret not in text, secret
        assert secret not in decoded, secret


def test_a_full_receipt_shows_no_more_of_restricted_evidence_than_the_alert_does(given: Given) -> None:
    restricted = json.loads(given.full)["evidence"][-1]
    assert set(restricted) == {"index", "leaf", "log", "proof", "salt"}
    assert b"a restricted record" not in given.full
    assert base64.b64encode(b"a restricted record") not in given.full


def test_the_verifier_stands_alone(given: Given, tmp_path: Path) -> None:
    """In an environment that holds `cryptography` alone, far from the project."""
    lines = PROGRAM.read_text("utf-8").splitlines()
    assert len(lines) < 500
    venv.create(tmp_path / "alone", with_pip=False)
    packages = next((tmp_path / "alone/lib").glob("python*/site-packages"))
    here = next(Path(path) for path in sys.path if (Path(path) / "cryptography").is_dir())
    for name in ("cryptography", "cffi", "_cffi_backend*", "pycparser"):
        for found in here.glob(name):
            (packages / found.name).symlink_to(found)
    program = tmp_path / "verify_receipt.py"
    program.write_bytes(PROGRAM.read_bytes())
    (tmp_path / "key.pub").write_text(f"{given.key}\n")
    (tmp_path / "receipt.json").write_bytes(given.full)
    (tmp_path / "changed.json").write_bytes(given.full.replace(b'"index":', b'"index":1', 1))

    def check(name: str, key: str) -> subprocess.CompletedProcess[str]:
        command = [str(tmp_path / "alone/bin/python"), "-I", str(program), str(tmp_path / name), "--key", key]
        return subprocess.run(
            command, cwd=tmp_path, env={"PATH": ""}, capture_output=True, text=True, check=False, timeout=60
        )

    proven = check("receipt.json", "key.pub")
    assert proven.returncode == 0, proven.stderr
    assert "已证明 PROVEN" in proven.stdout
    assert "未证明 not proven" in proven.stdout
    assert check("receipt.json", given.key).stdout == proven.stdout
    refused = check("changed.json", "key.pub")
    assert (refused.returncode, refused.stderr) == (1, "")
    assert "NOT PROVEN" in refused.stdout
    assert check("missing.json", "key.pub").returncode == 2
    assert check("receipt.json", "no key").returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "gbk"])
def test_a_terminal_that_cannot_show_a_text_changes_no_verdict(
    given: Given, encoding: str, tmp_path: Path
) -> None:
    (tmp_path / "receipt.json").write_bytes(given.full)
    (tmp_path / "cut.json").write_bytes(given.full[:-1])
    verdicts = {"receipt.json": (0, " PROVEN"), "cut.json": (1, "NOT PROVEN"), "missing.json": (2, "No such")}
    for name, (code, word) in verdicts.items():
        done = subprocess.run(
            [sys.executable, str(PROGRAM), str(tmp_path / name), "--key", given.key],
            env={**os.environ, "PYTHONIOENCODING": encoding},
            capture_output=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == code, done.stderr
        assert word in (done.stdout + done.stderr).decode(encoding)


def test_the_command_is_the_same_program(
    given: Given, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "receipt.json").write_bytes(given.full)
    assert run(["verify", str(tmp_path / "receipt.json"), "--key", given.key]) == 0
    assert "PROVEN" in capfd.readouterr().out
    (tmp_path / "receipt.json").write_bytes(given.full[:-1])
    assert run(["verify", str(tmp_path / "receipt.json"), "--key", given.key]) == 1
    assert run(["verify", str(tmp_path / "receipt.json")]) == 2


def test_every_version_of_the_schemas_is_known_to_the_verifier() -> None:
    for contract in (ALERT, ACTIVATION):
        published = {
            sha256(canonical(each.schema)[:-1]).hexdigest() for each in golden.load(contract).values()
        }
        assert verify_receipt.SCHEMAS[contract.topic] == published, (
            f"{contract.name} has a new schema: teach xiezhi/audit/verify_receipt.py its SHA-256, then its new content"
        )


def test_a_key_of_another_log_and_a_forged_log_prove_nothing(given: Given, tmp_path: Path) -> None:
    forger = Given(tmp_path)
    assert verify(forger.full, forger.key)
    with pytest.raises(NotProvenError, match="not signed by this key"):
        verify(forger.full, given.key)
    with pytest.raises(NotProvenError, match="not signed by this key"):
        verify(given.full, str(Signer.create("xiezhi-test/1").verifier))
    with pytest.raises(ValueError, match="public key"):
        verify(given.full, given.key[:-4])


def _swap_schema(receipt: dict[str, Any]) -> None:
    fields = receipt["schemas"][ALERT.topic]["fields"]
    names = [field["name"] for field in fields]
    one, other = names.index("rule_id"), names.index("join")
    fields[one]["name"], fields[other]["name"] = fields[other]["name"], fields[one]["name"]


CHANGES: dict[str, Change] = {
    "a piece of evidence left out": lambda r: r["evidence"].pop(),
    "a piece of evidence twice": lambda r: r["evidence"].append(r["evidence"][0]),
    "evidence in another order": lambda r: r["evidence"].reverse(),
    "another index": lambda r: r["alert"].update(index=r["alert"]["index"] + 1),
    "a negative index": lambda r: r["alert"].update(index=-1),
    "a Boolean for a number": lambda r: r["alert"].update(log=False),
    "a log that is not there": lambda r: r["alert"].update(log=1),
    "the leaf of the activation for the alert": lambda r: r["alert"].update(leaf=r["activation"]["leaf"]),
    "no proof": lambda r: r["alert"].update(proof=""),
    "a field more": lambda r: r.update(note="true"),
    "a field less": lambda r: r.pop("earlier"),
    "other schema": _swap_schema,
    "no schema": lambda r: r["schemas"].pop(ALERT.topic),
    "another variant": lambda r: r.update(variant="complete"),
    "another format": lambda r: r.update(format="xiezhi-receipt/v2"),
    "content left in": lambda r: r.update(variant="redacted"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_of_meaning_is_found(given: Given, name: str) -> None:
    with pytest.raises(NotProvenError):
        verify(changed(given.full, CHANGES[name]), given.key)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'{"activation"', b'{ "activation"'),
        (b"\n", b""),
        (b"}\n", b"}\n\n"),
        (b'"variant":"full"', b'"variant":"full","variant":"full"'),
        (b'"variant"', b'"\\u0076ariant"'),
        (b'"log":0', b'"log":0.0'),
        (b'"log":0', b'"log":-0'),
        (b'"log":0', b'"log":0e0'),
        (b'"log":0', b'"log":NaN'),
        (b"{", b"\xef\xbb\xbf{"),
    ],
)
def test_a_change_of_spelling_is_refused(given: Given, old: bytes, new: bytes) -> None:
    at = given.full.rindex(old)
    with pytest.raises(NotProvenError):
        verify(given.full[:at] + new + given.full[at + len(old) :], given.key)


def test_base64_with_bits_that_nobody_reads_is_refused(given: Given) -> None:
    def spare(receipt: dict[str, Any]) -> None:
        field = next(each for each in receipt["alert"]["opened"].values() if each["bytes"].endswith("="))
        alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
        text = field["bytes"].rstrip("=")
        field["bytes"] = (
            text[:-1] + alphabet[alphabet.index(text[-1]) + 1] + "=" * (len(field["bytes"]) - len(text))
        )

    def countersign(receipt: dict[str, Any]) -> None:
        receipt["checkpoint"] += "— somebody.else AB==\n"

    for change in (spare, countersign):
        with pytest.raises(NotProvenError, match="base64"):
            verify(changed(given.full, change), given.key)


def test_a_full_receipt_redacted_by_hand_is_the_redacted_one(given: Given) -> None:
    def redact(receipt: dict[str, Any]) -> None:
        receipt["variant"] = "redacted"
        del receipt["alert"]["opened"], receipt["schemas"][ALERT.topic]
        for each in receipt["evidence"]:
            del each["salt"]

    by_hand = verify(changed(given.full, redact), given.key)
    assert (by_hand.variant, by_hand.evidence) == ("redacted", 4)
    assert not any("suspicious" in fact for fact in by_hand.facts)


def _hide(receipt: dict[str, Any], listed: dict[str, Any]) -> None:
    """One more piece of evidence of which nobody sees what it is."""
    leaf_hash = sha256(b"\0" + listed["leaf"].encode()).hexdigest()
    place = {name: listed[name] for name in ("index", "log", "proof")}
    receipt["evidence"].append({"hash": leaf_hash, **place})


@pytest.mark.parametrize(
    "twice",
    [
        lambda r: r["evidence"].append(r["evidence"][0]),
        lambda r: r["evidence"].append(next(one for one in r["evidence"] if "hash" in one)),
        lambda r: _hide(r, next(one for one in r["evidence"] if "leaf" in one)),
        lambda r: _hide(r, r["alert"]),
        lambda r: _hide(r, r["activation"]),
    ],
    ids=["shown", "hidden", "shown and hidden", "the alert", "the activation"],
)
def test_a_redacted_receipt_counts_no_leaf_twice(given: Given, twice: Change) -> None:
    with pytest.raises(NotProvenError, match="counted, twice"):
        verify(changed(given.redacted, twice), given.key)


def test_a_record_that_the_alert_names_twice_is_listed_once(given: Given) -> None:
    case, key = given.bus.case(given.said)
    again = replace(case, evidence=[*case.evidence, *case.evidence])
    assert redacted_receipt(again) == given.redacted
    assert verify(given.redacted, key).evidence == len(case.evidence)


@pytest.mark.parametrize("seed", range(300))
def test_no_edit_of_a_receipt_is_overlooked(given: Given, seed: int) -> None:
    for receipt in (given.full, given.redacted):
        with pytest.raises(NotProvenError):
            verify(edited(receipt, seed), given.key)


@pytest.mark.parametrize(
    "hostile",
    [
        b"[" * 100_000 + b"\n",
        b'{"a":' * 90_000 + b"\n",
        b"[" + b"[]," * 1_000_000 + b"[]]\n",
        b"1" * 5_000 + b"\n",
        b'"' + b"x" * (16 * 1024 * 1024 + 1) + b'"\n',
        b"\xff\xfe",
        b'"\\ud800"\n',
        b"null\n",
        b"",
    ],
    ids=[
        "deep list",
        "deep object",
        "many values",
        "long number",
        "large",
        "not UTF-8",
        "surrogate",
        "null",
        "empty",
    ],
)
def test_hostile_input_ends_soon_and_in_little_memory(given: Given, hostile: bytes, tmp_path: Path) -> None:
    assert "NOT PROVEN" in checked_within_limits(hostile, given.key, tmp_path)


def test_a_checkpoint_of_a_million_signatures_ends_soon_and_in_little_memory(
    given: Given, tmp_path: Path
) -> None:
    count = (verify_receipt.FILE_BYTES_MAX - len(given.full)) // len("— a b\\n".encode())

    def countersign(receipt: dict[str, Any]) -> None:
        receipt["checkpoint"] += "— a b\n" * count

    said = checked_within_limits(changed(given.full, countersign), given.key, tmp_path)
    assert "not a signed note" in said


def checked_within_limits(receipt: bytes, key: str, folder: Path) -> str:
    """What is said of an unproven receipt by a process that may take ten seconds and half a gigabyte."""
    (folder / "hostile").write_bytes(receipt)
    limits = "ulimit -v 600000; ulimit -t 10; exec"
    command = f'{limits} "{sys.executable}" "{PROGRAM}" hostile --key "{key}"'
    done = subprocess.run(
        ["/bin/sh", "-c", command],
        cwd=folder,
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    return done.stdout


def test_hostile_lengths_inside_a_logged_alert_are_refused(tmp_path: Path) -> None:
    """Somebody got bytes onto the alert topic that declare a huge list: logged, but no receipt comes of it."""
    bus = AuditedBus(tmp_path)
    said = bus.accuse()
    record = RawRecord(
        said.topic, 0, 1, said.ingested_ms + 9, said.key, (said.value or b"")[:-40], said.headers
    )
    bus.kafka.places[said.topic, 0].append(record)
    bus.audit()
    with pytest.raises(AuditError, match="is no alert"):
        bus.case(record)


def test_evidence_that_is_no_leaf_makes_no_receipt(tmp_path: Path) -> None:
    bus = AuditedBus(tmp_path)
    said = bus.accuse()
    bus.audit(record for record in bus.kafka.everything() if record.topic != "finance.payment.v1")
    with pytest.raises(AuditError, match="0 is not under a checkpoint"):
        bus.case(said)


def test_an_alert_that_rests_on_other_bytes_than_were_logged_has_no_receipt(tmp_path: Path) -> None:
    bus = AuditedBus(tmp_path)
    evidence = [bus.kafka.put("finance.payment.v1", b"as published")]
    bus.activate()
    shown = [RawRecord(r.topic, r.partition, r.offset, r.ingested_ms, r.key, b"as judged") for r in evidence]
    said = bus.say(accusation(shown))
    bus.audit()
    with pytest.raises(AuditError, match="other bytes than those that were logged"):
        bus.case(said)


def test_an_erased_salt_ends_the_proof(tmp_path: Path) -> None:
    bus = AuditedBus(tmp_path)
    said = bus.accuse()
    bus.audit()
    index = bus.index()
    found = index.find("finance.payment.v1", 0, 0)
    index.close()
    assert found is not None
    with bus.folder.open(1) as log:
        log.erase_salt(found[1])
    with pytest.raises(AuditError, match=r"salt of .* was erased"):
        bus.case(said)


@pytest.mark.parametrize("change", ["switched off", "other code", "after the alert"])
def test_a_rule_that_was_not_activated_makes_no_receipt(tmp_path: Path, change: str) -> None:
    bus = AuditedBus(tmp_path)
    evidence = [bus.kafka.put("finance.payment.v1", b"value")]
    if change == "switched off":
        bus.activate(enabled=False)
    elif change == "other code":
        bus.activate(code_hash="cd" * 32)
    said = bus.say(accusation(evidence))
    bus.activate()
    bus.audit()
    with pytest.raises(AuditError, match="no activation"):
        bus.case(said)


def _as_proof(bus: AuditedBus, record: RawRecord) -> LoggedRecord:
    """A record with its leaf, as whoever keeps the log could put it into a receipt."""
    index, reader = bus.index(), bus.folder.reader(1)
    _, leaf = index.find(record.topic, record.partition, record.offset) or (0, 0)
    index.close()
    entry, salt = next(reader.entries(leaf, leaf + 1)), reader.salt(leaf)
    assert salt is not None
    proof = reader.inclusion_proof(leaf, reader.latest().size)
    return LoggedRecord(record, LoggedLeaf(0, leaf, entry, salt, tuple(proof)))


@pytest.mark.parametrize("change", ["switched off", "after the alert"])
def test_no_variant_takes_another_record_for_the_activation(tmp_path: Path, change: str) -> None:
    """The redacted one cannot tell whether the alert quotes the activation, but it says that the rule was activated."""
    bus = AuditedBus(tmp_path)
    off = bus.activate(enabled=False)
    said = bus.accuse()
    late = bus.activate()
    bus.audit()
    case, key = bus.case(said)
    other = replace(case, activation=_as_proof(bus, off if change == "switched off" else late))
    for receipt in (full_receipt(other), redacted_receipt(other)):
        with pytest.raises(NotProvenError, match="not activated before"):
            verify(receipt, key)


def test_the_rule_shown_is_the_one_on_the_card(tmp_path: Path) -> None:
    """The alert quotes card and code; what else an activation says of the rule, nobody has vouched for."""
    bus = AuditedBus(tmp_path)
    evidence = [bus.kafka.put("finance.payment.v1", b"value")]
    bus.activate(rule_version=99)
    said = bus.say(accusation(evidence))
    bus.audit()
    case, key = bus.case(said)
    for receipt in (full_receipt(case), redacted_receipt(case)):
        facts = verify(receipt, key).facts
        assert any(f"rule: {CARD.id} v{CARD.version}:" in fact for fact in facts)
        assert not any("v99" in fact for fact in facts)


def test_a_statement_with_another_digest_than_its_content_is_not_proven(tmp_path: Path) -> None:
    bus = AuditedBus(tmp_path)
    said = bus.accuse(content_digest="00" * 32)
    bus.audit()
    case, key = bus.case(said)
    with pytest.raises(NotProvenError, match="its own digest"):
        verify(full_receipt(case), key)


def test_a_receipt_spans_a_change_of_key(tmp_path: Path) -> None:
    bus = AuditedBus(tmp_path)
    evidence = [bus.kafka.put("finance.payment.v1", b"before")]
    bus.activate()
    bus.audit()
    old = str(bus.folder.verifier(1))
    bus.folder.continue_(None, lost_key=False)
    said = bus.say(accusation(evidence))
    bus.audit()
    case, key = bus.case(said)
    receipt = full_receipt(case)
    assert verify(receipt, key).evidence == 1
    assert json.loads(receipt)["evidence"][0]["log"] == 1
    with pytest.raises(NotProvenError):
        verify(receipt, old)

    def forget(value: dict[str, Any]) -> None:
        value["earlier"].clear()

    with pytest.raises(NotProvenError, match="not under the checkpoint"):
        verify(changed(receipt, forget), key)
    for seed in range(100):
        with pytest.raises(NotProvenError):
            verify(edited(receipt, seed), key)


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [word for each in value.values() for word in _strings(each)]
    if isinstance(value, list):
        return [word for each in value for word in _strings(each)]
    return [value] if isinstance(value, str) else []


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False
