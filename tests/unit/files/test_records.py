"""From files to publications and refusals, with no identity in any refusal."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest

from schemas.catalogue import APPOINTMENT, PAYMENT
from xiezhi.contracts.examples import valid_example
from xiezhi.errors import ConfigurationError
from xiezhi.files.mapping import ColumnMapping
from xiezhi.files.records import Publication, Refusal, masked, open_records
from xiezhi.files.refused import RefusedRecords
from xiezhi.tokeniser import IdentityKind

ABOUT = {"occurred_at": "2026-04-20T14:03:11+08:00", "jurisdiction": "110000000000"}
IDENTITY = "00000020000101999X"  # as long as an identity number, and nobody's


def payment(**changes: Any) -> dict[str, Any]:
    return {**valid_example(PAYMENT), **ABOUT, **changes}


def read(*rows: Any, **options: Any) -> list[Publication | Refusal]:
    data = "\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows).encode()
    return list(open_records(io.BytesIO(data), "jsonl", PAYMENT, **options))


def refused(*rows: Any, **options: Any) -> Refusal:
    [outcome] = read(*rows, **options)
    assert isinstance(outcome, Refusal)
    return outcome


def test_a_row_that_keeps_the_contract_is_ready_to_be_published() -> None:
    [outcome] = read(payment(version=3))
    assert outcome == Publication(
        line=1,
        record=PAYMENT.model.model_validate(valid_example(PAYMENT)),
        occurred_ms=1_776_664_991_000,
        version=3,
        jurisdiction="110000000000",
    )


def test_version_is_0_and_jurisdiction_that_of_the_file_unless_a_row_says_otherwise() -> None:
    row = payment()
    del row["jurisdiction"]
    [outcome] = read(row, jurisdiction="330000000000")
    assert isinstance(outcome, Publication)
    assert (outcome.version, outcome.jurisdiction) == (0, "330000000000")


@pytest.mark.parametrize(
    ("change", "field", "reason"),
    [
        ({"record_id": ""}, "record_id", "at least 1 character"),
        ({"amount_minor": "5"}, "amount_minor", "valid integer"),
        ({"amount_minor": 0.5}, "amount_minor", "valid integer"),
        ({"amount_minor": -1}, "amount_minor", "greater than or equal"),
        ({"kind": "gift"}, "kind", "'payment' or 'refund'"),
        ({"paid_at": "2026-04-20T14:03:11"}, "paid_at", "time zone"),
        ({"paid_at": "yesterday"}, "paid_at", "ISO 8601"),
        ({"payee_id": "X"}, "payee_id", "expected <country>"),
        ({"occurred_at": None}, "occurred_at", "required"),
        ({"version": -1}, "version", "greater than or equal"),
        ({"version": "1"}, "version", "valid integer"),
        ({"jurisdiction": "1100"}, "jurisdiction", "12-digit"),
        ({"jurisdiction": None}, "jurisdiction", "12-digit"),
        ({"surprise": 1}, "", "a field that the contract does not have"),
    ],
)
def test_a_row_that_breaks_the_contract_is_refused_with_line_field_and_reason(
    change: dict[str, Any], field: str, reason: str
) -> None:
    outcomes = read(payment(), payment(**change), payment())
    assert [type(outcome) for outcome in outcomes] == [Publication, Refusal, Publication]
    refusal = outcomes[1]
    assert isinstance(refusal, Refusal)
    assert (refusal.line, refusal.field) == (2, field)
    assert reason in refusal.reason
    assert refusal.record_id == ("" if field == "record_id" else payment()["record_id"])


def test_a_line_that_is_no_row_is_refused_without_its_text() -> None:
    refusal = refused('{"record_id": "' + IDENTITY)
    assert (refusal.line, refusal.row) == (1, {})
    assert IDENTITY not in repr(refusal)


@pytest.mark.parametrize(
    "change",
    [
        {"payee_id": IDENTITY},
        {"payee_id": ["张三"]},
        {IDENTITY: 1},
        {"张三": IDENTITY},
        {"contract_id": f"x{IDENTITY}", "kind": "gift"},
        {"record_id": IDENTITY, "kind": "gift"},
        {"budget_line": "13800138000", "kind": "gift"},
        {"paid_at": IDENTITY},
        {"kind": "gift", "project_id": {"name": "张三"}},
        {"kind": "gift", "project_id": int("1" * 18)},
    ],
)
def test_nothing_that_may_be_a_person_is_in_a_refusal(change: dict[str, Any]) -> None:
    text = repr(refused(payment(**change)))
    for telling in (IDENTITY, "张三", "13800138000", "1" * 18):
        assert telling not in text


@pytest.mark.parametrize("field", ["paid_at", "occurred_at", "kind", "payee_id", "currency", "jurisdiction"])
def test_a_reason_never_repeats_the_value(field: str) -> None:
    refusal = refused(payment(**{field: "张三"}))
    assert "张三" not in refusal.reason


def test_a_refusal_shows_what_is_known_to_be_harmless() -> None:
    refusal = refused(payment(kind="gift"))
    assert refusal.row["amount_minor"] == payment()["amount_minor"]
    assert refusal.row["contract_id"] == payment()["contract_id"]
    assert "payee_id" not in refusal.row
    assert refusal.row["(masked)"] == 1


class Tokeniser:
    def token(self, kind: IdentityKind, identity: str) -> str:
        return "pt1_" + "a" * 32


MAPPING = ColumnMapping.model_validate(
    {
        "fields": {
            "record_id": {"column": "id"},
            "person": {"column": "identity", "token": "resident"},
            "unit_id": {"column": "unit"},
            "post": {"column": "post"},
            "valid_from": {"column": "from", "day": "iso"},
            "occurred_at": {"column": "at"},
        }
    }
)


def read_table(
    text: str, mapping: ColumnMapping | None = MAPPING, **options: Any
) -> list[Publication | Refusal]:
    options = {"jurisdiction": "110000000000", "tokeniser": Tokeniser(), **options}
    return list(open_records(io.BytesIO(text.encode()), "csv", APPOINTMENT, mapping=mapping, **options))


HEADER = "id,identity,unit,post,from,at,name"


def test_a_table_becomes_records_with_tokens_and_refusals_without_persons() -> None:
    good, bad = read_table(
        f"{HEADER}\n"
        f"1,{IDENTITY},GB-COH-1,p,2026-03-01,2026-03-01T00:00:00Z,张三\n"
        f"2,{IDENTITY},?,p,2026-03-01,2026-03-01T00:00:00Z,张三\n"
    )
    assert isinstance(good, Publication)
    assert good.record.model_dump()["person"] == "pt1_" + "a" * 32
    assert isinstance(bad, Refusal)
    assert (bad.line, bad.record_id, bad.field) == (3, "2", "unit_id")
    assert bad.row == {
        "id": "2",
        "unit": "?",
        "post": "p",
        "from": "2026-03-01",
        "at": "2026-03-01T00:00:00Z",
        "(masked)": 2,
    }


def test_a_table_and_a_mapping_that_do_not_fit_are_told_before_the_first_row() -> None:
    with pytest.raises(ConfigurationError, match="no column identity, unit"):
        read_table("id,post,from,at\n")
    with pytest.raises(ConfigurationError, match="--jurisdiction"):
        read_table(f"{HEADER}\n", jurisdiction="")
    with pytest.raises(ConfigurationError, match="--map") as error:
        read_table(f"1,{IDENTITY},张三\n", None)
    assert IDENTITY not in str(error.value)
    assert "张三" not in str(error.value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("110000000000", "110000000000"),
        (1_772_355_600_123, 1_772_355_600_123),
        (None, None),
        (True, True),
        ("x" * 300, "x" * 200 + "…"),
        (f"证{IDENTITY}号", "证***号"),
        (["6222021234567890123"], ["***"]),
        (["a", ["b"]], ["a", "***"]),
        ({"a": 1}, "***"),
        ("CN-USCC-11000000000000001Y", "CN-USCC-11000000000000001Y"),
    ],
)
def test_numbers_of_persons_are_masked_and_those_of_records_are_not(value: Any, shown: Any) -> None:
    assert masked(value) == shown


def test_refused_records_are_json_lines_for_the_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.refused.jsonl"
    path.write_text("from an earlier run")
    with RefusedRecords(path) as file:
        file.write(Refusal(7, "理由", {"a": "b"}, "field", "id"))
    assert json.loads(path.read_text("utf-8")) == {
        "line": 7,
        "record_id": "id",
        "field": "field",
        "reason": "理由",
        "row": {"a": "b"},
    }
    assert file.count == 1


def test_half_a_character_is_refused_and_written_as_the_escape_that_it_came_as(tmp_path: Path) -> None:
    refusal = refused(payment(record_id="pay-\ud800"))
    with RefusedRecords(tmp_path / "x") as file:
        file.write(refusal)
    assert json.loads((tmp_path / "x").read_bytes())["record_id"] == "pay-\ud800"


def test_lists_in_lists_that_json_can_still_read_are_refused() -> None:
    nested = "[" * 700 + "]" * 700
    assert refused(f'{{"record_id": {nested}}}').row == {"record_id": ["***"]}


def test_without_refusals_no_file_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.refused.jsonl"
    path.write_text("from an earlier run")
    with RefusedRecords(path):
        assert path.stat().st_mode & 0o777 in (0o600, 0o644)
    assert not path.exists()


def test_a_file_that_cannot_be_written_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="refused records"):
        RefusedRecords(tmp_path / "no such folder" / "x")
