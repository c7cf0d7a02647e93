"""What every contract owes its readers: model and schema agree, every field is explained, old bytes decode."""

from __future__ import annotations

import io
import json
import types
import typing
from typing import Any, Literal, Union

import pytest
from annotated_types import Le
from fastavro import schemaless_reader, schemaless_writer
from pydantic import BaseModel, BeforeValidator, ValidationError
from pydantic.fields import FieldInfo

from schemas.catalogue import CONTRACTS
from xiezhi.contracts import golden
from xiezhi.contracts.avro import parse
from xiezhi.contracts.base import Classification, Contract
from xiezhi.contracts.bus import ALERT, BUS_CONTRACTS, RELATION
from xiezhi.contracts.evidence import Part
from xiezhi.contracts.examples import invalid_example, valid_example, valid_record
from xiezhi.contracts.types import to_day, to_instant_ms
from xiezhi.registry import InMemoryRegistry

ALL = (*CONTRACTS, *BUS_CONTRACTS)
GOLDENS = [(contract, version) for contract in ALL for version in golden.load(contract)]
every_contract = pytest.mark.parametrize("contract", ALL, ids=lambda contract: contract.name)
every_golden = pytest.mark.parametrize(
    ("contract", "version"), GOLDENS, ids=[f"{contract.name}-v{version}" for contract, version in GOLDENS]
)


def fields_of(schema: Any) -> list[dict[str, Any]]:
    """Every field of a schema, those of nested records included."""
    if isinstance(schema, list):
        return [field for part in schema for field in fields_of(part)]
    if not isinstance(schema, dict):
        return []
    own: list[dict[str, Any]] = schema.get("fields", [])
    nested = [
        schema.get("type"),
        schema.get("items"),
        schema.get("values"),
        *(field["type"] for field in own),
    ]
    return own + [field for part in nested for field in fields_of(part)]


def shape_of_avro(schema: Any, named: dict[str, Any]) -> Any:
    """A type reduced to what a model can be compared with."""
    if isinstance(schema, list):
        assert schema[0] == "null", "an optional field may be left out, so null comes first"
        assert len(schema) == 2
        return ("optional", shape_of_avro(schema[1], named))
    if isinstance(schema, str):
        return named.get(schema, schema)
    if schema["type"] == "record":
        shape = {field["name"]: shape_of_avro(field["type"], named) for field in schema["fields"]}
        named[f"xiezhi.bus.{schema['name']}"] = shape
        return shape
    if schema["type"] == "enum":
        return ("enum", schema["symbols"])
    if schema["type"] in ("array", "map"):
        return (schema["type"], shape_of_avro(schema.get("items", schema.get("values")), named))
    return schema["logicalType"]


def shape_of_python(annotation: Any, metadata: tuple[Any, ...] = ()) -> Any:
    """The shape that the Avro type of a model's field must have."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return shape_of_python(arguments[0], (*arguments[1:], *metadata))
    if origin in (Union, types.UnionType):
        branches = [shape_of_python(branch) for branch in arguments if branch is not types.NoneType]
        shape = "string" if "string" in branches else branches[0]  # a string or one spelled-out string
        return ("optional", shape) if types.NoneType in arguments else shape
    if origin is Literal:
        return ("enum", list(arguments))
    if origin is list:
        return ("array", shape_of_python(arguments[0]))
    if origin is dict:
        return ("map", shape_of_python(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return shape_of_model(annotation)
    if annotation is int:
        return shape_of_int(metadata)
    return {str: "string", bool: "boolean", bytes: "bytes"}[annotation]


def shape_of_int(metadata: tuple[Any, ...]) -> str:
    before = [entry.func for entry in metadata if isinstance(entry, BeforeValidator)]
    if to_instant_ms in before:
        return "timestamp-millis"
    if to_day in before:
        return "date"
    constraints = [c for entry in metadata if isinstance(entry, FieldInfo) for c in entry.metadata]
    maximum: Any = next(constraint.le for constraint in constraints if isinstance(constraint, Le))
    return "int" if maximum < 2**31 else "long"


def shape_of_model(model: type[BaseModel]) -> dict[str, Any]:
    hints = typing.get_type_hints(model, include_extras=True)
    return {name: shape_of_python(hints[name]) for name in model.model_fields}


@every_contract
def test_model_and_schema_have_the_same_fields_types_and_symbols_in_the_same_order(
    contract: Contract,
) -> None:
    in_model, in_schema = shape_of_model(contract.model), shape_of_avro(contract.schema, {})
    assert list(in_model) == list(in_schema)
    assert in_model == in_schema


@every_contract
def test_a_field_that_the_model_lets_out_has_the_same_default_in_the_schema(contract: Contract) -> None:
    for field in contract.schema["fields"]:
        in_model = contract.model.model_fields[field["name"]]
        assert in_model.is_required() == ("default" not in field), field["name"]
        if "default" in field:
            assert in_model.default == field["default"]


@every_contract
def test_the_record_its_enumerations_and_every_field_are_explained(contract: Contract) -> None:
    assert len(contract.schema["doc"]) > 20
    for field in fields_of(contract.schema):
        assert len(field.get("doc", "")) >= 4, field["name"]
        if isinstance(field["type"], dict) and field["type"]["type"] in ("enum", "record"):
            assert field["type"].get("doc"), field["name"]


@every_contract
def test_amounts_and_times_state_their_unit_and_shares_their_base(contract: Contract) -> None:
    for field in fields_of(contract.schema):
        name, doc = field["name"], field["doc"]
        shape = shape_of_avro(field["type"], {})
        if shape in ("timestamp-millis", ("optional", "timestamp-millis")):
            assert "milliseconds since 1970 UTC" in doc, name
        if shape in ("date", ("optional", "date")):
            assert "days since 1970-01-01" in doc, name
        if "_minor" in name:
            assert "minor units" in doc, name
        if name.endswith("_permille"):
            assert "thousandths" in doc, name


@every_contract
def test_the_record_id_comes_first_and_nothing_of_the_envelope_is_repeated(contract: Contract) -> None:
    names = list(contract.model.model_fields)
    assert names[0] == "record_id"
    if contract in CONTRACTS:
        assert not {"version", "occurred_at", "jurisdiction"} & set(names)


@every_contract
def test_schema_and_catalogue_agree_on_classification_and_owner(contract: Contract) -> None:
    assert contract.schema["xiezhi.classification"] == contract.classification
    assert contract.schema["namespace"] == (
        "xiezhi.bus" if contract in BUS_CONTRACTS else f"xiezhi.{contract.owner}"
    )


@every_contract
def test_fields_that_may_hold_a_person_are_tagged_as_personal(contract: Contract) -> None:
    personal = {
        field["name"] for field in fields_of(contract.schema) if "PII" in field.get("confluent:tags", [])
    }
    tokens = {
        path
        for path, value in valid_example(contract).items()
        if isinstance(value, str) and value.startswith("pt1_")
    }
    assert tokens <= personal


@pytest.mark.parametrize(
    "contract", [c for c in CONTRACTS if c.classification is Classification.RESTRICTED], ids=lambda c: c.name
)
def test_every_field_of_a_restricted_record_but_its_id_is_tagged_as_restricted(contract: Contract) -> None:
    for field in contract.schema["fields"][1:]:
        assert "RESTRICTED" in field["confluent:tags"], field["name"]


@every_contract
def test_the_valid_example_survives_being_written_and_read(contract: Contract) -> None:
    value = valid_record(contract).model_dump()
    schema, body = parse(contract.schema), io.BytesIO()
    schemaless_writer(body, schema, value)
    body.seek(0)
    assert schemaless_reader(body, schema) == value
    assert body.read() == b""


@every_contract
def test_the_invalid_example_is_refused_for_the_field_it_says_and_for_no_other(contract: Contract) -> None:
    example = invalid_example(contract)
    assert len(example.reason) > 10
    with pytest.raises(ValidationError) as refused:
        contract.model.model_validate_json(json.dumps(example.record))
    assert [".".join(map(str, error["loc"])) for error in refused.value.errors()] == [example.field]


@every_contract
def test_a_field_that_the_contract_does_not_know_is_refused(contract: Contract) -> None:
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        contract.model.model_validate_json(json.dumps({**valid_example(contract), "colour": "red"}))


@every_contract
def test_a_record_and_its_parts_cannot_be_changed_in_place(contract: Contract) -> None:
    record = valid_record(contract)
    with pytest.raises(ValidationError, match="frozen"):
        record.record_id = "other"  # type: ignore[attr-defined]
    for value in record.__dict__.values():
        if isinstance(value, Part):
            assert value.model_config["frozen"]


@every_contract
def test_a_changed_schema_has_new_golden_bytes(contract: Contract) -> None:
    assert golden.is_current(contract), (
        f"{contract.name}.avsc changed: run python -m schemas.golden and commit"
    )


@every_golden
def test_golden_bytes_decode_with_the_schema_they_were_written_with(contract: Contract, version: int) -> None:
    stored = golden.load(contract)[version]
    assert stored.decode() == stored.value


@every_golden
def test_golden_bytes_decode_for_a_reader_of_today(contract: Contract, version: int) -> None:
    stored = golden.load(contract)[version]
    read = stored.decode(contract.schema)
    assert as_written(read, stored.value) == stored.value
    assert read.keys() == contract.model.model_fields.keys()


def as_written(read: Any, written: Any) -> Any:
    """What was read, without what later versions added to it, at any depth."""
    if isinstance(read, dict) and isinstance(written, dict):
        return {name: as_written(value, written[name]) for name, value in read.items() if name in written}
    if isinstance(read, list) and isinstance(written, list) and len(read) == len(written):
        return [as_written(*pair) for pair in zip(read, written, strict=True)]
    return read


def test_evidence_written_before_stage_times_were_carried_reads_as_unknown() -> None:
    for contract in (ALERT, RELATION):
        [evidence] = golden.load(contract)[1].decode(contract.schema)["evidence"]
        assert (evidence["sent_ms"], evidence["routed_ms"]) == (0, 0)
        [evidence] = golden.load(contract)[2].decode(contract.schema)["evidence"]
        assert 0 < evidence["sent_ms"] < evidence["ingested_ms"] < evidence["routed_ms"]


@every_golden
def test_golden_values_still_fit_the_model(contract: Contract, version: int) -> None:
    stored = golden.load(contract)[version]
    body, schemas = io.BytesIO(stored.body), (parse(stored.schema), parse(contract.schema))
    contract.model.model_validate(schemaless_reader(body, *schemas))


@every_contract
def test_versions_of_golden_bytes_have_no_gap(contract: Contract) -> None:
    versions = list(golden.load(contract))
    assert versions == list(range(1, len(versions) + 1))


@every_contract
def test_every_version_of_the_schema_was_let_in_by_the_compatibility_level(contract: Contract) -> None:
    registry = InMemoryRegistry()
    registry.set_compatibility(None, contract.compatibility.value)
    for stored in golden.load(contract).values():
        registry.register(contract.subject, json.dumps(stored.schema))
    assert registry.latest(contract.subject).version == len(golden.load(contract))


def test_no_two_contracts_share_a_topic_or_a_schema_name() -> None:
    assert len({contract.topic for contract in ALL}) == len(ALL)
    assert len({(c.schema["namespace"], c.schema["name"]) for c in ALL}) == len(ALL)


def test_every_schema_in_the_tree_belongs_to_a_contract_of_the_catalogue() -> None:
    for folder in {contract.folder for contract in ALL}:
        records = {contract.record for contract in ALL if contract.folder == folder}
        assert {path.stem for path in folder.glob("*.avsc")} == records
        assert {path.name.split(".")[0] for path in folder.glob("golden/*.json")} == records
