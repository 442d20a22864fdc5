"""Kinds whose schema, or type, carries SQL rules: they are rules of the kind like any others."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.config.kinds import doubts_about, load_kinds
from lakehouse.config.load import load_config
from lakehouse.config.rules import table_files
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import Kind, SqlRule
from lakehouse.core.ports import ValidateRequest
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.validation.schema import SchemaCache
from lakehouse.validatord.service import ValidatorService
from support.sessions import ListedChat, catalog

CONFIG = """
[models.m]
provider = "scripted"
model = "m"
script = "script.jsonl"
[kinds.order]
"""
FILE = 'schema = "order.json"\n'
PYTHON = 'python = "%s:Order"\n'
DECLARED = """[[kinds.order.rules]]
sql = "SELECT $a > 1"
message = "a is small"
"""
SMALL = {"sql": "SELECT $a > 1", "message": "a is small"}
ODD = {"sql": "SELECT $a % 2 = 0", "message": "a is odd"}
MODULE = """
import dataclasses
from typing import Annotated
from lakehouse.output_types.markers import Rule

@dataclasses.dataclass
class Item:
    a: int

Order = Annotated[Item, Rule("%s", "a is odd")]
"""


def load(folder: Path, kind: str, carried: Any = None) -> tuple[Kind, list[Any]]:
    """Give a kind, and the messages of its rules about a = 1, and about a = 2."""
    schema: Any = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    if carried is not None:
        schema["x-lakehouse-rules"] = carried
    (folder / "lakehouse.toml").write_text(CONFIG + kind)
    (folder / "order.json").write_text(json.dumps(schema))
    config, schemas = load_config(folder / "lakehouse.toml", {}), SchemaCache()
    kinds = load_kinds(config, schemas)
    tables = table_files(kinds, schemas, config)
    assert doubts_about(kinds, schemas) == []
    service = ValidatorService(catalog(**kinds), chat=ListedChat(), tables=tables, sink=MemoryLog())

    async def told(a: int) -> list[str]:
        reply = await service.validate(ValidateRequest(output=f'{{"a":{a}}}', kind="order"))
        assert {one.code for one in reply.findings} <= {"rule"}
        return [one.message for one in reply.findings]

    try:
        return kinds["order"], [asyncio.run(told(a)) for a in (1, 2)]
    finally:
        tables.close()
        for check in filter(None, (one.model_check for one in kinds.values())):
            check.close()


def test_rules_of_a_schema_file_judge_beside_declared_ones(tmp_path: Path) -> None:
    kind, told = load(tmp_path, FILE + DECLARED, [ODD, SMALL])
    assert told == [["a is odd", "a is small"], []]
    assert kind.rules == (SqlRule(**SMALL), SqlRule(**ODD))  # the same one is not asked twice
    assert "x-lakehouse-rules" not in bytes(kind.schema).decode()


def test_the_digest_is_that_of_the_same_rules_in_the_configuration(tmp_path: Path) -> None:
    declared, _ = load(tmp_path, FILE + DECLARED)
    carried, _ = load(tmp_path, FILE, [SMALL])
    assert carried.digest == declared.digest
    assert carried.digest != load(tmp_path, FILE, [ODD])[0].digest


def typed(folder: Path, patch: pytest.MonkeyPatch, sql: str) -> str:
    module = f"ruled_{hash(str(folder)) & 0xFFFF:x}"
    (folder / f"{module}.py").write_text(MODULE % sql)
    patch.syspath_prepend(str(folder))
    return PYTHON % module


def test_rules_of_a_type_are_those_of_its_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind, told = load(tmp_path, typed(tmp_path, monkeypatch, ODD["sql"]) + DECLARED)
    assert told == [["a is odd", "a is small"], []]
    assert msgspec.json.decode(bytes(kind.schema))["required"] == ["a"]


@pytest.mark.parametrize(
    ("carried", "words"),
    [
        ([{"sql": "SELECT 1"}], ["kinds.order", "`x-lakehouse-rules`", "message"]),
        ({}, ["kinds.order", "`x-lakehouse-rules`"]),
        ([{**ODD, "sql": "SELECT $b"}], ["kinds.order.schema: `x-lakehouse-rules`", "$b"]),
        ([{**ODD, "sql": "SELEC"}], ["kinds.order.schema: `x-lakehouse-rules`", "SELEC"]),
    ],
)
def test_what_cannot_judge_stops_the_start(tmp_path: Path, carried: Any, words: list[str]) -> None:
    with pytest.raises(SetupError) as caught:
        load(tmp_path, FILE, carried)
    for word in words:
        assert word in caught.value.public
    assert caught.value.hint


def test_a_rule_of_a_type_that_cannot_judge_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(SetupError, match=re.escape("kinds.order.python: The rule 'SELECT $b'")):
        load(tmp_path, typed(tmp_path, monkeypatch, "SELECT $b"))


@pytest.mark.parametrize("name", ["x-lakehouse-rule", "X-Lakehouse-Rules", "x_lakehouse_rules"])
def test_a_name_like_the_keyword_stops_the_start(tmp_path: Path, name: str) -> None:
    (tmp_path / "lakehouse.toml").write_text(CONFIG + FILE)
    (tmp_path / "order.json").write_text(json.dumps({"type": "object", name: [ODD]}))
    with pytest.raises(SetupError, match="SQL rules cannot stand") as caught:
        load_kinds(load_config(tmp_path / "lakehouse.toml", {}), SchemaCache())
    assert "`x-lakehouse-rules` at the root of the schema of a kind" in caught.value.hint
