"""Kinds as they are loaded: what their checks could never check stops the start."""

import asyncio
import json
from pathlib import Path

import pytest

from lakehouse.config.catalog import catalog
from lakehouse.config.kinds import doubts_about, load_kinds
from lakehouse.config.load import load_config
from lakehouse.config.rules import doubts_about_rules, prepare_kinds
from lakehouse.config.trials import try_checks
from lakehouse.core.errors import InfraError, SetupError
from lakehouse.core.ports import ValidateRequest
from lakehouse.engine.task import Catalog
from lakehouse.grounding.no_tables import NoTables
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.validation.schema import SchemaCache
from lakehouse.validatord.service import ValidatorService
from support.sessions import ListedChat

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
    "properties": {
        "customer_id": TEXT,
        "name": TEXT,
        "lines": {"type": "array", "items": {"type": "object", "properties": {"sku": TEXT}}},
    },
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
        ("/lines/sku", "/name", ["grounding[0].path", "'/lines/*'", "'/lines/*/sku'"]),
        ("/name", "/lines/*/sku", ["grounding[0].with", "make '/lines/*/sku' the path"]),
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


def test_a_rule_on_each_element_starts_without_a_doubt(tmp_path: Path) -> None:
    schemas = SchemaCache()
    for beside in ("/lines/*/sku", "/name"):
        kinds = load_kinds(config_of(tmp_path, "/lines/*/sku", beside), schemas)
        assert kinds["order"].grounding[0].with_ == {beside: "customers.name"}
        assert doubts_about(kinds, schemas) == []


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
        ("SELECT len($name) > $1", ["$1", "positional"]),
        ("SELECT $1 > 0", ["$1", "write $name"]),
        ("SELECT ? > 0", ["not ? or $1"]),
        ("SELECT error('always')::BOOLEAN", ["fails for every answer", "always"]),
        ("SELECT $name + 1 = 2", ["fails for every answer", "+"]),
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


def test_a_rule_that_binds_nothing_is_a_warning(tmp_path: Path) -> None:
    [doubt] = prepare(tmp_path, "SELECT '$name' <> ''", ORDER)
    assert "kinds.order.rules[0].sql" in doubt
    assert "every answer" in doubt


def test_no_member_can_be_bound_where_the_answer_is_no_object(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"binds \$a.*the schema names none"):
        prepare(tmp_path, "SELECT $a = 1", {"type": "array", "items": TEXT})


PYTHON = """
from decimal import Decimal
from datetime import date
from pydantic import BaseModel, Field, model_validator

class Order(BaseModel):
    total: Decimal = Field(gt=0, decimal_places=2)
    day: date = date(2026, 1, 1)

    @model_validator(mode="after")
    def check(self):
        if self.total == 13:
            raise ValueError("13 is not allowed")
        if self.total == 14:
            raise KeyError("a bug of mine")
        return self

class Broken(BaseModel):
    total: int = 0

    @model_validator(mode="after")
    def check(self):
        return self.no_such_member
"""
PYTHON_CONFIG = """
[models.small]
provider = "scripted"
model = "m"
script = "script.jsonl"
[kinds.order]
python = "%s"
"""


def python_kind(folder: Path, patch: pytest.MonkeyPatch, name: str, more: str = "") -> Catalog:
    module = f"kinds_{hash(str(folder)) & 0xFFFF:x}"
    (folder / f"{module}.py").write_text(PYTHON)
    patch.syspath_prepend(str(folder))
    (folder / "lakehouse.toml").write_text(PYTHON_CONFIG % f"{module}:{name}" + more)
    return catalog(load_config(folder / "lakehouse.toml", {}))


def judged(known: Catalog, output: str):
    service = ValidatorService(known, chat=ListedChat(), tables=NoTables(), sink=MemoryLog())
    reply = asyncio.run(service.validate(ValidateRequest(output=output, kind="order")))
    return reply.verdict, [(one.code, one.path, one.message) for one in reply.findings]


def test_an_answer_is_held_against_the_models_validators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the schema, each failure a `rule` finding; formats are asserted; bugs are told."""
    known = python_kind(tmp_path, monkeypatch, "Order")
    try:
        assert judged(known, '{"total":"1.10"}') == ("accepted", [])
        verdict, [(code, path, message)] = judged(known, '{"total":"1.105"}')
        assert (verdict, code, path) == ("rejected", "rule", "/total")
        assert "2 decimal places" in message
        assert judged(known, '{"total":13}')[1] == [("rule", "", "Value error, 13 is not allowed")]
        assert judged(known, '{"total":1,"day":"2026-02-30"}')[1][0][:2] == ("schema", "/day")
        assert judged(known, '{"total":"-1"}')[1][0][:2] == ("rule", "/total")
        with pytest.raises(InfraError) as caught:
            judged(known, '{"total":14}')
        assert caught.value.code == "rule_broken"
        assert "a bug of mine" in caught.value.public
    finally:
        known.close()


def test_a_model_that_fails_on_every_answer_stops_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = python_kind(tmp_path, monkeypatch, "Broken")
    try:
        with pytest.raises(SetupError, match=r"kinds.order.python.*no_such_member"):
            asyncio.run(try_checks(known, None))
    finally:
        known.close()


def test_the_digest_tells_a_python_kind_from_its_schema_and_from_other_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = python_kind(tmp_path, monkeypatch, "Order")
    (tmp_path / "order.json").write_bytes(bytes(known.kinds["order"].schema))
    (tmp_path / "lakehouse.toml").write_text(
        PYTHON_CONFIG.replace('python = "%s"', 'schema = "order.json"')
    )
    plain = catalog(load_config(tmp_path / "lakehouse.toml", {}))
    (tmp_path / "lakehouse.toml").write_text(
        PYTHON_CONFIG.replace('python = "%s"', 'schema = "order.json"\nassert_formats = true')
    )
    asserted = catalog(load_config(tmp_path / "lakehouse.toml", {}))
    digests = {one.kinds["order"].digest for one in (known, plain, asserted)}
    assert len(digests) == 3


def test_a_schema_file_asserts_formats_only_if_it_says_so(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"day": {"type": "string", "format": "date"}}}
    text = PYTHON_CONFIG.replace('python = "%s"', 'schema = "order.json"')
    (tmp_path / "order.json").write_text(json.dumps(schema))
    (tmp_path / "lakehouse.toml").write_text(text)
    assert judged(catalog(load_config(tmp_path / "lakehouse.toml", {})), '{"day":"soon"}')[1] == []
    (tmp_path / "lakehouse.toml").write_text(text + "assert_formats = true\n")
    known = catalog(load_config(tmp_path / "lakehouse.toml", {}))
    assert judged(known, '{"day":"soon"}')[1][0][:2] == ("schema", "/day")


def test_an_unknown_format_stops_the_start_where_formats_are_asserted(tmp_path: Path) -> None:
    (tmp_path / "order.json").write_text('{"properties":{"day":{"format":"dat"}}}')
    (tmp_path / "lakehouse.toml").write_text(
        PYTHON_CONFIG.replace('python = "%s"', 'schema = "order.json"\nassert_formats = true')
    )
    with pytest.raises(SetupError, match=r"'dat'.*did you mean 'date'"):
        catalog(load_config(tmp_path / "lakehouse.toml", {}))
