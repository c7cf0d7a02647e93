"""Mapping files: exact conversions, and mistakes found before the first row."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from schemas.catalogue import APPOINTMENT, CONTRACT, OWNERSHIP, PANEL, PAYMENT
from xiezhi.contracts.base import Contract
from xiezhi.errors import ConfigurationError, RecordRefusedError
from xiezhi.files.mapping import ColumnMapping, Mapper, direct_mapping, load_mapping
from xiezhi.tokeniser import IdentityKind

PAYMENT_FIELDS: dict[str, Any] = {
    "record_id": {"column": "流水号"},
    "payer_id": {"column": "付款单位", "prefix": "CN-USCC-"},
    "payee_id": {"constant": "CN-USCC-11000000000000001Y"},
    "kind": {"column": "类型", "values": {"支付": "payment", "退款": "refund"}},
    "purpose": {"constant": "contract"},
    "amount_minor": {"column": "金额", "yuan": "true"},
    "currency": {"constant": "CNY"},
    "paid_at": {"column": "时间", "instant": "%Y-%m-%d %H:%M:%S"},
    "occurred_at": {"column": "时间", "instant": "%Y-%m-%d %H:%M:%S"},
}
ROW = {"流水号": "A1", "付款单位": "X", "类型": "支付", "金额": "1,234.50", "时间": "2026-03-01 09:00:00"}


class SpellingTokeniser:
    """Says what it was asked for."""

    def token(self, kind: IdentityKind, identity: str) -> str:
        if identity == "bad":
            raise ValueError("expected an identity")
        return f"token of {kind.value} {identity}"


def mapper(fields: dict[str, Any], contract: Contract = PAYMENT, **options: Any) -> Mapper:
    tokeniser = options.pop("tokeniser", SpellingTokeniser())
    mapping = ColumnMapping.model_validate({"timezone": "+08:00", "fields": fields, **options})
    return Mapper(mapping, contract, tokeniser)


def one(rule: Any, cell: Any, field: str = "amount_minor") -> Any:
    """What becomes of one cell of a payment."""
    made = mapper({**PAYMENT_FIELDS, field: rule}).fields({**ROW, "x": cell})
    return made.get(field)


def test_a_row_becomes_the_fields_of_the_contract() -> None:
    assert mapper(PAYMENT_FIELDS).fields(ROW) == {
        "record_id": "A1",
        "payer_id": "CN-USCC-X",
        "payee_id": "CN-USCC-11000000000000001Y",
        "kind": "payment",
        "purpose": "contract",
        "amount_minor": 123450,
        "currency": "CNY",
        "paid_at": 1_772_326_800_000,
        "occurred_at": 1_772_326_800_000,
    }


@pytest.mark.parametrize(
    ("text", "minor"),
    [
        ("0", 0),
        ("0.01", 1),
        ("0.1", 10),
        ("1234567890123456.78", 123456789012345678),
        ("-1,234.50", -123450),
        ("+5", 500),
        (" ¥1,000.00 ", 100000),
        ("￥12.30元", 1230),
        ("1，000.10", 100010),
        ("7.100", 710),
        (Decimal("19.99"), 1999),
        (3, 300),
    ],
)
def test_yuan_become_fen_exactly(text: Any, minor: int) -> None:
    assert one({"column": "x", "yuan": "true"}, text) == minor


@given(st.integers(-(10**15), 10**15))
def test_every_amount_survives_being_written_in_yuan(minor: int) -> None:
    assert one({"column": "x", "yuan": "true"}, f"{Decimal(minor).scaleb(-2):,.2f}") == minor


@pytest.mark.parametrize(
    "text",
    [
        "0.001",
        "1.2.3",
        "1,23",
        "12,34.5",
        "NaN",
        "1e3",
        "(5.00)",
        "五",
        "0x10",
        "1_000",
        "9" * 30,
        ".5",
        "5.",
    ],
)
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    with pytest.raises(RecordRefusedError, match="amount") as refused:
        one({"column": "x", "yuan": "true"}, text)
    assert (refused.value.field, refused.value.record_id) == ("amount_minor", "A1")


@pytest.mark.parametrize(
    ("zone", "form", "text"),
    [
        ("+08:00", "%Y-%m-%d %H:%M:%S", "2026-03-01 09:00:00"),
        ("Asia/Shanghai", "%Y/%m/%d %H:%M", "2026/03/01 09:00"),
        ("-05:30", "iso", "2026-03-01T09:00:00+08:00"),
        ("+08:00", "iso", "2026-03-01 09:00:00"),
        ("", "%Y%m%d%H%M%S%z", "20260301010000+0000"),
        ("", "iso", "2026-03-01T01:00:00Z"),
    ],
)
def test_instants_are_read_in_the_time_zone_that_is_said(zone: str, form: str, text: str) -> None:
    rule = {"column": "x", "instant": form}
    fields = {**PAYMENT_FIELDS, "paid_at": rule, "occurred_at": rule}
    assert mapper(fields, timezone=zone).fields({**ROW, "x": text})["paid_at"] == 1_772_326_800_000


def test_days_are_read_by_their_format() -> None:
    fields: dict[str, Any] = {
        name: {"column": name} for name in ("record_id", "person", "unit_id", "post", "occurred_at")
    }
    fields["valid_from"] = {"column": "from", "day": "%Y%m%d"}
    fields["valid_to"] = {"column": "to", "day": "iso"}
    made = mapper(fields, APPOINTMENT).fields({"from": "20260301", "to": "2026-03-02"})
    assert made == {"valid_from": 20_513, "valid_to": 20_514}


@pytest.mark.parametrize("text", ["2026-02-30 09:00:00", "1.3.2026", "张三"])
def test_a_date_in_another_format_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(RecordRefusedError, match="format") as refused:
        one({"column": "x", "instant": "%Y-%m-%d %H:%M:%S"}, text, "paid_at")
    assert text not in str(refused.value)


def test_codes_outside_the_list_are_refused_unless_a_star_stands_for_them() -> None:
    with pytest.raises(RecordRefusedError, match="values"):
        one({"column": "x", "values": {"支付": "payment"}}, "其他", "kind")
    assert one({"column": "x", "values": {"支付": "payment", "*": "refund"}}, "其他", "kind") == "refund"


def test_identities_become_tokens_and_the_first_column_that_is_filled_counts() -> None:
    rules = [{"column": "unit", "prefix": "CN-USCC-"}, {"column": "id", "token": "resident"}]
    made = mapper({**PAYMENT_FIELDS, "payee_id": rules})
    assert made.fields({**ROW, "unit": " ", "id": "1"})["payee_id"] == "token of resident 1"
    assert made.fields({**ROW, "unit": "U", "id": "1"})["payee_id"] == "CN-USCC-U"
    assert "payee_id" not in made.fields({**ROW, "unit": "", "id": None})
    with pytest.raises(RecordRefusedError, match="expected an identity"):
        made.fields({**ROW, "id": "bad"})


def test_columns_that_feed_a_person_are_never_harmless() -> None:
    fields = {
        "record_id": {"column": "id"},  # the same column also makes the token
        "company_id": {"column": "company"},
        "holder_id": [{"column": "holder"}, {"column": "id", "token": "resident"}],
        "interest": {"constant": "ownership"},
        "share_permille": {"column": "share"},
        "occurred_at": {"column": "at"},
    }
    assert mapper(fields, OWNERSHIP).harmless_columns == {"company", "share", "at", ""}


def test_text_becomes_what_the_contract_asks_for() -> None:
    fields: dict[str, Any] = {name: {"column": name} for name in PANEL.model.model_fields}
    made = mapper({**fields, "occurred_at": {"column": "at"}, "version": {"column": "v"}}, PANEL)
    assert made.fields({"recused": "是", "v": " 07 "}) == {"recused": True, "version": 7}
    assert made.fields({"recused": False, "v": 3}) == {"recused": False, "version": 3}
    for row in ({"recused": "maybe"}, {"v": "1.0"}, {"v": "1e2"}, {"v": {"a": 1}}, {"v": "1" * 40}):
        with pytest.raises(RecordRefusedError):
            made.fields(row)


def test_lists_are_split_and_each_entry_converted() -> None:
    fields: dict[str, Any] = {name: {"column": name} for name in CONTRACT.model.model_fields}
    fields |= {"occurred_at": {"column": "at"}}
    fields["supplier_ids"] = {"column": "s", "split": "、", "prefix": "CN-USCC-"}
    assert mapper(fields, CONTRACT).fields({"s": "A、 B 、"}) == {"supplier_ids": ["CN-USCC-A", "CN-USCC-B"]}
    assert mapper(fields, CONTRACT).fields({"s": ["A", "B"]}) == {"supplier_ids": ["CN-USCC-A", "CN-USCC-B"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"payer": {"column": "x"}}, "no field payer"),
        ({"身份": {"column": "x"}}, r"no field \?"),
        ({"amount_minor": {"column": "x", "constant": "1"}}, "either a column or a constant"),
        ({"amount_minor": {"yuan": "true"}}, "either a column or a constant"),
        ({"amount_minor": {"column": "x", "yuan": "true", "day": "iso"}}, "at most one"),
        ({"amount_minor": {"column": "x", "yuan": "true", "prefix": "1"}}, "prefix"),
        ({"amount_minor": {"column": "x", "fen": "true"}}, "fen"),
        ({"payee_id": {"column": "x", "token": "nickname"}}, "token"),
        ({"payee_id": []}, "payee_id"),
    ],
)
def test_a_mistaken_mapping_is_told_before_the_first_row(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    file = tmp_path / "map.yaml"
    file.write_text(
        yaml.safe_dump({"timezone": "+08:00", "fields": PAYMENT_FIELDS | change}, allow_unicode=True), "utf-8"
    )
    with pytest.raises(ConfigurationError, match=message):
        Mapper(load_mapping(file), PAYMENT, SpellingTokeniser())


def test_what_the_contract_needs_must_be_mapped() -> None:
    fields = {name: rule for name, rule in PAYMENT_FIELDS.items() if name not in ("kind", "occurred_at")}
    with pytest.raises(ConfigurationError, match="kind, occurred_at"):
        mapper(fields)


def test_a_local_time_needs_a_time_zone() -> None:
    with pytest.raises(ConfigurationError, match="timezone"):
        mapper(PAYMENT_FIELDS, timezone="")
    with pytest.raises(ConfigurationError, match="Mars"):
        mapper(PAYMENT_FIELDS, timezone="Mars/Olympus")


def test_tokens_need_a_tokeniser() -> None:
    with pytest.raises(ConfigurationError, match="tokeniser"):
        mapper({**PAYMENT_FIELDS, "payee_id": {"column": "x", "token": "resident"}}, tokeniser=None)


@pytest.mark.parametrize("text", ["fields: [", "", "- a", "fields: {}\nsurprise: 1", "fields:\n  a: 3"])
def test_a_file_that_is_no_mapping_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=r"map\.yaml"):
        load_mapping(tmp_path / "map.yaml")


@pytest.mark.parametrize(
    "text", ["[" * 3_000, "- " * 500, "{a: " * 400, f"timezone: {'a/' * 2_000}\nfields: {{}}"]
)
def test_what_would_never_end_is_refused_at_once(tmp_path: Path, text: str) -> None:
    (tmp_path / "deep.yaml").write_text(text, "utf-8")
    with pytest.raises(ConfigurationError, match=r"nested more than 10 deep|at most 64 characters"):
        load_mapping(tmp_path / "deep.yaml")


def test_codes_in_a_mapping_stay_what_was_written(tmp_path: Path) -> None:
    (tmp_path / "map.yaml").write_text(
        "fields: {a: {constant: 0123}, b: {constant: NO}, c: {constant: 1_0}}", "utf-8"
    )
    rules = load_mapping(tmp_path / "map.yaml").fields
    assert [rules[name][0].constant for name in "abc"] == ["0123", "NO", "1_0"]


def test_a_table_with_the_fields_names_needs_no_mapping_file() -> None:
    columns = [*PAYMENT.model.model_fields, "occurred_at", "", "version"]
    made = Mapper(direct_mapping(columns), PAYMENT, None).fields({"record_id": "A1", "amount_minor": "500"})
    assert made == {"record_id": "A1", "amount_minor": 500}
