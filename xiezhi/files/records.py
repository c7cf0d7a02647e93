"""From rows to records ready to be published, or to refusals that repeat no identity.

A refusal shows the row only as far as it is known to be harmless: columns that become fields without personal data.
Everything else, and whatever looks like an identity, phone or bank number, is masked.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from xiezhi.contracts.base import Contract
from xiezhi.contracts.types import Instant, Jurisdiction
from xiezhi.envelope import VERSION_MAX
from xiezhi.errors import ConfigurationError, RecordRefusedError
from xiezhi.files.mapping import CIRCUMSTANCES, ColumnMapping, Mapper, direct_mapping, personal_fields
from xiezhi.files.rows import Row, Unreadable, read_csv, read_jsonl
from xiezhi.tokeniser import Tokeniser

MASK = "***"
#: Runs of digits as long as identity, bank card or mobile numbers. Division codes (12) and instants (13) are not.
_TELLING = re.compile(r"(?<!\d)(?:\d{14,18}[0-9Xx]|1[3-9]\d{9})(?![0-9A-Za-z])")
#: A refused value is for recognising the row, not for storing it again.
_SHOWN_CHARS_MAX = 200
_SHOWN_PARTS_MAX = 20


@dataclass(frozen=True, slots=True)
class Publication:
    """A record that keeps its contract, with what the envelope says about it."""

    line: int
    record: BaseModel
    occurred_ms: int
    version: int
    jurisdiction: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that is not published: where it stands, what is wrong, and the harmless part of it."""

    line: int
    reason: str
    row: Mapping[str, Any]
    field: str = ""  # "" when the whole row is meant
    record_id: str = ""


class _Circumstances(BaseModel):
    """What a row says beside the contract's fields."""

    model_config = ConfigDict(frozen=True)

    version: Annotated[int, Field(strict=True, ge=0, le=VERSION_MAX)] = 0
    occurred_at: Instant
    jurisdiction: Jurisdiction


class RecordReader:
    """Makes publications of rows for one contract.

    Without a mapper the row's keys are the field names. `jurisdiction` stands in where a row names none.
    """

    def __init__(self, contract: Contract, *, mapper: Mapper | None = None, jurisdiction: str = "") -> None:
        self._contract, self._mapper, self._jurisdiction = contract, mapper, jurisdiction
        known = {*contract.model.model_fields, *CIRCUMSTANCES}
        self._shown = mapper.harmless_columns if mapper else known - personal_fields(contract)

    def read(self, rows: Iterable[Row | Unreadable]) -> Iterator[Publication | Refusal]:
        """One outcome for each row, in order. A row never raises."""
        for row in rows:
            if isinstance(row, Unreadable):
                yield Refusal(row.line, row.reason, {})
                continue
            try:
                yield self._publication(row)
            except RecordRefusedError as error:
                yield self._refusal(row, error)

    def _publication(self, row: Row) -> Publication:
        fields = self._mapper.fields(row.fields) if self._mapper else dict(row.fields)
        record_id = fields.get("record_id")
        about = {name: fields.pop(name, None) for name in CIRCUMSTANCES}
        about["jurisdiction"] = about["jurisdiction"] or self._jurisdiction
        try:
            record = self._contract.model.model_validate(fields)
            circumstances = _Circumstances.model_validate({k: v for k, v in about.items() if v is not None})
        except ValidationError as error:
            raise _refused(error, record_id if isinstance(record_id, str) else "") from None
        return Publication(
            row.line, record, circumstances.occurred_at, circumstances.version, circumstances.jurisdiction
        )

    def _refusal(self, row: Row, error: RecordRefusedError) -> Refusal:
        shown = {name: masked(value) for name, value in row.fields.items() if name in self._shown}
        if len(shown) < len(row.fields):
            shown["(masked)"] = len(row.fields) - len(shown)
        return Refusal(row.line, masked(error.reason), shown, error.field, masked(error.record_id))


def open_records(
    stream: BinaryIO,
    form: Literal["csv", "jsonl"],
    contract: Contract,
    *,
    mapping: ColumnMapping | None = None,
    tokeniser: Tokeniser | None = None,
    jurisdiction: str = "",
) -> Iterator[Publication | Refusal]:
    """The outcomes of a whole file. Raises ConfigurationError at once when file, mapping and contract disagree."""
    rows: Iterator[Row | Unreadable]
    if form == "csv":
        reading = (mapping.delimiter, mapping.encoding) if mapping else (",", "auto")
        header, rows = read_csv(stream, delimiter=reading[0], encoding=reading[1])
        if mapping and (absent := sorted(mapping.columns - set(header))):
            raise ConfigurationError(f"the table has no column {', '.join(absent)}, which the mapping names")
        mapping = mapping or direct_mapping(header)
    else:
        rows = read_jsonl(stream)
    if mapping and not jurisdiction and "jurisdiction" not in mapping.fields:
        raise ConfigurationError(
            "no column gives the jurisdiction; say it for the whole file: --jurisdiction CODE"
        )
    mapper = Mapper(mapping, contract, tokeniser) if mapping else None
    return RecordReader(contract, mapper=mapper, jurisdiction=jurisdiction).read(rows)


def masked(value: Any) -> Any:
    """A JSON value with telling numbers masked and long text cut. Objects and nested lists are masked as a whole."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, dict):
        return MASK
    if isinstance(value, list):
        return [MASK if isinstance(part, list) else masked(part) for part in value[:_SHOWN_PARTS_MAX]]
    text = _TELLING.sub(MASK, str(value))
    if isinstance(value, int) and text == str(value):
        return value
    return text if len(text) <= _SHOWN_CHARS_MAX else text[:_SHOWN_CHARS_MAX] + "…"


def _refused(error: ValidationError, record_id: str) -> RecordRefusedError:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if first["type"] == "extra_forbidden":
        # The key is not one of ours and may be anything, a person's name included.
        return RecordRefusedError("a field that the contract does not have", record_id=record_id)
    field = ".".join(str(part) for part in first["loc"])
    reason = first["msg"].removeprefix("Value error, ")
    if reason.startswith("Invalid isoformat"):
        reason = "expected ISO 8601"  # Python's own sentence repeats the value
    return RecordRefusedError(reason, field=field, record_id=record_id)
