"""Grounding in a column whose cells no value of the schema can equal is told beforehand."""

import asyncio
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lakehouse.config.columns import empty_columns, misfits
from lakehouse.config.kinds import load_kinds
from lakehouse.config.load import load_config
from lakehouse.config.rules import table_files
from lakehouse.config.settings import Config
from lakehouse.core.errors import SetupError
from lakehouse.validation.schema import SchemaCache

CONFIG = """
[models.small]
provider = "scripted"
model = "m"
script = "script.jsonl"
[tables.airports]
path = "{path}"
{types}
[kinds.event]
schema = "event.json"
[[kinds.event.grounding]]
path = "/id"
column = "airports.id"
{more}
"""
ITEMS = {"type": "array", "items": {"type": "integer"}}


def configured(
    folder: Path, value: object, *, types: str = "", more: str = "", path: str = "airports.csv"
) -> Config:
    schema = {
        "type": "object",
        "properties": {"id": value, "n": {"type": "number"}},
        "additionalProperties": False,
    }
    (folder / "event.json").write_text(json.dumps(schema))
    written = CONFIG.format(types=f"types = {types}" if types else "", more=more, path=path)
    (folder / "lakehouse.toml").write_text(written)
    return load_config(folder / "lakehouse.toml", {})


@pytest.mark.parametrize(
    ("value", "types", "more", "words"),
    [
        ({"type": "integer"}, "", "", ["'/id' needs integer", 'types = { id = "integer" }']),
        ({"type": ["number", "null"]}, "", "", ["'/id' needs number", '{ id = "number" }']),
        ({"type": "boolean"}, "", "", ["needs boolean", '{ id = "boolean" }']),
        ({"enum": [1, 2]}, "", "", ["'/id'", "types = { id ="]),
        (ITEMS, "", "", ["'/id' needs integer", '{ id = "integer" }']),
        ({"anyOf": [{"type": "integer"}, {"type": "null"}]}, "", "", ["needs integer"]),
        ({"type": "string"}, '{ id = "integer" }', "", ["contains integer", "Leave 'id' out"]),
        ({"type": "boolean"}, '{ id = "number" }', "", ["contains number", '{ id = "boolean" }']),
        (
            {"type": "integer"},
            '{ id = "integer" }',
            'with = { "/n" = "airports.height ft" }',
            ["'/n' needs number", '{ "height ft" = "number" }'],
        ),
        (
            {"type": ["number", "string"]},
            "",
            'match = "within"\ntolerance = 1',
            ["'/id' needs number", '{ id = "number" }'],
        ),
    ],
)
def test_a_csv_column_that_no_answer_can_match_stops_the_start(
    tmp_path: Path, value: object, types: str, more: str, words: list[str]
) -> None:
    config = configured(tmp_path, value, types=types, more=more)
    with pytest.raises(SetupError) as caught:
        load_kinds(config, SchemaCache())
    told = f"{caught.value.public} {caught.value.hint}"
    for word in ["lakehouse.toml", "kinds.event.grounding[0]", "[tables.airports]", *words]:
        assert word in told


@pytest.mark.parametrize(
    ("value", "types"),
    [
        ({"type": "string"}, ""),
        ({}, ""),
        ({"type": ["integer", "string"]}, ""),
        ({"type": "integer"}, '{ id = "integer" }'),
        ({"type": "integer"}, '{ id = "number" }'),
        ({"type": "number"}, '{ id = "integer" }'),
        ({"type": "boolean"}, '{ id = "boolean" }'),
    ],
)
def test_a_csv_column_that_some_answer_can_match_starts(
    tmp_path: Path, value: object, types: str
) -> None:
    assert load_kinds(configured(tmp_path, value, types=types), SchemaCache())


@pytest.mark.parametrize("path", ["airports.parquet", "airports.jsonl", "airports"])
def test_types_of_a_table_that_has_its_own_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(SetupError) as caught:
        configured(tmp_path, {"type": "integer"}, types='{ id = "integer" }', path=path)
    assert "tables.airports.types" in caught.value.public
    assert "line" in caught.value.public


def test_an_unknown_type_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(SetupError) as caught:
        configured(tmp_path, {"type": "integer"}, types='{ id = "int" }')
    assert "'int'" in caught.value.public
    assert "integer" in caught.value.public


@pytest.mark.parametrize(
    ("cells", "value", "holds"),
    [
        (pa.array([1]), {"type": "string"}, "number"),
        (pa.array(["1"]), {"type": "integer"}, "text"),
        (pa.array([True]), {"type": "integer"}, "boolean"),
        (pa.array([0], pa.date32()), {"type": "integer"}, "text"),
        (pa.array([1]), {"type": ["integer", "string"]}, None),
    ],
)
def test_a_column_of_another_format_is_told_once_the_table_is_read(
    tmp_path: Path, cells: pa.Array, value: object, holds: str | None
) -> None:
    pq.write_table(pa.table({"id": cells}), tmp_path / "airports.parquet")
    config, schemas = configured(tmp_path, value, path="airports.parquet"), SchemaCache()
    kinds = load_kinds(config, schemas)
    tables = table_files(kinds, schemas, config)
    snapshot = asyncio.run(tables.snapshot(kinds["event"]))
    tables.close()
    found = list(misfits(kinds["event"], schemas.get(bytes(kinds["event"].schema)), snapshot))
    assert (f"airports.id contains {holds}" in "".join(found)) == (holds is not None)
    assert len(found) == (holds is not None)


@pytest.mark.parametrize(
    ("cells", "empty"),
    [
        (pa.array([], pa.string()), ["airports.id"]),
        (pa.array([None, None], pa.string()), ["airports.id"]),
        (pa.array([float("nan")]), ["airports.id"]),
        (pa.array(["A", None]), []),
        (pa.array([False]), []),
    ],
)
def test_a_column_without_a_value_is_named(
    tmp_path: Path, cells: pa.Array, empty: list[str]
) -> None:
    pq.write_table(pa.table({"id": cells}), tmp_path / "airports.parquet")
    any_scalar = {"type": ["string", "number", "boolean"]}
    config, schemas = configured(tmp_path, any_scalar, path="airports.parquet"), SchemaCache()
    kinds = load_kinds(config, schemas)
    tables = table_files(kinds, schemas, config)
    snapshot = asyncio.run(tables.snapshot(kinds["event"]))
    tables.close()
    assert empty_columns(kinds["event"], snapshot) == empty
