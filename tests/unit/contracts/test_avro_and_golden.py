"""Schemas as we read them, and golden bytes as they are taken."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from schemas.catalogue import PAYMENT
from xiezhi.contracts import golden
from xiezhi.contracts.avro import parse, same_schema, without_logical_types
from xiezhi.contracts.base import Contract
from xiezhi.contracts.bus import ALERT, DEAD_LETTER
from xiezhi.contracts.examples import valid_record


@pytest.fixture
def payment(tmp_path: Path) -> Contract:
    """The payment contract in a folder of its own, without golden bytes."""
    for file in PAYMENT.folder.glob("payment.*"):
        shutil.copy(file, tmp_path)
    return replace(PAYMENT, folder=tmp_path)


def change_schema(contract: Contract) -> Contract:
    changed = {**contract.schema, "doc": "Another meaning."}
    (contract.folder / "payment.avsc").write_text(json.dumps(changed), "utf-8")
    return replace(contract)


def test_logical_types_go_and_everything_else_stays() -> None:
    schema = {
        "type": "record",
        "name": "R",
        "doc": "logicalType",
        "fields": [
            {"name": "logicalType", "type": ["null", {"type": "long", "logicalType": "timestamp-millis"}]},
            {"name": "days", "type": {"type": "array", "items": {"type": "int", "logicalType": "date"}}},
        ],
    }
    stripped = without_logical_types(schema)
    assert stripped["doc"] == "logicalType"
    assert stripped["fields"][0] == {"name": "logicalType", "type": ["null", {"type": "long"}]}
    assert stripped["fields"][1]["type"]["items"] == {"type": "int"}


def test_text_and_object_parse_to_the_same_schema() -> None:
    assert parse(json.dumps(PAYMENT.schema)) == parse(PAYMENT.schema)


def text_changed(old: str, new: str) -> str:
    text = json.dumps(ALERT.schema, ensure_ascii=False)
    assert old in text
    return text.replace(old, new)


def test_a_schema_written_anew_by_a_registry_is_the_same() -> None:
    assert same_schema(text_changed('"xiezhi.bus.Bilingual"', '"Bilingual"'), ALERT.schema)
    assert same_schema(json.dumps(ALERT.schema, sort_keys=True, indent=4), ALERT.schema)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("疑似问题", "问题"),  # the record's doc
        ("Who may be told", "Who is told"),  # a field's doc
        ("red 红", "red"),  # an enumeration's doc
        ("Articles of law", "Articles"),  # an array field's doc
        ("Where the log holds one record", "Where it is"),  # a nested record's doc
        ('["PII"]', '["PII", "RESTRICTED"]'),  # tags
        ('"xiezhi.classification": "internal"', '"xiezhi.classification": "open"'),
        ('"logicalType": "timestamp-millis"', '"logicalType": "timestamp-micros"'),
        ('"default": ""', '"default": "-"'),
        ('"yellow"]', '"yellow", "blue"]'),
    ],
)
def test_a_schema_that_says_anything_else_is_not_the_same(old: str, new: str) -> None:
    assert not same_schema(text_changed(old, new), ALERT.schema)


def test_the_first_golden_is_version_one_and_current(payment: Contract) -> None:
    assert not golden.is_current(payment)
    assert golden.add(payment).name == "payment.v1.json"
    assert golden.is_current(payment)
    (stored,) = golden.load(payment).values()
    assert stored.decode() == stored.value == golden.jsonable(valid_record(payment).model_dump())


def test_a_changed_schema_needs_a_new_version_and_the_old_one_stays(payment: Contract) -> None:
    before = golden.add(payment).read_bytes()
    changed = change_schema(payment)
    assert not golden.is_current(changed)
    assert golden.add(changed).name == "payment.v2.json"
    assert golden.is_current(changed)
    assert (payment.folder / "golden" / "payment.v1.json").read_bytes() == before


def test_a_golden_that_exists_is_never_overwritten(
    payment: Contract, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = golden.add(payment).read_bytes()
    monkeypatch.setattr(golden, "load", lambda contract: {})  # as if another process had just written it
    with pytest.raises(FileExistsError):
        golden.add(payment)
    assert (payment.folder / "golden" / "payment.v1.json").read_bytes() == before


def test_golden_bytes_of_one_record_do_not_decode_when_a_byte_is_missing(payment: Contract) -> None:
    golden.add(payment)
    stored = golden.load(payment)[1]
    with pytest.raises(EOFError):
        replace(stored, body=stored.body[:-1]).decode()


def test_bytes_in_a_golden_value_are_text_of_one_character_per_byte() -> None:
    headers = golden.load(DEAD_LETTER)[1].value["headers"]
    assert headers[0] == {"name": "ce_id", "value": "\x00\x01"}
    assert headers[1]["value"] is None
