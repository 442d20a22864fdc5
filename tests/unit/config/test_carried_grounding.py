"""Kinds whose schema carries its grounding: loaded like declared rules, and as strictly checked."""

import json
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config.kinds import doubts_about, load_kinds
from lakehouse.config.load import load_config
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import GroundingRule, Kind
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
"""
DECLARED = """
[[kinds.order.grounding]]
path = "/customer_id"
column = "%s"
"""
TEXT = {"type": "string"}
ID = {"column": "customers.id"}


def load(folder: Path, keyword: Any, declared: str = "", **members: Any) -> Kind:
    (folder / "lakehouse.toml").write_text(CONFIG + (DECLARED % declared if declared else ""))
    customer = {**TEXT, "x-lakehouse": keyword} if keyword is not None else TEXT
    schema = {"type": "object", "properties": {"customer_id": customer, "name": TEXT, **members}}
    (folder / "order.json").write_text(json.dumps(schema))
    schemas = SchemaCache()
    kinds = load_kinds(load_config(folder / "lakehouse.toml", {}), schemas)
    assert doubts_about(kinds, schemas) == []
    return kinds["order"]


def test_what_the_schema_carries_comes_after_what_is_declared(tmp_path: Path) -> None:
    name = {**TEXT, "x-lakehouse": {"column": "customers.name"}}
    kind = load(tmp_path, None, "customers.id", name=name)
    assert kind.grounding == (
        GroundingRule(path="/customer_id", column="customers.id"),
        GroundingRule(path="/name", column="customers.name"),
    )
    assert kind.digest != load(tmp_path, None, "customers.id").digest


def test_the_same_rule_in_both_places_is_one(tmp_path: Path) -> None:
    kind = load(tmp_path, ID, "customers.id")
    assert kind.grounding == (GroundingRule(path="/customer_id", column="customers.id"),)


@pytest.mark.parametrize(
    ("keyword", "declared", "words"),
    [
        (ID, "customers.name", ["'/customer_id'", "different things"]),
        ({"column": "custmers.id"}, "", ["'/customer_id'", "did you mean 'customers'"]),
        ({"colum": "customers.id"}, "", ["x-lakehouse/colum", "did you mean 'column'"]),
        ({**ID, "with": {"nam": "customers.name"}}, "", ["'nam'", "did you mean 'name'"]),
        ({**ID, "with": {"/nam/x": "customers.name"}}, "", ["'/nam/x'"]),
        ({**ID, "tolerance": 1}, "", ["'/customer_id'", "tolerance"]),
        ({**ID, "candidates_required": True}, "", ["may not be null"]),
        ({"match": "within", "tolerance": 1, **ID}, "", ["'/customer_id'", "needs a number"]),
    ],
)
def test_what_cannot_check_stops_the_start(
    tmp_path: Path, keyword: Any, declared: str, words: list[str]
) -> None:
    with pytest.raises(SetupError) as caught:
        load(tmp_path, keyword, declared, **({"nam": TEXT} if "/nam/x" in str(keyword) else {}))
    for word in ["kinds.order", *words]:
        assert word in caught.value.public
    assert caught.value.hint


def test_a_column_of_another_type_is_named_by_what_carries_it(tmp_path: Path) -> None:
    number = {"type": "number", "x-lakehouse": {"column": "customers.size"}}
    with pytest.raises(SetupError, match=r"kinds.order.schema: `x-lakehouse` of '/size'"):
        load(tmp_path, None, size=number)


def test_a_misspelt_keyword_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="x-lakehose': no such keyword; write 'x-lakehouse'"):
        load(tmp_path, None, name={**TEXT, "x-lakehose": ID})
    with pytest.raises(AssertionError, match=r"checks nothing.*use `x-lakehouse`"):
        load(tmp_path, None, name={**TEXT, "lakehouse": ID})
