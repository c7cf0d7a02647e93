"""A contract as a page of Markdown: the same text for `xiezhi contracts show` and docs/reference/contracts.md."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from xiezhi.contracts.base import Contract
from xiezhi.contracts.examples import invalid_example, valid_example

_PREFACE = """\
# Contracts · 数据契约

Written by `xiezhi contracts show --all` from the schemas, models and examples in the tree; do not edit.

A record is one department's statement about one business object. It is replaced or withdrawn as a whole; of several
versions the greatest stands. When it happened, its version and its jurisdiction travel in the envelope (CloudEvents
1.0 headers), not in the fields below. `?` after a type means that the field may be null.
"""


def render_all(contracts: Iterable[Contract]) -> str:
    """One page about all of them, owners in the order given."""
    return "\n".join([_PREFACE, *(render(contract) for contract in contracts)])


def render(contract: Contract) -> str:
    """One contract: its use, fields, enumerations, nested records, an accepted and a refused example."""
    return "\n".join(_lines(contract)) + "\n"


def _lines(contract: Contract) -> Iterator[str]:
    schema = contract.schema
    yield from (f"## {contract.name}", "", schema["doc"], "")
    yield f"- Topic `{contract.topic}`, subject `{contract.subject}`, Avro `{schema['namespace']}.{schema['name']}`"
    yield f"- Classification: {contract.classification.value}; compatibility: {contract.compatibility.value}"
    if contract.expected_every is not None:
        yield f"- Expected every {contract.expected_every.days} d or more often"
    yield ""
    yield from _table(schema["fields"])
    for nested in _named_types(schema["fields"]):
        yield from ("", f"`{nested['name']}`: {nested['doc']}")
        if nested["type"] == "record":
            yield from ("", *_table(nested["fields"]))
    yield from _examples(contract)


def _table(fields: list[dict[str, Any]]) -> Iterator[str]:
    yield from ("| field | type | tags | meaning |", "|---|---|---|---|")
    for field in fields:
        tags = ", ".join(field.get("confluent:tags", []))
        yield f"| `{field['name']}` | {_type(field['type'])} | {tags} | {field['doc']} |"


def _type(avro: Any) -> str:
    """The type in a table cell, e.g. `long (timestamp-millis)?` or `array of string`."""
    if isinstance(avro, list):
        return f"{_type(next(branch for branch in avro if branch != 'null'))}?"
    if isinstance(avro, str):
        return f"`{avro.rsplit('.', 1)[-1]}`"
    if "logicalType" in avro:
        return f"`{avro['type']}` ({avro['logicalType']})"
    if avro["type"] == "enum":
        return f"`{avro['name']}`: " + ", ".join(f"`{symbol}`" for symbol in avro["symbols"])
    if avro["type"] in ("array", "map"):
        return f"{avro['type']} of {_type(avro.get('items', avro.get('values')))}"
    return f"`{avro['name']}`"


def _named_types(avro: Any) -> Iterator[dict[str, Any]]:
    """Enumerations and records defined inside, in the order in which they appear."""
    if isinstance(avro, list):
        for part in avro:
            yield from _named_types(part)
    elif isinstance(avro, dict):
        if avro.get("type") in ("enum", "record"):
            yield avro
        for name in ("type", "fields", "items", "values"):
            if isinstance(avro.get(name), dict | list):
                yield from _named_types(avro[name])


def _examples(contract: Contract) -> Iterator[str]:
    invalid = invalid_example(contract)
    yield from ("", "Accepted · 合格示例:", "", *_json(valid_example(contract)))
    yield from (
        "",
        f"Refused · 不合格示例, because of `{invalid.field}`: {invalid.reason}.",
        "",
        *_json(invalid.record),
    )


def _json(record: dict[str, Any]) -> tuple[str, str, str]:
    return ("```json", json.dumps(record, ensure_ascii=False, indent=2), "```")
