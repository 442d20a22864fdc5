"""Kinds as they are loaded: what their checks could never check stops the start."""

import json
from pathlib import Path

import pytest

from lakehouse.config.kinds import doubts_about, load_kinds
from lakehouse.config.load import load_config
from lakehouse.config.rules import doubts_about_rules, prepare_kinds
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


RULED = """
[models.small]
provider = "scripted"
model = "m"
script = "script.jsonl"
[kinds.order]
schema = "order.json"
[[kinds.order.rules]]
sql = '''%s'''
message = "no"
"""


def prepare(folder: Path, sql: str, schema: object):
    (folder / "lakehouse.toml").write_text(RULED % sql)
    (folder / "order.json").write_text(json.dumps(schema))
    config, schemas = load_config(folder / "lakehouse.toml", {}), SchemaCache()
    kinds = load_kinds(config, schemas)
    rules = prepare_kinds(kinds, schemas, config)
    return doubts_about_rules(rules, kinds, schemas)


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("SELECT $custmer_id = 'x'", ["$custmer_id", "did you mean 'customer_id'", "$name"]),
        ("SELECT $Name = 'x'", ["$Name", "'name'"]),
        ("SELECT len($name) > $1", ["$1"]),
        ("SELECT error('always')::BOOLEAN", ["cannot work", "always"]),
        ("SELECT $name + 1 = 2", ["cannot work", "+"]),
        ("WITH x AS (COPY (SELECT 1) TO 'x.csv') SELECT true FROM x", ["must only read"]),
        ("WITH x AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT true FROM x", ["only read"]),
    ],
)
def test_a_rule_that_can_never_judge_stops_the_start(
    tmp_path: Path, sql: str, words: list[str]
) -> None:
    with pytest.raises(SetupError) as caught:
        prepare(tmp_path, sql, ORDER)
    for word in ["lakehouse.toml", "kinds.order.rules[0].sql", *words]:
        assert word in caught.value.public
    assert caught.value.hint


def test_a_member_that_the_schema_leaves_open_is_a_warning(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"customer_id": TEXT}}
    [doubt] = prepare(tmp_path, "SELECT $name <> ''", schema)
    assert "kinds.order.rules[0].sql: $name" in doubt


def test_no_member_can_be_bound_where_the_answer_is_no_object(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"binds \$a.*it names none"):
        prepare(tmp_path, "SELECT $a = 1", {"type": "array", "items": TEXT})
