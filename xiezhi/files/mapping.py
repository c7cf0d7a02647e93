"""Mapping files: which column of a department's table becomes which field of a contract, and how.

A mapping is YAML, checked against the contract and the table's header before the first row. Conversions are exact:
money is decimal arithmetic, instants need a time zone, codes outside a value list are refused, identities become
tokens.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime, timedelta, timezone, tzinfo
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from xiezhi.contracts.base import Contract
from xiezhi.contracts.types import to_day, to_instant_ms
from xiezhi.errors import ConfigurationError, RecordRefusedError
from xiezhi.files.rows import Encoding
from xiezhi.tokeniser import IdentityKind, Tokeniser

#: Deeper than any mapping: file, fields, field, entry, table of words.
NESTED_MAX = 10
#: What a row says beside the contract's fields: the envelope's part.
CIRCUMSTANCES = ("version", "occurred_at", "jurisdiction")
_MONEY_CHARS_MAX = 24  # fewer digits than decimal arithmetic keeps exactly
_MONEY = re.compile(r"[+-]?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?")
_FIELD_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_INTEGER = re.compile(r"[+-]?\d{1,19}")
_OFFSET = re.compile(r"([+-])(\d{2}):(\d{2})")
_BOOLEANS = {"true": True, "1": True, "是": True, "false": False, "0": False, "否": False}


class FieldRule(BaseModel):
    """How one field is made of one column, or of a constant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    column: str = ""
    constant: str = ""
    prefix: str = ""  # put before the text, e.g. CN-USCC-
    split: str = ";"  # between the entries of a list
    yuan: bool = False  # an amount in whole units of the currency with up to two decimals
    instant: str = ""  # "iso" or a strptime format; without an offset in it, the mapping's time zone counts
    day: str = ""  # "iso" or a strptime format
    values: dict[str, str] = {}  # code -> value; "*" stands for every other code
    token: IdentityKind | None = None

    @model_validator(mode="after")
    def _check_that_the_parts_agree(self) -> FieldRule:
        if bool(self.column) == bool(self.constant):
            raise ValueError("give either a column or a constant")
        conversions = [self.yuan, self.instant, self.day, self.values, self.token]
        if sum(map(bool, conversions)) > 1:
            raise ValueError("give at most one of yuan, instant, day, values and token")
        if self.prefix and any(conversions) and not self.values:
            raise ValueError("a prefix goes before text and values only")
        return self


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, Mapping) else value


#: Alternatives: the first whose column is not empty in a row counts.
Rules = Annotated[tuple[FieldRule, ...], BeforeValidator(_as_list), Field(min_length=1)]


class ColumnMapping(BaseModel):
    """A mapping file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    fields: dict[str, Rules]
    timezone: Annotated[str, Field(max_length=64)] = (
        ""  # IANA name or +08:00; looking for a long one takes for ever
    )
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] = ","
    encoding: Encoding = "auto"

    @property
    def columns(self) -> set[str]:
        return {rule.column for _, rule in self.rules if rule.column}

    @property
    def rules(self) -> Iterator[tuple[str, FieldRule]]:
        return ((name, rule) for name, rules in self.fields.items() for rule in rules)


class _ShallowLoader(yaml.BaseLoader):
    """The base loader leaves every scalar a string: codes such as 0123 or NO stay what was written.

    Brackets within brackets would cost the square of their number, and then end in no error of YAML.
    """

    _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > NESTED_MAX:
            raise yaml.YAMLError(f"it is nested more than {NESTED_MAX} deep")
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


def load_mapping(file: Path) -> ColumnMapping:
    """Read a mapping file. Raises ConfigurationError that names the entry."""
    try:
        loaded = yaml.load(file.read_text("utf-8"), Loader=_ShallowLoader)  # noqa: S506 - builds no objects
        return ColumnMapping.model_validate(loaded)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigurationError(f"cannot read the mapping {file}: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(f"mapping {file}, {where}: {first['msg']}") from error


def direct_mapping(columns: Iterable[str]) -> ColumnMapping:
    """The mapping of a table whose columns are already called like the fields."""
    return ColumnMapping(fields={name: (FieldRule(column=name),) for name in columns if name})


class Mapper:
    """Applies a mapping to rows of a table for one contract."""

    def __init__(self, mapping: ColumnMapping, contract: Contract, tokeniser: Tokeniser | None) -> None:
        """Raises ConfigurationError when mapping, contract and tokeniser do not fit together."""
        shapes = _shapes(contract)
        _check_fields(mapping, contract, shapes)
        self._zone = _zone(mapping.timezone)
        for name, rule in mapping.rules:
            if rule.token and tokeniser is None:
                raise ConfigurationError(f"the mapping makes a token of {name}, and there is no tokeniser")
            if rule.instant not in ("", "iso") and "%z" not in rule.instant and self._zone is None:
                raise ConfigurationError(f"the format of {name} has no offset; add timezone to the mapping")
        self._tokeniser = tokeniser
        self._fields = [(name, rules, shapes[name]) for name, rules in mapping.fields.items()]
        used = list(mapping.rules)
        telling = {rule.column for name, rule in used if rule.token or name in personal_fields(contract)}
        #: Columns that feed only fields without personal data.
        self.harmless_columns = frozenset({rule.column for _, rule in used} - telling)

    def fields(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The fields of one row; empty cells give none. Raises RecordRefusedError naming the field."""
        fields: dict[str, Any] = {}
        for name, rules, shape in self._fields:
            try:
                value = self._value(rules, shape, row)
            except ValueError as error:
                raise RecordRefusedError(
                    str(error), field=name, record_id=str(fields.get("record_id", ""))
                ) from None
            if value is not None:
                fields[name] = value
        return fields

    def _value(self, rules: tuple[FieldRule, ...], shape: str, row: Mapping[str, Any]) -> Any:
        for rule in rules:
            texts = list(_texts(rule, shape, row))
            if texts:
                values = [self._converted(rule, shape, text) for text in texts]
                return values if shape == "list" else values[0]
        return None

    def _converted(self, rule: FieldRule, shape: str, text: str) -> Any:
        if rule.token is not None and self._tokeniser is not None:
            return self._tokeniser.token(rule.token, text)
        if rule.yuan:
            return _minor(text)
        if rule.instant:
            return to_instant_ms(self._aware(_parsed(text, rule.instant)))
        if rule.day:
            return to_day(_parsed(text, rule.day).date())
        if rule.values:
            text = _looked_up(text, rule.values)
        return _SHAPED.get(shape, str)(rule.prefix + text)

    def _aware(self, moment: datetime) -> datetime:
        return moment if moment.tzinfo else moment.replace(tzinfo=self._zone)


def personal_fields(contract: Contract) -> frozenset[str]:
    """Fields that hold persons, by the tags of the schema."""
    fields = contract.schema["fields"]
    return frozenset(field["name"] for field in fields if "PII" in field.get("confluent:tags", ()))


def _check_fields(mapping: ColumnMapping, contract: Contract, shapes: Mapping[str, str]) -> None:
    unknown = sorted(set(mapping.fields) - set(shapes))
    if unknown:
        # A table without a header has a person's data for column names: only what looks like ours is repeated.
        named = ", ".join(name if _FIELD_NAME.fullmatch(name) else "?" for name in unknown)
        raise ConfigurationError(
            f"{contract.name} has no field {named}; `xiezhi contracts show {contract.name}` lists them, "
            "and --map FILE says which column is which field"
        )
    missing = [
        name
        for name, field in contract.model.model_fields.items()
        if field.is_required() and name not in mapping.fields
    ]
    if "occurred_at" not in mapping.fields:
        missing.append("occurred_at")
    if missing:
        raise ConfigurationError(f"no column gives {', '.join(missing)}, which {contract.name} needs")


def _texts(rule: FieldRule, shape: str, row: Mapping[str, Any]) -> Iterator[str]:
    """The texts of a cell: none when it is empty, several only for a list."""
    cell = rule.constant or row.get(rule.column)
    parts = cell if isinstance(cell, list) else [cell]
    for part in parts:
        if part is None:
            continue
        if not isinstance(part, str | int | Decimal):
            raise ValueError("expected text or a number")
        text = str(part).lower() if isinstance(part, bool) else str(part)
        for piece in text.split(rule.split) if shape == "list" else [text]:
            if stripped := piece.strip():
                yield stripped


def _shapes(contract: Contract) -> dict[str, str]:
    """Field -> integer, boolean, list or text, as far as a cell's text must be told apart."""
    shapes = {field["name"]: _shape(field["type"]) for field in contract.schema["fields"]}
    return shapes | {"version": "integer", "occurred_at": "text", "jurisdiction": "text"}


def _shape(avro: Any) -> str:
    if isinstance(avro, list):
        return _shape(next(branch for branch in avro if branch != "null"))
    if isinstance(avro, dict):
        # Instants and days stay text here: the contract's model reads ISO 8601.
        return "text" if "logicalType" in avro else _shape(avro["type"])
    return {"int": "integer", "long": "integer", "boolean": "boolean", "array": "list"}.get(avro, "text")


def _integer(text: str) -> int:
    if not _INTEGER.fullmatch(text):
        raise ValueError("expected a whole number")
    return int(text)


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("expected true or false (是 or 否)") from None


_SHAPED: dict[str, Callable[[str], Any]] = {"integer": _integer, "boolean": _boolean}


def _minor(text: str) -> int:
    """Minor units (分) of an amount in yuan: exact, never rounded."""
    bare = text.replace("，", ",").strip("¥￥元 ")
    if len(bare) > _MONEY_CHARS_MAX or not _MONEY.fullmatch(bare):
        raise ValueError("expected an amount such as 1234.50 or 1,234.50")
    minor = Decimal(bare.replace(",", "")).scaleb(2)
    if minor != minor.to_integral_value():
        raise ValueError("an amount has at most two decimals")
    return int(minor)


def _looked_up(text: str, values: Mapping[str, str]) -> str:
    found = values.get(text, values.get("*"))
    if found is None:
        raise ValueError("this code is not in the mapping's list of values")
    return found


def _parsed(text: str, form: str) -> datetime:
    try:
        if form == "iso":
            return datetime.fromisoformat(text)
        return datetime.strptime(text, form)  # noqa: DTZ007 - the mapping's time zone is put in afterwards
    except ValueError:
        expected = "ISO 8601" if form == "iso" else form
        raise ValueError(f"does not follow the format {expected}") from None


def _zone(name: str) -> tzinfo | None:
    if not name:
        return None
    if offset := _OFFSET.fullmatch(name):
        sign, hours, minutes = offset.groups()
        ahead = timedelta(hours=int(hours), minutes=int(minutes))
        return timezone(-ahead if sign == "-" else ahead)
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationError(f"unknown time zone {name!r}; give an offset such as +08:00") from error
