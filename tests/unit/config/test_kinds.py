"""Kinds as they are loaded: what their checks could never check stops the start."""

import json
from pathlib import Path

import pytest

from lakehouse.config.kinds import doubts_about, load_kinds
from lakehouse.config.load import load_config
from lakehouse.core.errors import SetupError
from lakehouse.validation.schema import SchemaCache

CONFIG = """
[models.small]
provider = "scripted"
model = "m"
script = "script.jsonl"
[tables.customers]
path = "customers.csv"
[kinds.order]
schema = "order.json"
[[kinds.order.grounding]]
path = "%s"
column = "customers.id"
with = { "%s" = "customers.name" }
"""
TEXT = {"type": "string"}
ORDER = {
    "type": "object",
    "properties": {"customer_id": TEXT, "name": TEXT},
    "additionalProperties": False,
}


def config_of(folder: Path, path: str, other: str, schema: object = ORDER):
    (folder / "lakehouse.toml").write_text(CONFIG % (path, other))
    (folder / "order.json").write_text(json.dumps(schema))
    return load_config(folder / "lakehouse.toml", {})


@pytest.mark.parametrize(
    ("path", "other", "words"),
    [
        ("/customr_id", "/name", ["grounding[0].path", "'/customr_id'", "'/customer_id'"]),
        ("/customer_id", "/nam", ["grounding[0].with", "'/nam'", "'/name'"]),
    ],
)
def test_a_pointer_that_leads_nowhere_stops_the_start(
    tmp_path: Path, path: str, other: str, words: list[str]
) -> None:
    config = config_of(tmp_path, path, other)
    with pytest.raises(SetupError) as caught:
        load_kinds(config, SchemaCache())
    for word in ["lakehouse.toml", "kinds.order", *words]:
        assert word in caught.value.public


def test_an_open_schema_starts_with_a_warning(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"customer_id": TEXT}}
    schemas = SchemaCache()
    kinds = load_kinds(config_of(tmp_path, "/customer_id", "/name", schema), schemas)
    [doubt] = doubts_about(kinds, schemas)
    assert doubt.startswith("kinds.order.grounding[0].with: '/name'")
