"""Checks a receipt offline: `python verify_receipt.py FILE --key PUB`. Needs Python 3.11 and `cryptography` alone.

It shares no code with the bus, so that an expert can read in this one file what a proof rests on. PUB is the public
key of the audit log, a file or the text itself; it must come from somewhere else than the receipt. So must this
program, which knows how the bus writes alerts and activations (SCHEMAS): a receipt carries these schemas, and one with
others is refused, since the same bytes under another schema would say something else.

Exit code 0: proven; the output says what is and what is not. 1: not proven, with the reason. 2: wrong usage. Follows
RFC 9162 (tree, proofs), C2SP signed-note and tlog-checkpoint, Avro 1.12 (binary encoding). Texts are here and not in
a catalogue, because the file must stand alone. The format of a receipt: docs/reference/receipt.md.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import unicodedata
from collections import namedtuple
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import Any, NoReturn

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FORMAT = "xiezhi-receipt/v1"
#: A receipt of some thousand pieces of evidence fits; whatever is larger could only fill the memory.
FILE_BYTES_MAX = 16 * 1024 * 1024
#: Values in the file: a byte of JSON can become a hundred in memory.
VALUES_MAX = 200_000
KEY_BYTES_MAX, SIGNATURES_MAX = 4096, 16
ALERT, ACTIVATION = "xiezhi.alert.v1", "xiezhi.activation.v1"
#: SHA-256 of every schema that alerts and activations were ever written with, as canonical JSON.
SCHEMAS = {
    ALERT: {
        "b48cf987a8b50447b9d8fee0e4506a12a665d01e87a699f4ec767d1f8fa24ca0",
        "bddab1c62c0992c06d9e2177bf65a484300f6089ba54e42235615e186db2765b",
    },
    ACTIVATION: {"5ceef82f50a29938960fac0dd74afacfda45aa03bd459bff2074222c73999891"},
}
#: What the `content_digest` of an alert covers, beside these parts of its evidence.
CONTENT = """rule_id rule_version activation severity handling join join_key subject jurisdiction office reason title
    explanation rule_text legal_basis parameters tier"""
CONTENT_OF_EVIDENCE = "record_type record_id version event_id digest fields"


class NotProvenError(Exception):
    """The receipt does not prove what it says; the message is the reason, in Chinese and English."""


def _refuse(reason: str) -> NoReturn:
    raise NotProvenError(reason)


def _require(holds: object, reason: str) -> None:
    if not holds:
        _refuse(reason)


@dataclass(frozen=True)
class Verified:
    """What a receipt says, line by line, and how many entries it proves; `shown` of them with their place."""

    variant: str
    facts: tuple[str, ...]
    evidence: int
    shown: int


def verify(data: bytes, key: str) -> Verified:
    """Check a receipt's bytes against a public key. Raises NotProvenError; ValueError when the key is none."""
    verifier = Key.parse(key)
    receipt = _shaped(_canonical(data), RECEIPT, "receipt")
    _require(receipt["format"] == FORMAT, f"不是此格式的凭证 / this is not a receipt of format {FORMAT}")
    heads = [verifier.open(receipt["checkpoint"])]
    for earlier in receipt["earlier"]:
        heads.append(_continued(earlier, heads))
    check = {"full": _full, "redacted": _redacted}.get(receipt["variant"])
    return check(receipt, heads) if check else _refuse("凭证类型不明 / neither a full nor a redacted receipt")


def _full(receipt: Mapping[str, Any], heads: Heads) -> Verified:
    leaf, opened = _opened(receipt["alert"], heads, ALERT, ("headers", "key", "value"))
    alert, evidence = _decoded(receipt, ALERT, opened["value"]), receipt["evidence"]
    _check_alert(alert, opened["key"], _headers(opened["headers"]))
    _require(len(evidence) == len(alert["evidence"]), "证据条数不符 / the alert names more or fewer records")
    for number, named in enumerate(alert["evidence"]):
        _check_evidence(number, named, evidence[number], heads)
    activation = _activation(receipt, heads, leaf)
    covered = f"{activation['card']}\x1f{activation['code_hash']}".encode()
    quoted = (activation["rule_id"], sha256(covered).hexdigest()) == (alert["rule_id"], alert["activation"])
    _require(quoted, "激活记录不是预警所引用的 / the activation is not the one that the alert quotes")
    facts = (*_facts_of_alert(alert), *_facts_of_rule(activation), *_facts_of_log(leaf, heads[0]))
    places = {(one["log"], one["index"]) for one in evidence}  # the alert may name a record twice
    return Verified("full", facts, len(places), len(places))


def _redacted(receipt: Mapping[str, Any], heads: Heads) -> Verified:
    leaf, evidence = _leaf(_shaped(receipt["alert"], LEAF, "alert"), heads, ALERT), receipt["evidence"]
    for given in evidence:
        if isinstance(given, dict) and "leaf" in given:
            _leaf(_shaped(given, LEAF, "evidence"), heads)
        else:
            hidden = _shaped(given, {"hash": str, "index": int, "log": int, "proof": str}, "evidence")
            _check_included(hidden, heads, _hash(hidden["hash"]))
    facts = (*_facts_of_rule(_activation(receipt, heads, leaf)), *_facts_of_log(leaf, heads[0]))
    places = {(one["log"], one["index"]) for one in (receipt["alert"], receipt["activation"], *evidence)}
    _require(len(places) == len(evidence) + 2, "同一条目列出两次 / a leaf is listed, and counted, twice")
    return Verified("redacted", facts, len(evidence), sum("leaf" in one for one in evidence))


def _check_alert(alert: Mapping[str, Any], key: bytes, headers: Mapping[bytes, bytes | None]) -> None:
    """Key and headers agree with the value, and the names and values of its content with its own digest."""
    id_ = alert["record_id"].encode()
    if (key, headers.get(b"ce_subject"), headers.get(b"ce_type")) != (id_, id_, ALERT.encode()):
        _refuse("消息键、消息头与预警编号不一致 / key, headers and id of the alert differ")
    content = {name: alert[name] for name in CONTENT.split()}
    evidence = [[each[name] for name in CONTENT_OF_EVIDENCE.split()] for each in alert["evidence"]]
    if sha256(_dump([content, evidence]).encode()).hexdigest() != alert["content_digest"]:
        _refuse("预警内容与其自身摘要不符 / the alert's content is not what its own digest covers")


def _check_evidence(number: int, named: Mapping[str, Any], given: Any, heads: Heads) -> None:
    """The record that the alert names is the one that was logged: same place, same time, same digest."""
    leaf = _leaf(_shaped(given, {**LEAF, "salt": str}, "evidence"), heads)
    place = (named["topic"], named["partition"], named["offset"], named["ingested_ms"])
    same_place = (leaf.topic, leaf.partition, leaf.offset, leaf.ingested_ms) == place
    if not same_place or leaf.value != sha256(_hash(given["salt"]) + _hash(named["digest"])).hexdigest():
        _refuse(f"证据 {number + 1} 与预警所列不符 / evidence {number + 1} is not what the alert names")


def _activation(receipt: Mapping[str, Any], heads: Heads, alert: Leaf) -> dict[str, Any]:
    leaf, opened = _opened(receipt["activation"], heads, ACTIVATION, ("value",))
    activation = _decoded(receipt, ACTIVATION, opened["value"])
    is_before = activation["enabled"] and leaf.ingested_ms <= alert.ingested_ms
    _require(is_before, "规则在预警之前未激活 / the rule was not activated before the alert")
    return activation


# Leaves, commitments and proofs

#: The leaf of one Kafka record. Commitments are hexadecimal, or `null` for a null key or value.
Leaf = namedtuple("Leaf", "topic partition offset ingested_ms key value headers")
COUNT, COMMITMENT = r"(0|[1-9][0-9]{0,18})", r"([0-9a-f]{64}|null)"
LEAF_TEXT = re.compile(
    rf"xiezhi-leaf/v1\nkind record\ntopic ([a-z][a-z0-9.-]{{0,248}})\npartition {COUNT}\noffset {COUNT}\n"
    rf"ingested {COUNT}\nkey {COMMITMENT}\nvalue {COMMITMENT}\nheaders {COMMITMENT}\n"
)


def _leaf(given: Mapping[str, Any], heads: Heads, topic: str = "") -> Leaf:
    """The leaf, once it is known to be under the checkpoint; of `topic`, unless that is left open."""
    match = LEAF_TEXT.fullmatch(given["leaf"])
    if match is None:
        _refuse("日志条目格式不符 / a leaf is not the leaf of a record")
    name, partition, offset, ingested_ms, *commitments = match.groups()
    _require(topic in ("", name), f"日志条目不属于 {topic} / a leaf is not one of {topic}")
    _check_included(given, heads, sha256(b"\0" + given["leaf"].encode()).digest())
    return Leaf(name, int(partition), int(offset), int(ingested_ms), *commitments)


def _opened(given: Any, heads: Heads, topic: str, fields: Sequence[str]) -> tuple[Leaf, dict[str, bytes]]:
    """A leaf and the bytes behind these of its commitments."""
    leaf = _leaf(_shaped(given, {**LEAF, "opened": dict}, topic), heads, topic)
    _shaped(given["opened"], dict.fromkeys(fields, dict), topic)
    opened = {}
    for name in fields:
        field = _shaped(given["opened"][name], {"bytes": str, "salt": str}, name)
        opened[name] = _base64(field["bytes"])
        commitment = sha256(_hash(field["salt"]) + sha256(opened[name]).digest()).hexdigest()
        same = commitment == getattr(leaf, name)
        _require(same, f"{topic}: {name} 与日志条目不符 / the {name} is not the one that was logged")
    return leaf, opened


def _check_included(given: Mapping[str, Any], heads: Heads, leaf_hash: bytes) -> None:
    """RFC 9162, 2.1.3.2, under the checkpoint of the log that the leaf is in."""
    why = "日志条目不在检查点之下 / a leaf is not under the checkpoint"
    _require(0 <= given["log"] < len(heads), why)
    head, node, result = heads[given["log"]], given["index"], leaf_hash
    last = head.size - 1
    _require(0 <= node <= last, why)
    for sibling in _hashes(given["proof"]):
        _require(last > 0, why)
        on_left = node & 1 or node == last
        result = _parent(sibling, result) if on_left else _parent(result, sibling)
        while on_left and not node & 1 and node:
            node, last = node >> 1, last >> 1
        node, last = node >> 1, last >> 1
    _require(last == 0 and result == head.root, why)


def _parent(left: bytes, right: bytes) -> bytes:
    return sha256(b"\1" + left + right).digest()


# Key, signed note, checkpoint

#: What a checkpoint says: the log up to `size` leaves has this root (32 bytes).
Head = namedtuple("Head", "origin size root")
#: The log whose key is asked for, then the logs that it continues, each with its last checkpoint.
Heads = Sequence[Head]
OPENING = re.compile(r"xiezhi-epoch/v1\nopened\nprevious ([^\n ]+)\n\n(.+)", re.S)


def _continued(given: Any, heads: Heads) -> Head:
    """The log that the last of `heads` continues: its first leaf holds that one's key and last checkpoint."""
    leaf = _shaped(given, {"leaf": str, "proof": str}, "earlier")
    match = OPENING.fullmatch(leaf["leaf"])
    place = {"index": 0, "log": len(heads) - 1, "proof": leaf["proof"]}
    _check_included(place, heads, sha256(b"\0" + leaf["leaf"].encode()).digest())
    try:
        return Key.parse(match[1] if match else "").open(match[2] if match else "")
    except ValueError:
        _refuse("日志首条不承接另一日志 / the first leaf of a log does not continue another one")


@dataclass(frozen=True)
class Key:
    """A public key of a log as C2SP signed-note writes it: `name+hash+base64(1, 32 bytes of Ed25519)`."""

    name: str
    id: bytes
    public: Ed25519PublicKey

    @classmethod
    def parse(cls, text: str) -> Key:
        match = re.fullmatch(r"([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)", text.strip())
        raw = base64.b64decode(match[3]) if match else b""
        if match is None or len(raw) != 33 or raw[0] != 1 or base64.b64encode(raw).decode() != match[3]:
            raise ValueError("不是公钥 / not a public key of the form name+hash+base64")
        key_id = sha256(match[1].encode() + b"\n" + raw).digest()[:4]
        if key_id.hex() != match[2]:
            raise ValueError("公钥与其标识不符 / the public key does not fit its own hash")
        return cls(match[1], key_id, Ed25519PublicKey.from_public_bytes(raw[1:]))

    def open(self, note: str) -> Head:
        """The checkpoint in a note that this key signed; signatures of other keys are left aside."""
        text, gap, tail = note.rpartition("\n\n")
        lines = tail[:-1].split("\n", SIGNATURES_MAX)  # one too many is enough to refuse
        signed = [re.fullmatch(r"— ([^\s+]+) ([A-Za-z0-9+/=]+)", line) for line in lines]
        if not gap or not tail.endswith("\n") or len(signed) > SIGNATURES_MAX or not all(signed):
            _refuse("检查点格式不符 / the checkpoint is not a signed note")
        found = [(line[1], _base64(line[2])) for line in signed if line]
        mine = [raw[4:] for name, raw in found if (name, raw[:4]) == (self.name, self.id)]
        _require(len(mine) == 1, "检查点未由该公钥签名 / the checkpoint is not signed by this key")
        try:
            self.public.verify(mine[0], (text + "\n").encode())
        except InvalidSignature:
            _refuse("检查点签名无效 / the signature of the checkpoint is wrong")
        lines = text.split("\n")
        if len(lines) != 3 or lines[0] != self.name or not re.fullmatch(COUNT, lines[1]):
            _refuse("检查点不属于该日志 / the checkpoint is not one of this log")
        return Head(lines[0], int(lines[1]), _base64(lines[2]))


# Strict readers of untrusted bytes

RECEIPT: dict[str, Any] = {"activation": dict, "alert": dict, "checkpoint": str, "earlier": list}
RECEIPT |= {"evidence": list, "format": str, "schemas": dict, "variant": str}
HEADER_PART = re.compile(rb"(0|[1-9][0-9]{0,8}):|-(?=,)")
LEAF = {"index": int, "leaf": str, "log": int, "proof": str}


def _canonical(data: bytes) -> Any:
    """The value of a JSON text spelled in the one way we write it; `int` reads no float, NaN or infinity."""
    values = data.count(b",") + data.count(b"[") + data.count(b"{")
    too_much = len(data) > FILE_BYTES_MAX or values > VALUES_MAX
    _require(not too_much, f"文件过大 / more than {FILE_BYTES_MAX} bytes or {VALUES_MAX} values")
    try:
        value = json.loads(data.decode(), parse_float=int, parse_constant=int)
        same = (_dump(value) + "\n").encode() == data
    except (ValueError, RecursionError):
        _refuse("不是合法的凭证文件 / this is not JSON in UTF-8 without floating-point numbers")
    _require(same, "不是规范字节 / the bytes are not canonical: spaces, order of names, escapes, repeats, …")
    return value


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _shaped(value: Any, shape: Mapping[str, Any], where: str) -> dict[str, Any]:
    """An object with exactly these members of these types; a Boolean is no number."""
    if not isinstance(value, dict) or value.keys() != shape.keys():
        _refuse(f"{where}: 成员不符 / other members than a receipt has")
    for name, kind in shape.items():
        right = isinstance(value[name], kind) and not isinstance(value[name], bool)
        _require(right, f"{where}.{name}: 类型不符 / wrong type")
    return value


def _base64(text: str) -> bytes:
    """Standard alphabet with padding, and no bits set that nobody reads."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        raw = b""
    _require(base64.b64encode(raw) == text.encode(), "Base64 不规范 / base64 that is not canonical")
    return raw


def _hashes(text: str) -> list[bytes]:
    """The hashes of a proof: a tree of 2**63 leaves needs no more than twice 63 of them."""
    raw = _base64(text)
    _require(len(raw) % 32 == 0 and len(raw) <= 32 * 126, "证明长度不符 / a proof of a wrong length")
    return [raw[at : at + 32] for at in range(0, len(raw), 32)]


def _hash(text: str) -> bytes:
    _require(re.fullmatch("[0-9a-f]{64}", text), "哈希格式不符 / a hash is not 64 hexadecimal digits")
    return bytes.fromhex(text)


def _headers(raw: bytes) -> dict[bytes, bytes | None]:
    """Headers as they are committed to: for each a netstring of the name and one of the value, `-,` for null."""
    parts: list[bytes | None] = []
    at = 0
    while at < len(raw):
        length = HEADER_PART.match(raw, at)
        end = length.end() + int(length[1] or 0) if length else len(raw)
        if length is None or raw[end : end + 1] != b",":
            _refuse("消息头格式不符 / the headers are malformed")
        parts.append(raw[length.end() : end] if length[1] else None)
        at = end + 1
    headers = {name: value for name, value in zip(parts[::2], parts[1::2], strict=False) if name is not None}
    _require(2 * len(headers) == len(parts), "消息头重复或缺值 / a header is given twice or has no value")
    return headers


def _decoded(receipt: Mapping[str, Any], topic: str, value: bytes) -> dict[str, Any]:
    """The record in a Kafka value: a zero, four bytes of the registry's id, Avro binary."""
    schema = receipt["schemas"].get(topic)
    if sha256(_dump(schema).encode()).hexdigest() not in SCHEMAS[topic]:
        _refuse(f"{topic}: 模式未知 / this program does not know this schema; get a newer one")
    stream = BytesIO(value)
    try:
        record = _read_avro(schema, stream, {}) if stream.read(5)[:1] == b"\0" else None
    except (LookupError, ValueError, OverflowError):
        record = None
    if not isinstance(record, dict) or stream.read():
        _refuse(f"{topic}: 无法解码 / the value is not of the schema")
    return record


def _read_avro(schema: Any, stream: BytesIO, named: dict[str, Any]) -> Any:
    """One value. The schema is one of SCHEMAS, so its depth is bounded; all else is by the bytes that are there."""
    kind = schema if isinstance(schema, str) else schema["type"]
    if isinstance(kind, dict) or kind in named:
        return _read_avro(kind if isinstance(kind, dict) else named[kind], stream, named)
    if kind in ("record", "enum"):
        named[f"xiezhi.bus.{schema['name']}"] = schema
    if kind == "record":
        return {field["name"]: _read_avro(field["type"], stream, named) for field in schema["fields"]}
    if kind == "array":
        return [_read_avro(schema["items"], stream, named) for _ in _blocks(stream)]
    if kind == "map":
        pairs = (("string", schema["values"]) for _ in _blocks(stream))
        return {_read_avro(name, stream, named): _read_avro(value, stream, named) for name, value in pairs}
    if kind == "boolean":
        return (False, True)[stream.read(1)[0]]
    number = _read_number(stream)
    if kind in ("int", "long"):
        return number
    if number < 0 or kind not in ("enum", "string"):
        raise ValueError("a negative length, or a type that no alert or activation has")
    if kind == "enum":
        return schema["symbols"][number]
    text = stream.read(number)
    if len(text) != number:
        raise ValueError("a text goes beyond the end")
    return text.decode()


def _blocks(stream: BytesIO) -> Iterator[None]:
    """Once for every item of an array or map; each takes a byte at least, so the end of the bytes ends this."""
    while count := _read_number(stream):
        if count < 0:
            _read_number(stream)  # how many bytes the block has
        for _ in range(abs(count)):
            yield


def _read_number(stream: BytesIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = stream.read(1)[0]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1)
    raise ValueError("a number of more than 64 bits")


# What people read

PROVEN = {
    "full": (
        "检查点签名时，预警原文已在日志中 / the alert, byte for byte, was in the log when the checkpoint was signed",
        "其 {evidence} 条证据也在日志中 / so were its {evidence} records of evidence, each with the digest it states",
        "所引规则在预警之前已激活 / its rule was activated before, with this text, these parameters and this code",
    ),
    "redacted": (
        "检查点签名时，该位置有一条预警 / an alert was in the log, at this place, when the checkpoint was signed",
        "所列 {evidence} 个条目也在日志中 / so were the {evidence} entries listed; {shown} show a record and its time",
        "所示规则在预警之前已激活 / the rule shown was activated before the alert",
    ),
}
NOT_PROVEN = (
    "预警的内容、规则和证据 / what the alert says, and that this rule and these records are its own",  # redacted ones
    "部门报送属实 / that the records are true: what the bus was sent is as good as the department's channel to it",
    "此后未变更或撤回 / that no later statement changed or withdrew the alert",
    "各方所见为同一日志 / that everybody is shown the same log: compare the checkpoint with one that others hold",
    "时间准确 / that the times are right: they are those of the broker's clock",
    "任何人有过错：示其疑，不断其罪 / that anybody did wrong: an alert is a suspicion, never a verdict",
)


def _facts_of_alert(alert: Mapping[str, Any]) -> Iterator[str]:
    yield f"预警 alert: {alert['record_id']} {alert['state']} {alert['severity']}"
    for name, label in (("title", "事由 title"), ("explanation", "说明 explanation")):
        yield f"{label}: {alert[name]['zh']} / {alert[name]['en']}"
    yield f"对象 subject: {_dump(alert['subject'])}"
    for one in alert["evidence"]:
        yield f"证据 evidence: {one['topic']}/{one['partition']}/{one['offset']} sha256 {one['digest']}"


def _facts_of_rule(activation: Mapping[str, Any]) -> Iterator[str]:
    try:
        card = json.loads(activation["card"])
        text = f"{card['id']} v{card['version']}: {card['text']['zh']} / {card['text']['en']}"
        parameters = _dump({name: each["values"] for name, each in card["parameters"].items()})
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        _refuse("规则卡片无法读取 / the card of the rule cannot be read")
    yield f"规则 rule: {text}"
    yield f"参数 parameters: {parameters}"
    yield f"代码 code: sha256 {activation['code_hash']}"


def _facts_of_log(leaf: Leaf, head: Head) -> Iterator[str]:
    ms = min(leaf.ingested_ms, 253_402_300_799_999)  # the end of the year 9999
    said = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)).isoformat(" ", "milliseconds")
    yield f"发布 said: {leaf.topic}/{leaf.partition}/{leaf.offset} {said}"
    yield f"检查点 checkpoint: {head.origin} {head.size} {head.root.hex()}"


def report(found: Verified) -> Iterator[str]:
    """Lines for people."""
    yield f"已证明 PROVEN: {'完整凭证 full' if found.variant == 'full' else '隐去内容的凭证 redacted'} receipt"
    yield from (f"  {_clean(fact)}" for fact in found.facts)
    yield "已证明 proven:"
    for line in PROVEN[found.variant]:
        yield f"  - {line.format(evidence=found.evidence, shown=found.shown)}"
    yield "未证明 not proven:"
    yield from (f"  - {line}" for line in NOT_PROVEN[found.variant == "full" :])


def _clean(text: str) -> str:
    """One line without anything that a terminal could obey."""
    harmful = (char != " " and unicodedata.category(char)[0] in "CZ" for char in text)
    return "".join("\ufffd" if bad else char for bad, char in zip(harmful, text, strict=True))


def verify_file(file: str, key: str) -> Verified:
    """`verify` a file against a key or the key in a file. Raises NotProvenError, OSError, ValueError."""
    with Path(file).open("rb") as opened:
        data = opened.read(FILE_BYTES_MAX + 1)
    if "+" not in key or Path(key).is_file():
        with Path(key).open("rb") as opened:
            key = opened.read(KEY_BYTES_MAX).decode()
    return verify(data, key)


def main(arguments: Sequence[str]) -> int:
    """Check one receipt; returns the exit code."""
    parser = argparse.ArgumentParser(prog="verify_receipt.py", description="Check a receipt. 离线核验凭证")
    parser.add_argument("file", metavar="FILE", help="the receipt")
    parser.add_argument("--key", required=True, metavar="PUB", help="public key of the log: file or text")
    given = parser.parse_args(arguments)  # ends with 2 on wrong usage
    try:
        text, code = "\n".join(report(verify_file(given.file, given.key))), 0
    except NotProvenError as error:
        text, code = f"未证明 NOT PROVEN: {_clean(str(error))}", 1
    except (OSError, ValueError) as error:
        text, code = f"verify_receipt.py: {_clean(str(error))}", 2
    stream = sys.stderr if code == 2 else sys.stdout
    encoding = stream.encoding or "utf-8"  # of the terminal; what it cannot show must not look like a refusal
    print(text.encode(encoding, "backslashreplace").decode(encoding), file=stream)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
